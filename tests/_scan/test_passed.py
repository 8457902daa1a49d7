# SPDX-License-Identifier: Apache-2.0
"""The places that get hooks, and the sessions."""

import ast

import pytest

from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.passed import MARK
from tests._scan.conftest import Found

HEAD = (
    "import tensorflow.compat.v1 as tf\n"
    "import tf_slim as slim\n"
    "from final_ops_callback import SessionRunHookCallback\n"
)


def passed(found: Found, code: str) -> Finding:
    (finding,) = (f for f in found(HEAD + code) if f.kind == "hooks_passed")
    return finding


@pytest.mark.parametrize(
    ("code", "verdict", "write"),
    [
        ("e.train(f, hooks=h)", "replace", "model.fit(data, callbacks=["),
        ("e.train(f, hooks)", "replace", "SessionRunHookCallback(hooks)"),
        ("e.train(f, my_hooks, 3)", "replace", "Callback(my_hooks)"),
        ("e.evaluate(f, None, [hook])", "replace", "model.evaluate("),
        ("e.predict(f, None, [hook])", "replace", "model.predict("),
        ("Spec(training_hooks=h)", "replace", "model.fit("),
        ("Spec(evaluation_hooks=h)", "replace", "model.evaluate("),
        ("Spec(prediction_hooks=h)", "replace", "model.predict("),
        (
            "tf.estimator.EstimatorSpec(1, training_chief_hooks=h)",
            "replace",
            "chief_only=True",
        ),
        ("tf.estimator.EvalSpec(f, 1, 'a', h)", "replace", "model.evaluate("),
        ("tf.train.MonitoredSession(c, h)", "replace", "Callback(h)"),
        ("tf.train.SingularMonitoredSession(h)", "replace", "Callback(h)"),
        (
            "tf.train.MonitoredTrainingSession('', True, 'd', None, h)",
            "replace",
            "MonitoredTrainingCallback",
        ),
        (
            "slim.evaluation.evaluate_once('', 'd', 'l', hooks=h)",
            "replace",
            "evaluate_checkpoints(model, data, 'd', hooks=h)",
        ),
        ("def f(hooks): pass\nf(hooks=h)", "unmodified", ""),
        ("SessionRunHookCallback(hooks=h)", "unmodified", ""),
        ("unknown(hooks=h)", "change", "SessionRunHookCallback(h)"),
        (
            "e.train(f, hooks=[tf.train.StopAtStepHook(3)])",
            "replace",
            "Callback([tf.train.StopAtStepHook(3)])",
        ),
        (
            "e.train(f, hooks=[tf.train.NanTensorHook(loss)])",
            "replace",
            "Callback(lambda: [tf.train.NanTensorHook(loss)])",
        ),
        (
            "f = tf.train.FinalOpsHook('loss:0')\ne.train(g, hooks=[h, f])",
            "replace",
            "callbacks=[SessionRunHookCallback([h]), f]",
        ),
        (
            "e.train(g, hooks=[tf.train.FinalOpsHook('loss:0')])",
            "replace",
            "callbacks=[FinalOpsCallback('loss:0')]",
        ),
    ],
)
def test_hooks_that_are_passed(
    found: Found, code: str, verdict: str, write: str
) -> None:
    """Each place that gets hooks has the Keras line that takes its place."""
    finding = passed(found, code)

    assert finding.verdict == verdict
    assert write in finding.write
    ast.parse(finding.write)


@pytest.mark.parametrize(
    "code",
    [
        "e.train(f, hooks=None)",
        "e.train(f, hooks=[])",
        "e.train(f, steps)",
        "e.train(f)",
        "def f(hooks=h): pass",
        "{'hooks': h}",
    ],
)
def test_no_hooks_are_passed(found: Found, code: str) -> None:
    """No hooks, an empty list, or another argument is no finding."""
    assert [f for f in found(HEAD + code) if f.kind == "hooks_passed"] == []


def test_hooks_of_other_libraries_are_not_told(found: Found) -> None:
    """A keyword `hooks` in code without TensorFlow is something else."""
    assert found("import torch\nrun(hooks=h)\n") == []


def test_own_methods_pass_hooks_on(found: Found) -> None:
    """A method of the class around it is code of the tree."""
    finding = passed(
        found,
        "class A:\n    def f(self, hooks): pass\n"
        "    def g(self): self.f(hooks=h)\n",
    )

    assert finding.verdict == "unmodified"


@pytest.mark.parametrize(
    ("code", "name", "write"),
    [
        (
            "tf.train.MonitoredTrainingSession(checkpoint_dir=d, hooks=h, "
            "config=c, save_summaries_steps=None)",
            "MonitoredTrainingSession",
            "model.fit(data, callbacks=[MonitoredTrainingCallback("
            "checkpoint_dir=d, hooks=h, save_summaries_steps=None)])",
        ),
        (
            "tf.train.MonitoredSession(hooks=h)",
            "MonitoredSession",
            "model.fit(data, callbacks=[SessionRunHookCallback(h)])"
            "  # if it trains\n"
            "model.evaluate(data, callbacks=[SessionRunHookCallback(h)])"
            "  # if it evaluates",
        ),
        (
            "tf.train.ChiefSessionCreator(checkpoint_dir=d)",
            "ChiefSessionCreator",
            "model.fit(data, callbacks=[MonitoredTrainingCallback("
            "checkpoint_dir=d, save_checkpoint_secs=None, "
            "save_summaries_steps=None, log_step_count_steps=None)])"
            "  # if it trains\n"
            "for step, values in evaluate_checkpoints(model, data, d, "
            "every=True, timeout=0): ...  # if it evaluates",
        ),
        (
            "tf.train.Scaffold(init_fn=f)",
            "Scaffold",
            "SessionRunHookCallback(hooks, scaffold=lambda: "
            "tf.train.Scaffold(init_fn=f))",
        ),
        (
            "tf.train.Supervisor(logdir=d)",
            "Supervisor",
            "model.fit(data, callbacks=[MonitoredTrainingCallback("
            "checkpoint_dir=d)])",
        ),
        (
            "slim.learning.train(op, d)",
            "train",
            "model.fit(data, callbacks=[MonitoredTrainingCallback("
            "checkpoint_dir=d)])",
        ),
        (
            "slim.evaluation.evaluate_once('', d, l, final_op=[a])",
            "evaluate_once",
            "for step, values in evaluate_checkpoints(model, data, d, "
            'final_ops=["NAME"]): ...',
        ),
        (
            "slim.training.evaluation.evaluate_repeatedly(d, timeout=3)",
            "evaluate_repeatedly",
            "for step, values in evaluate_checkpoints(model, data, d, "
            "timeout=3): ...",
        ),
    ],
)
def test_sessions(found: Found, code: str, name: str, write: str) -> None:
    """What ran a loop in v1 has the line that runs it under Keras."""
    (finding,) = (f for f in found(HEAD + code) if f.kind == "session")

    assert (finding.name, finding.write) == (name, write)
    assert finding.verdict in ("replace", "change")
    ast.parse(write)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("e.train(f, hooks=h)", 4),
        ("if a:\n    e.train(f,\n            hooks=h)", 5),
        ("if a: e.train(f, hooks=h)", 4),
        ("a; e.train(f, hooks=h)", 4),
        ("x = [\n  e.train(f, hooks=h),\n]", 4),
        ("with e.train(f, hooks=h) as g:\n    pass", 4),
        ("@e.train(f, hooks=h)\ndef g(): pass", 4),
    ],
)
def test_the_comment_goes_above_the_statement(
    found: Found, code: str, line: int
) -> None:
    """The Keras line stands above the statement, with its indentation."""
    (edit,) = passed(found, code).edits

    assert edit.start == edit.end == (line, 0)
    assert edit.text.strip().startswith(MARK)


def test_each_line_of_two_is_a_comment(found: Found) -> None:
    """Of two lines to choose from, neither becomes code."""
    code = "with tf.train.MonitoredSession(c, h) as s:\n    pass"
    (edit,) = passed(found, code).edits

    assert len(edit.text.splitlines()) == 2
    assert all(line.startswith(MARK) for line in edit.text.splitlines())


def test_a_comment_that_is_there_is_not_written_again(found: Found) -> None:
    """A second run finds the comment of the first."""
    finding = passed(found, f"{MARK}model.fit()\ne.train(f, hooks=h)")

    assert finding.edits == ()
