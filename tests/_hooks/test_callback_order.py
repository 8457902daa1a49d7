# SPDX-License-Identifier: Apache-2.0
"""BackupAndRestore goes before the hooks: they begin on what it restored."""

from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests import models
from tests.flavors import keras

v1 = tf.compat.v1

# Keras 3 saves and loads weights so.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")

# Epochs of two steps each; the third one is never begun.
STEPS_SAVED = 4


class Seen(NamedTuple):
    """The global step at several moments of a resumed run."""

    created: int
    first: int
    last: int


class Watch(v1.train.SessionRunHook):
    """Reads the global step when the session is there, and in each step."""

    def __init__(self) -> None:
        self.created = -1
        self.steps: list[int] = []

    def begin(self) -> None:
        self.step = v1.train.get_global_step()

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.created = int(session.run(self.step))

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.steps.append(int(run_values.results))

    @property
    def seen(self) -> Seen:
        return Seen(self.created, self.steps[0], self.steps[-1])


def hooks() -> list[Any]:
    return [Watch(), v1.train.StopAtStepHook(num_steps=3)]


def original(folder: Path) -> Seen:
    """Returns what v1's hooks see when a training goes on."""
    for made in ([v1.train.StopAtStepHook(last_step=STEPS_SAVED)], hooks()):
        with tf.Graph().as_default():
            step = v1.train.create_global_step()
            # v1 orders no reads and writes of one run: what hooks read of
            # the step is read before it moves, as under Keras.
            read = v1.get_default_graph().as_graph_element(step)
            with tf.control_dependencies([read]):
                train_op = step.assign_add(1)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(folder),
                hooks=made,
                log_step_count_steps=None,
            ) as session:
                while not session.should_stop():
                    session.run(train_op)
    return made[0].seen


class Preempted(keras.callbacks.Callback):
    """Ends the training with an unexpected exception."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise KeyError("preempted")


def seen_under_keras(folder: Path, *, is_backup_first: bool) -> Seen:
    """Returns what hooks see when fit goes on after a restart."""
    with pytest.raises(KeyError, match="preempted"):
        models.fit(
            models.tiny_model(),
            keras.callbacks.BackupAndRestore(str(folder)),
            Preempted(),
            epochs=9,
        )
    made = hooks()
    callbacks = [
        keras.callbacks.BackupAndRestore(str(folder)),
        SessionRunHookCallback(made),
    ]
    if not is_backup_first:
        callbacks.reverse()
    models.fit(models.tiny_model(), *callbacks, epochs=9)
    return made[0].seen


def test_after_the_backup_hooks_see_what_was_restored(tmp_path: Path) -> None:
    """With BackupAndRestore before them, hooks go on as under v1."""
    expected = original(tmp_path / "v1")

    seen = seen_under_keras(tmp_path / "keras", is_backup_first=True)

    assert seen == expected
    assert expected.created == STEPS_SAVED


def test_before_the_backup_hooks_see_what_it_overwrites(tmp_path: Path) -> None:
    """In the other order hooks begin at step 0, and count from there."""
    expected = original(tmp_path / "v1")

    seen = seen_under_keras(tmp_path / "keras", is_backup_first=False)

    assert seen.created == 0
    assert seen.first == expected.first
    assert seen.last < expected.last


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("is_first", [False, True])
def test_hooks_run_around_the_step_itself(call: str, is_first: bool) -> None:
    """Hooks run inside of the batch events of every callback in the list."""
    events: list[str] = []
    phase = {"fit": "train", "evaluate": "test", "predict": "predict"}[call]

    class Batches(keras.callbacks.Callback):
        pass

    for moment in ("begin", "end"):
        setattr(
            Batches,
            f"on_{phase}_batch_{moment}",
            lambda self, batch, logs=None, m=moment: events.append(m),
        )

    class Runs(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> None:
            events.append("before_run")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            events.append("after_run")

    model, data = models.tiny_model(), models.tiny_data()
    callbacks = [SessionRunHookCallback(Runs()), Batches()]
    getattr(model, call)(
        data.x,
        *([] if call == "predict" else [data.y]),
        batch_size=4,
        verbose=0,
        callbacks=callbacks if is_first else callbacks[::-1],
    )

    runs = ["begin", "before_run", "after_run", "end"]
    assert events == runs * (len(data.x) // 4)
