# SPDX-License-Identifier: Apache-2.0
"""The body of a class, and what is judged in it."""

from typing import Any

import pytest

from final_ops_callback._scan.body import Body
from final_ops_callback._scan.body import body_of
from final_ops_callback._scan.body import is_session_run
from final_ops_callback._scan.body import self_attribute
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.feeds import add_feeds
from final_ops_callback._scan.given import call_of_keras
from final_ops_callback._scan.given import needs_graph
from final_ops_callback._scan.grammar import parse
from final_ops_callback._scan.old_calls import add_old_calls
from final_ops_callback._scan.old_calls import add_python_2
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.sessions import argument_code
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.tree import Tree


def node_of(text: str) -> Any:
    return parse(f"{text}\n").tree.children[0].children[0]


def body(*lines: str) -> Body:
    text = "class A(B):\n  def f(self):\n" + "".join(
        f"    {line}\n" for line in lines
    )
    return body_of(facts_of("a.py", parse(text)).classes[0])


def test_a_body_has_methods_and_calls() -> None:
    """The methods are known by name, the calls in their order."""
    found = body("self.a(b(1))", "c()")

    assert list(found.methods) == ["f"]
    assert [call.callee[-1].get_code().strip() for call in found.calls] == [
        ".a",
        "b",
        "c",
    ]


@pytest.mark.parametrize(
    ("text", "is_run"),
    [
        ("session.run(x)", True),
        ("run_context.session.run(x)", True),
        ("self._sess.run(x)", True),
        ("tf.get_default_session().run(x)", True),
        ("subprocess.run(x)", False),
        ("run(x)", False),
        ("session.close()", False),
    ],
)
def test_what_runs_a_session(text: str, is_run: bool) -> None:
    """A run is that of a session if its owner is called so."""
    *_, call = calls_of(node_of(text))

    assert is_session_run(call) == is_run


def test_an_attribute_of_a_hook() -> None:
    """Only what is directly of self is an attribute of the hook."""
    assert self_attribute(node_of("self.a")) == ("self", "a")
    assert self_attribute(node_of("self.a.b")) is None
    assert self_attribute(node_of("other.a")) is None


def test_feeds_of_a_dict_that_is_not_written_out() -> None:
    """A feed dict that comes from elsewhere is noted."""
    reasons = Reasons()
    add_feeds(body("return SessionRunArgs(x, self.feeds)"), reasons)

    assert reasons.verdict == "unmodified"
    assert reasons.notes == ["feeds a dict: only its own tensors can be fed"]


def test_calls_of_other_objects_are_their_own() -> None:
    """A method that is called gradients need not be that of TensorFlow."""
    resolver = Resolver(Tree([], lambda path: None))
    reasons = Reasons()
    found = body("self.gradients(x)", "x.partial_run(h)")
    add_old_calls(found, resolver, reasons)

    assert [r.why for r in reasons.reasons] == [
        "calls partial_run: a run can't be divided"
    ]


def test_names_of_python_2_that_are_bound_are_no_problem() -> None:
    """A file that defines xrange itself may call it."""
    text = (
        "from six.moves import xrange\nclass A(B):\n  def f(self): xrange(3)\n"
    )
    tree = Tree(["/w/a.py"], lambda path: facts_of(path, parse(text)))
    facts = tree.facts("/w/a.py")
    assert facts is not None
    reasons = Reasons()
    add_python_2(body_of(facts.classes[0]), Resolver(tree), reasons)

    assert reasons.reasons == []


@pytest.mark.parametrize(
    ("text", "needs_it"),
    [
        ("hooks", False),
        ("[a, b]", False),
        ("[tf.train.StopAtStepHook(3)]", False),
        ("[tf.train.NanTensorHook('loss:0')]", False),
        ("[tf.train.NanTensorHook(my_loss)]", True),
        ("[tf.train.ProfilerHook(3)]", True),
        ("[Own()]", True),
    ],
)
def test_hooks_that_may_need_a_graph(text: str, needs_it: bool) -> None:
    """What may make tensors goes into a function."""
    assert needs_graph(node_of(text)) == needs_it


def test_the_line_of_keras() -> None:
    """Hooks go into a callback, and final ops are one of their own."""
    assert call_of_keras("fit", "hooks", ["final"]) == (
        "model.fit(data, callbacks=[SessionRunHookCallback(hooks), final])"
    )
    assert call_of_keras("evaluate", "", ["final"]) == (
        "model.evaluate(data, callbacks=[final])"
    )


def test_an_argument_by_its_names_or_its_place() -> None:
    """The first of the names that is there counts, then the place."""
    (call,) = calls_of(node_of("f(a, c=b)"))

    assert argument_code(call, ("c",), 0) == "b"
    assert argument_code(call, ("d",), 0) == "a"
    assert argument_code(call, ("d",)) == ""
