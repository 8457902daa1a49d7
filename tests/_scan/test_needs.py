# SPDX-License-Identifier: Apache-2.0
"""What the body of a hook class needs, and the verdict on it."""

import pytest

from final_ops_callback._scan import graph_names
from final_ops_callback._scan import needs
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.grammar import parse
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.tree import Tree
from tests._scan.conftest import Found

HEAD = (
    "import tensorflow.compat.v1 as tf\nARGS = tf.train.SessionRunArgs\n\n\n"
    "class A(tf.train.SessionRunHook):\n"
)


def test_the_parameters_of_a_constructor() -> None:
    """What the constructor takes is known, and what of it is fetched."""
    text = (
        "class A(B):\n"
        "    def __init__(self, one, two=2, *three, four=4, **five):\n"
        "        self.a, self.b = one, 1\n"
        "        self.c = f(two)\n"
        "    def before_run(self, c): return SessionRunArgs([self.c])\n"
    )
    tree = Tree(["/w/a.py"], lambda path: facts_of(path, parse(text)))
    facts = tree.facts("/w/a.py")
    assert facts is not None

    found = needs.Needs(facts.classes[0], Resolver(tree))

    assert found.parameters == ["one", "two", "four"]
    assert found.tensors == ["two"]


def verdict(found: Found, body: str) -> Finding:
    """The finding on a class with this body."""
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    (finding,) = (f for f in found(HEAD + lines) if f.kind == "hook_class")
    return finding


def in_method(name: str, line: str) -> str:
    return f"def {name}(self, context):\n    {line}"


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("pass", "as it stands"),
        (in_method("before_run", 'return ARGS("loss:0")'), ""),
        (
            in_method("before_run", 'return tf.train.SessionRunArgs("loss:0")'),
            "looks up loss:0",
        ),
        (
            in_method("begin", 'g.get_tensor_by_name("hidden/kernel:0")'),
            "looks up hidden/kernel:0",
        ),
        (
            in_method("end", 'tf.identity(1, name="my")\n')
            + '    context.session.run("my:0")',
            "session.run in end",
        ),
        (in_method("end", "session.run(self.x)"), "session.run in end"),
        (
            in_method(
                "before_run",
                "return tf.train.SessionRunArgs(None, {'learning_rate:0': 1})",
            ),
            "feeds learning_rate:0",
        ),
        (
            "def __init__(self, loss, name): self.l, self.n = 0, name\n"
            + "def before_run(self, c): return tf.train.SessionRunArgs(self.l)",
            "",
        ),
        (
            "def __init__(self, loss): self.l = loss\n"
            + "def before_run(self, c): return tf.train.SessionRunArgs(self.l)",
            "takes tensors in its constructor (loss)",
        ),
        (
            in_method(
                "begin", "tf.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)"
            ),
            "",
        ),
        (in_method("end", "[x for x in {}.items()]"), ""),
        (in_method("end", "six.iteritems({})"), ""),
    ],
)
def test_what_runs_as_it_stands(found: Found, body: str, note: str) -> None:
    """What the README promises is unmodified, and its needs are noted."""
    finding = verdict(found, body)

    assert finding.verdict == "unmodified"
    assert note in finding.why
    assert "SessionRunHookCallback(" in finding.write


@pytest.mark.parametrize(
    ("body", "kind", "why", "write"),
    [
        (
            in_method("begin", 'g.get_tensor_by_name("tower/xent:0")'),
            "change",
            "'tower/xent:0'",
            'tf.identity(graph.get_tensor_by_name("loss:0"), "tower/xent")',
        ),
        (
            in_method("begin", 'f().get_operation_by_name("train_op")'),
            "change",
            "'train_op'",
            '"train_op")',
        ),
        (
            in_method("before_run", 'context.session.run("loss:0")'),
            "change",
            "before the step",
            'SessionRunArgs("loss:0")',
        ),
        (
            in_method("begin", "self.opt.minimize(loss)"),
            "change",
            "minimize",
            "gradients/",
        ),
        (in_method("begin", "tf.gradients(a, b)"), "change", "gradients", ""),
        (
            in_method("begin", "tf.train.start_queue_runners()"),
            "replace",
            "queue",
            "tf.data",
        ),
        (in_method("end", "context.partial_run(h, x)"), "change", "", "run("),
        (in_method("end", "self.x.numpy()"), "change", ".numpy()", "run("),
        (
            in_method("begin", "tf.losses.get_total_loss()"),
            "change",
            "get_total_loss",
            "loss:0",
        ),
        (
            in_method("begin", "tf.get_collection('features')"),
            "change",
            "the collection 'features'",
            "features:0",
        ),
        (
            in_method("begin", "tf.get_collection(tf.GraphKeys.LOSSES)"),
            "change",
            "LOSSES",
            "loss:0",
        ),
        (in_method("end", "{}.iteritems()"), "change", "iteritems", "2to3"),
        (in_method("end", "xrange(3)"), "change", "xrange", "2to3"),
        (in_method("end", "print >>f, 1"), "change", "Python 2", "2to3"),
        (
            in_method(
                "before_run",
                "return tf.train.SessionRunArgs(None, {self.lr: 1})",
            ),
            "change",
            "feeds self.lr",
            "learning_rate:0",
        ),
        (
            in_method(
                "before_run",
                "return tf.train.SessionRunArgs(None, {self.dropout: 1})",
            ),
            "replace",
            "feeds self.dropout",
            "dataset",
        ),
    ],
)
def test_what_has_to_be_changed(
    found: Found, body: str, kind: str, why: str, write: str
) -> None:
    """What differs from v1 is found, with the reason and the line to write."""
    finding = verdict(found, body)

    assert finding.verdict == kind
    assert why in finding.why
    assert write in finding.write


@pytest.mark.parametrize(
    ("around", "verdict"),
    [
        ("def f(loss):", "change"),
        ("def f(x):\n    loss = tf.reduce_mean(x)", "change"),
        ("def f():\n    loss = 'loss:0'", "unmodified"),
        ("def f():\n    import loss", "unmodified"),
    ],
)
def test_tensors_of_the_code_around(
    found: Found, around: str, verdict: str
) -> None:
    """A class that fetches a tensor of a function around it needs its name."""
    (finding,) = found(
        f"import tensorflow.compat.v1 as tf\n{around}\n"
        "    class A(tf.train.SessionRunHook):\n"
        "        def before_run(self, c):\n"
        "            return tf.train.SessionRunArgs([loss])\n"
    )

    assert finding.verdict == verdict
    assert (finding.write == 'loss = "loss:0"') == (verdict == "change")


def test_attributes_of_the_code_around(found: Found) -> None:
    """A tensor of a model object gets the name that its attribute means."""
    (finding,) = found(
        "import tensorflow.compat.v1 as tf\n"
        "def f(model):\n"
        "    class A(tf.train.SessionRunHook):\n"
        "        def before_run(self, c):\n"
        "            return tf.train.SessionRunArgs(\n"
        "                model.global_step, feed_dict={model.lrn_rate: 1})\n"
    )

    assert "fetches model.global_step" in finding.why
    assert "feeds model.lrn_rate" in finding.why
    assert finding.write.splitlines() == [
        'return tf.compat.v1.train.SessionRunArgs("global_step:0")',
        'feed_dict={"learning_rate:0": rate}',
    ]


def test_an_own_placeholder_may_be_fed(found: Found) -> None:
    """A hook feeds what it has made itself."""
    body = (
        "def begin(self): self.p = tf.placeholder(tf.float32)\n"
        "def before_run(self, c):\n"
        "    return tf.train.SessionRunArgs(self.p, {self.p: 1})"
    )

    assert verdict(found, body).verdict == "unmodified"


@pytest.mark.parametrize(
    "name", ["loss:0", "gradients/a/b:0", "labels", "x/kernel:0", "accuracy:0"]
)
def test_names_that_are_there(name: str) -> None:
    """The names of the README are there, whatever the model is."""
    assert graph_names.is_there(name)


def test_reasons_give_the_worst_verdict_and_line() -> None:
    """The worst reason comes first, and the lines are those of its kind."""
    reasons = Reasons()
    reasons.add("change", "one", "first")
    reasons.add("replace", "two", "second")
    reasons.add("change", "one", "first")
    reasons.add("replace", "four", "fourth")
    reasons.note("three")

    assert reasons.verdict == "replace"
    assert reasons.why("else") == "two; four; one; three"
    assert reasons.write("else") == "second\nfourth"
    assert Reasons().why("else") == "else"


def test_no_way_has_no_line() -> None:
    """Where there is no way, nothing is to be written."""
    reasons = Reasons()
    reasons.add("none", "never")

    assert reasons.write("else") == ""
