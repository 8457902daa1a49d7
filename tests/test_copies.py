# SPDX-License-Identifier: Apache-2.0
"""A callback is copied and pickled after a fit, with nothing of the run."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests import models

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
train = v1.train


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": pickled}


class Losses(train.SessionRunHook):
    """Fetches what it has built, and counts."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0

    def begin(self) -> None:
        self.loss = tf.identity(v1.train.get_global_step())

    def before_run(self, run_context: Any) -> Any:
        return train.SessionRunArgs({"a": [self.loss], "b": "loss:0"})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.count += 1
        if self.count >= self.most:
            run_context.request_stop()


class Around(Losses):
    """A hook that has others inside of it."""

    def __init__(self, *inner: Any) -> None:
        super().__init__(9)
        self.inner = list(inner)
        self.first = inner[0]

    def begin(self) -> None:
        super().begin()
        for hook in self.inner:
            hook.begin()


def stop_early() -> Any:
    return train.StopAtStepHook(last_step=1)


def steps_of(callback: Any) -> int:
    """Returns how many steps a fit with the callback makes."""
    model = models.tiny_model()
    models.fit(model, callback)
    return int(model.optimizer.iterations.numpy())


HOOKS: dict[str, tuple[Callable[[Path], Any], int]] = {
    "stop": (lambda path: train.StopAtStepHook(last_step=1), 1),
    "own": (lambda path: [Losses(1)], 1),
    "around": (
        lambda path: Around(Losses(9), train.NanTensorHook("loss:0")),
        2,
    ),
    "function": (lambda path: stop_early, 1),
    "logging": (lambda path: (train.LoggingTensorHook(["loss:0"], 1),), 2),
    "writers": (
        lambda path: [
            train.CheckpointSaverHook(str(path), save_steps=1),
            train.SummarySaverHook(
                save_steps=1, output_dir=str(path), scaffold=train.Scaffold()
            ),
            train.StepCounterHook(1, output_dir=str(path)),
        ],
        2,
    ),
}


@pytest.mark.parametrize("after", ["made", "fit", "failed"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize(("make", "steps"), HOOKS.values(), ids=HOOKS.keys())
def test_hooks_are_copied_as_they_were_made(
    make: Callable[[Path], Any],
    steps: int,
    copied: Callable[[Any], Any],
    after: str,
    tmp_path: Path,
) -> None:
    """The copy does what the original does, and the original goes on."""
    callback = SessionRunHookCallback(
        make(tmp_path), step_tensors={"labels": tf.TensorSpec([None, 1])}
    )
    if after == "fit":
        assert steps_of(callback) == steps
    elif after == "failed":
        fails = models.keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            models.fit(models.tiny_model(), callback, fails)

    duplicate = copied(callback)

    assert type(duplicate) is SessionRunHookCallback
    assert duplicate._step_tensors == callback._step_tensors
    assert duplicate._runs == {}
    assert duplicate._runs is not callback._runs
    assert duplicate.model is None
    assert steps_of(duplicate) == steps


def test_a_copy_has_none_of_the_runs_state() -> None:
    """A hook that counted begins at what it was made with."""
    hook = Losses(5)
    callback = SessionRunHookCallback([Around(hook)])
    assert steps_of(callback) == 2
    assert hook.loss is not None

    (around,) = copy.deepcopy(callback)._hooks

    assert vars(around).keys() == {"most", "count", "inner", "first"}
    assert around.first is around.inner[0]
    assert vars(around.first) == {"most": 5, "count": 0}
    assert around.first is not hook
    assert around.count == 0


def test_a_copy_before_a_fit_has_what_the_hook_has() -> None:
    """Attributes set on a hook before its first run belong to its copies."""
    hook = Losses(1)
    callback = SessionRunHookCallback(hook)
    hook.most = 9

    assert steps_of(copy.deepcopy(callback)) == 2
    assert steps_of(callback) == 2
    assert steps_of(pickled(callback)) == 2


def test_a_hook_that_cannot_be_pickled() -> None:
    """Python's own error names the object that can't be pickled."""

    class Local(Losses):
        pass

    callback = SessionRunHookCallback(Local(1))
    steps_of(callback)

    with pytest.raises(AttributeError, match=r"Can't pickle local.*Local"):
        pickled(callback)


def half(model: Any) -> Any:
    return tf.reduce_sum(model.trainable_variables[0]) / 2.0


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("is_fitted", [True, False])
def test_final_ops_are_copied(
    copied: Callable[[Any], Any], is_fitted: bool, tmp_path: Path
) -> None:
    """The values go along, and both callbacks evaluate on."""
    ops = {"log": "loss", "step": ["predictions", "gradients/global_norm"]}
    final = FinalOpsCallback(
        {**ops, "half": half, "one": 1}, filepath=tmp_path / "a.json", verbose=1
    )
    if is_fitted:
        models.fit(models.tiny_model(), final)
    before = final.final_ops_values

    duplicate = copied(final)

    assert type(duplicate) is FinalOpsCallback
    if is_fitted:
        assert duplicate.final_ops_values["log"] == before["log"]
        assert duplicate.final_ops_values_by_phase.keys() == {"train"}
    model = models.tiny_model()
    models.fit(model, duplicate)
    assert duplicate.final_ops_values["half"] == half(model).numpy()
    assert final.final_ops_values is before
    models.fit(models.tiny_model(), final)
    assert final.final_ops_values.keys() == {"log", "step", "half", "one"}
