# SPDX-License-Identifier: Apache-2.0
"""The places where a hook is made."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback._scan import final_ops
from final_ops_callback._scan.classes import ClassJudge
from final_ops_callback._scan.factories import Factories
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.made import MadeJudge
from tests import models
from tests._scan.conftest import Found
from tests._scan.contexts import context_of

v1 = tf.compat.v1
HEAD = "import tensorflow.compat.v1 as tf\n"


def made_by(found: Found, code: str) -> Finding:
    (finding,) = (f for f in found(HEAD + code) if f.kind == "hook_made")
    return finding


@pytest.mark.parametrize(
    ("code", "verdict", "write"),
    [
        ("tf.train.StopAtStepHook(3)", "unmodified", "StopAtStepHook(3)"),
        ("tf.train.NanTensorHook('loss:0')", "unmodified", "'loss:0'"),
        ("tf.train.NanTensorHook(loss)", "change", '("loss:0")'),
        ("tf.train.NanTensorHook(loss_tensor=x)", "change", '="NAME:0"'),
        (
            "tf.train.LoggingTensorHook({'a': acc, 'b': 'loss'}, 10)",
            "change",
            "LoggingTensorHook({'a': \"accuracy:0\", 'b': 'loss'}, 10)",
        ),
        (
            "t = {'p': 'softmax_tensor'}\ntf.train.LoggingTensorHook(t)",
            "change",
            '"softmax_tensor")',
        ),
        (
            "t = {'p': 'loss:0'}\ntf.train.LoggingTensorHook(tensors=t)",
            "unmodified",
            "tensors=t",
        ),
        (
            "def f(t):\n    tf.train.LoggingTensorHook(t)",
            "change",
            'LoggingTensorHook("NAME:0")',
        ),
        ("tf.train.ProfilerHook(3)", "change", "lambda: tf.train.Profiler"),
        ("tf.train.SummarySaverHook(1, summary_op=op)", "change", "lambda: "),
        ("tf.train.CheckpointSaverHook('a', 1)", "unmodified", "'a'"),
        ("tf.train.CheckpointSaverHook('a', saver=s)", "change", "lambda: "),
        ("tf.train.CheckpointSaverHook('a', saver=None)", "unmodified", ""),
        ("tf.train.FeedFnHook(f)", "replace", "fit"),
        (
            "def f(): return {'learning_rate:0': 1}\ntf.train.FeedFnHook(f)",
            "unmodified",
            "FeedFnHook(f)",
        ),
        (
            "from tensorflow.python.training import evaluation\n"
            "evaluation._StopAfterNEvalsHook(3)",
            "unmodified",
            "",
        ),
        ("opt.make_session_run_hook(True)", "replace", "MirroredStrategy"),
        (
            "tf.estimator.NanTensorHook('loss:0')",
            "change",
            "tf.train.NanTensorHook('loss:0')",
        ),
        (
            "tf.estimator.experimental.make_early_stopping_hook(e, f)",
            "change",
            "estimator.experimental.make_early_stopping_hook(e, f)",
        ),
        (
            "tf.estimator.experimental.make_stop_at_checkpoint_step_hook(e, 3)",
            "replace",
            "StopAtStepHook",
        ),
        (
            "import functools\nfunctools.partial(tf.train.StopAtStepHook, 3)",
            "unmodified",
            "partial",
        ),
    ],
)
def test_stock_hooks(found: Found, code: str, verdict: str, write: str) -> None:
    """A hook with names runs as it stands; one with tensors gets names."""
    finding = made_by(found, code)

    assert finding.verdict == verdict
    assert write in finding.write


@pytest.mark.parametrize(
    ("arguments", "verdict", "write"),
    [
        ("'loss:0', 3", "unmodified", "Own('loss:0', 3)"),
        ("loss, 3", "change", 'Own("loss:0", 3)'),
        ("every=3, loss=total_loss", "change", 'loss="loss:0"'),
        ("'loss:0', tf.constant(1)", "change", "lambda: Own("),
    ],
)
def test_own_hooks(
    found: Found, arguments: str, verdict: str, write: str
) -> None:
    """The arguments of an own hook that it fetches get names, too."""
    finding = made_by(
        found,
        "class Own(tf.train.SessionRunHook):\n"
        "    def __init__(self, loss, every): self.l = loss\n"
        "    def before_run(self, c):\n"
        "        return tf.train.SessionRunArgs(self.l)\n"
        f"Own({arguments})\n",
    )

    assert finding.verdict == verdict
    assert write in finding.write


def test_a_hook_whose_class_needs_a_change(found: Found) -> None:
    """A hook can't be better than its class."""
    finding = made_by(
        found,
        "class Own(tf.train.SessionRunHook):\n"
        "    def end(self, session): xrange(3)\nOwn()\n",
    )

    assert finding.verdict == "change"
    assert "code.py:2" in finding.why


@pytest.mark.parametrize("code", ["Own()", "print(tf.train.Saver())", "a()()"])
def test_other_calls_make_no_hook(found: Found, code: str) -> None:
    """What is not known to be a hook is none."""
    assert found(HEAD + code) == []


@pytest.mark.parametrize(
    "name",
    ["loss:0", "predictions:0", "global_step:0", "learning_rate:0", "mae:0"],
)
def test_a_leaf_has_the_value_of_the_hook(name: str, model: Any) -> None:
    """FinalOpsCallback gives what FinalOpsHook gave for the name."""
    leaf = eval(final_ops.leaf_for(name))
    final = FinalOpsCallback(leaf)
    hook = v1.train.FinalOpsHook(name)
    models.fit(model, SessionRunHookCallback(hook), final)

    assert final.final_ops_values == pytest.approx(hook.final_ops_values)


@pytest.mark.parametrize("name", ["hidden/Relu:0", "a/b:0", "train_op"])
def test_a_name_without_a_leaf(name: str) -> None:
    """What a model may not have becomes no leaf."""
    assert final_ops.leaf_for(name) == ""


@pytest.mark.parametrize(
    "code",
    [
        "def make(): return tf.train.NanTensorHook(loss)\n"
        "SessionRunHookCallback(make)",
        "SessionRunHookCallback(lambda: [tf.train.ProfilerHook(3)])",
        "MonitoredTrainingCallback(hooks=lambda: tf.train.NanTensorHook(x))",
        "from other import make\nSessionRunHookCallback(make)",
        "f(scaffold=1)\n"
        "SessionRunHookCallback(h, scaffold=lambda: tf.train.Scaffold())",
        "def make():\n"
        "    loss = graph.get_tensor_by_name('loss:0')\n"
        "    class A(tf.train.SessionRunHook):\n"
        "        def before_run(self, c):\n"
        "            return tf.train.SessionRunArgs(loss)\n"
        "    return A()\n"
        "SessionRunHookCallback(make)",
    ],
)
def test_what_is_made_in_the_hook_graph_is_done(
    found: Found, code: str
) -> None:
    """A function that runs in the hook graph may make what needs a graph."""
    other = HEAD + "def make(): return tf.train.NanTensorHook(loss)\n"
    findings = found(HEAD + code, other=other if "other" in code else "")

    assert findings
    assert {f.verdict for f in findings} == {"unmodified"}


def test_another_function_is_not_in_the_hook_graph(found: Found) -> None:
    """Only what is given to a callback of this package runs there."""
    (finding,) = found(
        HEAD + "def make(): return tf.train.NanTensorHook(loss)\nother(make)\n"
    )

    assert finding.verdict == "change"


def test_a_factory_is_known_by_its_scope() -> None:
    """All that stands in a function that is given to a callback is inside."""
    context, facts = context_of(
        a="def make():\n    def inner(): one()\n"
        "def other(): two()\n"
        "SessionRunHookCallback(make)\nHookRunner(lambda: three())"
    )
    context.factories.add(facts)
    inside = {
        fact.call.callee[0].value: context.factories.contain(fact.scope)
        for fact in facts.calls
    }

    assert inside == {
        "one": True,
        "two": False,
        "three": True,
        "SessionRunHookCallback": False,
        "HookRunner": False,
    }
    assert isinstance(context.factories, Factories)


def test_a_judge_says_what_makes_a_hook() -> None:
    """A call that makes a hook has a finding, and any other call has none."""
    context, facts = context_of(
        a="import tensorflow.compat.v1 as tf\n"
        "tf.train.StopAtStepHook(3)\ntf.train.Saver()"
    )
    judge = MadeJudge(context, ClassJudge(context))
    found = [judge.judge(facts, fact) for fact in facts.calls]

    assert [one and one.name for one in found] == ["StopAtStepHook", None]
