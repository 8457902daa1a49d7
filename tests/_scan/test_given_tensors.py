# SPDX-License-Identifier: Apache-2.0
"""What a class of hooks was given, and what it may feed of it."""

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._scan.body import body_of
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.given_tensors import GivenTensors
from final_ops_callback._scan.grammar import parse
from final_ops_callback._scan.syntax import calls_of
from tests import models
from tests._scan.conftest import Found

v1 = tf.compat.v1


@pytest.mark.parametrize(
    ("expression", "is_given"),
    [
        ("self.a", True),
        ("self.b.c", True),
        ("self.pair", True),
        ("first", True),
        ("self.own", False),
        ("self.size", False),
        ("self.nothing", False),
        ("around", True),
        ("elsewhere", False),
    ],
)
def test_what_was_given(expression: str, is_given: bool) -> None:
    """It is followed from the constructor through attributes and names."""
    facts = facts_of(
        "a.py",
        parse(
            "class A(B):\n"
            "    def __init__(self, a, b, shape):\n"
            "        self.a, self.size = a, 3\n"
            "        self.b = b\n"
            "        self.pair = (a, b)\n"
            "        self.own = tf.placeholder(tf.float32, shape)\n"
            "    def end(self, session):\n"
            "        first, second = self.pair\n"
            f"        show({expression})\n"
        ),
    )
    body = body_of(facts.classes[0])
    given = GivenTensors(body, lambda name: name == "around")
    (call,) = (c for c in body.calls if c.callee[0].value == "show")

    assert given.reads(call.arguments[0].value) == is_given
    assert given.own == {"own"}
    assert not list(calls_of(call.arguments[0].value))


def class_of(found: Found, *lines: str) -> Finding:
    body = "".join(f"        {line}\n" for line in lines)
    (finding,) = found(
        "import tensorflow.compat.v1 as tf\n"
        "class A(tf.train.SessionRunHook):\n"
        "    def __init__(self, acc, images, labels, lr, x):\n"
        "        self.acc, self.x, self.lr = acc, x, lr\n"
        "        self.images, self.labels = images, labels\n"
        "        self.own = tf.placeholder(tf.float32)\n"
        "    def end(self, session):\n" + body
    )
    return finding


@pytest.mark.parametrize(
    ("lines", "verdict", "write"),
    [
        (
            ["session.run(self.acc, {self.images: x, self.labels: y})"],
            "replace",
            "model.evaluate(x, y, verbose=0, return_dict=True)",
        ),
        (
            [
                "feeds = {self.images: self.x}",
                "feeds[self.labels] = y",
                "session.run(self.acc, feed_dict=feeds)",
            ],
            "replace",
            "model.evaluate(self.x, y, verbose=0, return_dict=True)",
        ),
        (
            ["session.run(self.train_op, {self.images: x, self.labels: y})"],
            "replace",
            "model.train_on_batch(x, y)",
        ),
        (
            ["session.run(self.it.initializer, {self.images: x})"],
            "replace",
            "model.fit(dataset)",
        ),
        (
            ["session.run(self.acc, dict(zip([self.images], [x])))"],
            "replace",
            "model.evaluate(x, y,",
        ),
        (
            ["session.run(self.acc, {self.lr: 0.1})"],
            "change",
            '"learning_rate:0"',
        ),
        (["session.run(self.acc, {self.own: 1})"], "unmodified", ""),
        (["session.run(self.acc, make())"], "unmodified", ""),
    ],
)
def test_what_is_fed(
    found: Found, lines: list[str], verdict: str, write: str
) -> None:
    """A batch can't be fed; what a hook has made, and the rate, can."""
    finding = class_of(found, *lines)

    assert finding.verdict == verdict
    assert write in finding.write


@pytest.mark.parametrize(
    ("made", "verdict"),
    [
        ("tf.placeholder(tf.float32)", "unmodified"),
        ("graph.get_tensor_by_name('features:0')", "replace"),
        ("'features:0'", "replace"),
    ],
)
def test_placeholders_of_the_hook_graph_may_be_given(
    found: Found, made: str, verdict: str
) -> None:
    """A function that returns the hooks may make what they feed."""
    finding, *_ = found(
        "import tensorflow.compat.v1 as tf\n"
        "class A(tf.train.SessionRunHook):\n"
        "    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def end(self, session): session.run(self.y, {self.x: 1})\n"
        "def make():\n"
        f"    x = {made}\n"
        "    return A(x, tf.square(x))\n"
        "SessionRunHookCallback(make)\n"
    )

    assert (finding.kind, finding.verdict) == ("hook_class", verdict)


def test_a_batch_is_not_fed_under_keras() -> None:
    """A run that feeds `features:0` fails, or does not see what is fed."""

    class Feeds(v1.train.SessionRunHook):
        def end(self, session: v1.Session) -> None:
            session.run("predictions:0", {"features:0": models.tiny_data().x})

    with pytest.raises(Exception, match=r"fe(e)?d"):
        models.fit(models.tiny_model(), SessionRunHookCallback(Feeds()))
