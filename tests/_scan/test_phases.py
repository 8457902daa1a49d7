# SPDX-License-Identifier: Apache-2.0
"""Whether a session trains or evaluates, and what is in its place."""

import ast
from pathlib import Path

import pytest
import tensorflow as tf

from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback._scan.bare_sessions import BareSessions
from final_ops_callback._scan.bare_sessions import evaluation
from final_ops_callback._scan.given import GivenHooks
from final_ops_callback._scan.known import known
from final_ops_callback._scan.phases import creator_of
from final_ops_callback._scan.phases import fetched
from final_ops_callback._scan.phases import phase_of
from final_ops_callback._scan.phases import session_of
from tests import models
from tests._scan.conftest import Found
from tests._scan.contexts import context_of

HEAD = "import tensorflow.compat.v1 as tf\n"
METRIC = "value, update = tf.metrics.accuracy(a, b)\n"
SINGULAR = "tf.train.SingularMonitoredSession(checkpoint_dir=d)"


def run(fetches: str, session: str = SINGULAR) -> str:
    return f"with {session} as s:\n    while 1: s.run({fetches})\n"


def written(found: Found, code: str, name: str = "MonitoredSession") -> str:
    """The lines for a session, which are code, and the same in its places."""
    here = [f for f in found(HEAD + code) if f.kind == "session"]
    lines = {f.write for f in here if f.name.endswith(name)}
    (write,) = lines
    ast.parse(write)
    return write


TRAINED = (
    "model.fit(data, callbacks=[MonitoredTrainingCallback(checkpoint_dir=d, "
    "save_checkpoint_secs=None, save_summaries_steps=None, "
    "log_step_count_steps=None)])"
)
EVERY = "for step, values in evaluate_checkpoints(model, data, d, every=True"


@pytest.mark.parametrize(
    ("code", "write"),
    [
        (METRIC + run("update"), f"{EVERY}, timeout=0): ..."),
        (METRIC + run("[loss, update]"), f"{EVERY}, timeout=0): ..."),
        (f"s = {SINGULAR}\ns.run(eval_op)", f"{EVERY}, timeout=0): ..."),
        (f"def evaluate():\n  s = {SINGULAR}\n", f"{EVERY}, timeout=0): ..."),
        (
            f"while True:\n  s = {SINGULAR}\n  s.run(eval_op)",
            f"{EVERY}): ...",
        ),
        (
            "f = tf.train.FinalOpsHook({'a': accuracy})\n"
            + run("x", SINGULAR.replace("(", "([f, h], ")),
            f"{EVERY}, timeout=0, final_ops={{'a': \"accuracy\"}}, "
            "hooks=[h]): ...",
        ),
        (run("train_op"), TRAINED),
        ("go = opt.minimize(x)\n" + run("go"), TRAINED),
        (
            "f = tf.train.FinalOpsHook('loss:0')\n"
            + run("[train_op]", SINGULAR.replace("(", "([f], ")),
            TRAINED.replace(")])", "), f])"),
        ),
        (f"def train():\n  s = {SINGULAR}\n", TRAINED),
        (
            run("x"),
            f"{TRAINED}  # if it trains\n{EVERY}, timeout=0): ..."
            "  # if it evaluates",
        ),
        (
            "s = tf.train.MonitoredSession()\ns.run(eval_op)",
            "model.evaluate(data)",
        ),
        (
            "s = tf.train.MonitoredSession()\ns.run(train_op)",
            "model.fit(data)",
        ),
        (
            "class A:\n  def a(self):\n    self.s = " + SINGULAR + "\n"
            "  def b(self): self.s.run(train_op)",
            TRAINED,
        ),
    ],
)
def test_sessions(found: Found, code: str, write: str) -> None:
    """What is run, the hooks and the names around say what it is for."""
    assert written(found, code) == write


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("tf.train.latest_checkpoint(d)", "d"),
        ("tf.train.get_checkpoint_state(d).model_checkpoint_path", "d"),
        ("os.path.join(d, name)", "d"),
        ("path", "os.path.dirname(path)"),
    ],
)
def test_the_folder_of_a_checkpoint(
    found: Found, path: str, folder: str
) -> None:
    """A session and its creator have one line, with names that are there."""
    code = (
        f"def evaluate(d, name, path):\n    ckpt = {path}\n"
        "    c = tf.train.ChiefSessionCreator("
        f"checkpoint_filename_with_path={'ckpt' if path != 'path' else path})\n"
        "    with tf.train.MonitoredSession(session_creator=c) as s:\n"
        "        s.run(eval_op)\n"
    )
    write = evaluation(folder, ["every=True", "timeout=0"])

    assert written(found, code) == write
    assert written(found, code, "Creator") == write


def test_a_checkpoint_to_train_from(found: Found) -> None:
    """Without a folder, the checkpoint itself is restored before `fit`."""
    code = (
        "c = tf.train.ChiefSessionCreator(checkpoint_filename_with_path=p)\n"
        + run("train_op", "tf.train.MonitoredSession(c)")
    )

    assert written(found, code) == "restore_v1(model, p)\nmodel.fit(data)"


def test_a_session_that_trains_restores_and_saves_nothing(
    tmp_path: Path,
) -> None:
    """The line for it is right: only the checkpoint of before is there."""
    first = MonitoredTrainingCallback(tmp_path, log_step_count_steps=None)
    models.fit(models.tiny_model(), first)
    path = tf.train.latest_checkpoint(tmp_path)
    made = TRAINED.partition("[")[2].rpartition("]")[0]
    names = {"MonitoredTrainingCallback": MonitoredTrainingCallback}
    before = sorted(tmp_path.iterdir())
    model = models.tiny_model()
    models.fit(model, eval(made, names, {"d": tmp_path}))

    assert tf.train.latest_checkpoint(tmp_path) == path is not None
    assert sorted(tmp_path.iterdir()) == before
    assert int(model.optimizer.iterations) == 2 * int(path.split("-")[-1]) > 0


def test_parts() -> None:
    """A session, its creator and what is run in it are found together."""
    context, facts = context_of(
        a="import tensorflow.compat.v1 as tf\n"
        "c = tf.train.ChiefSessionCreator(checkpoint_dir=d)\n"
        "with tf.train.MonitoredSession(c) as s:\n    s.run(train_op)\n"
    )
    creator, session, _ = facts.calls
    what = known(("tensorflow", "compat", "v1", "train", "MonitoredSession"))
    bare = BareSessions(context, GivenHooks(context))

    found = creator_of(session)
    assert found is not None
    assert found.trailer is creator.call.trailer
    assert session_of(context, facts, creator.call) is session
    assert [n.value for n in fetched(facts, session)] == ["train_op"]
    assert phase_of(context, facts, session, []) == "train"
    assert what is not None
    assert bare.instead(facts, session, what)[1] == TRAINED
