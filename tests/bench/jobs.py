# SPDX-License-Identifier: Apache-2.0
"""Defines the measured jobs: as v1 hooks, and by hand for Keras.

"By hand" is what a careful user writes after TensorFlow's migration guide: a
Keras callback with one method, at the end of the batch.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.bench import models

v1 = tf.compat.v1

FAR = 10**9  # a step that never comes
SCALARS = 20

Hand = Callable[[Any, int, Any], None]


class NoOp(v1.train.SessionRunHook):
    """Overrides nothing."""


class Norm(v1.train.SessionRunHook):
    """Fetches the norm of all weights in each step."""

    def begin(self) -> None:
        self.norm = tf.linalg.global_norm(v1.trainable_variables())

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs(self.norm)

    def after_run(self, context: Any, values: Any) -> None:
        self.last = values.results


def summary_hook() -> Any:
    """Writes a summary of some scalars in each step."""
    norm = tf.linalg.global_norm(v1.trainable_variables())
    scalars = [v1.summary.scalar(f"s{i}", norm + i) for i in range(SCALARS)]
    return v1.train.SummarySaverHook(
        save_steps=1,
        output_dir=tempfile.mkdtemp(),
        summary_op=v1.summary.merge(scalars),
    )


def six_hooks() -> list[Any]:
    """Returns the hooks of an ordinary training script."""
    folder = tempfile.mkdtemp()
    return [
        v1.train.LoggingTensorHook(["loss:0"], every_n_iter=100),
        v1.train.StopAtStepHook(last_step=FAR),
        v1.train.NanTensorHook("loss:0"),
        v1.train.StepCounterHook(100, output_dir=folder),
        v1.train.CheckpointSaverHook(folder, save_steps=FAR),
        Norm(),
    ]


class ByHand(keras.callbacks.Callback):
    """Does a job at the end of each batch."""

    def __init__(self, job: Hand) -> None:
        super().__init__()
        self._job = job
        self._step = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        self._job(self.model, self._step, logs)


def nothing(model: Any, step: int, logs: Any) -> None:
    """Does nothing."""


def log(model: Any, step: int, logs: Any) -> None:
    if step % 100 == 0:
        v1.logging.info("loss = %s, step = %s", logs["loss"], step)


def stop(model: Any, step: int, logs: Any) -> None:
    if int(model.optimizer.iterations.numpy()) >= FAR:
        model.stop_training = True


def nan(model: Any, step: int, logs: Any) -> None:
    if np.isnan(logs["loss"]):
        raise FloatingPointError("the loss is NaN")


@tf.function
def _norm(weights: Any) -> Any:
    return tf.linalg.global_norm(weights)


def norm(model: Any, step: int, logs: Any) -> None:
    _norm([weight.value for weight in model.trainable_weights]).numpy()


def six() -> Hand:
    rate = count_steps()

    def job(model: Any, step: int, logs: Any) -> None:
        for one in (log, stop, nan, norm, rate):
            one(model, step, logs)

    return job


def count_steps() -> Hand:
    """Writes the steps per second, as StepCounterHook does."""
    writer = tf.summary.create_file_writer(tempfile.mkdtemp())
    last = [0.0]

    def job(model: Any, step: int, logs: Any) -> None:
        if step % 100 == 0:
            now = float(tf.timestamp())
            with writer.as_default(step=step):
                tf.summary.write("global_step/sec", 100 / (now - last[0]))
            last[0] = now

    return job


def summary() -> Hand:
    writer = tf.summary.create_file_writer(tempfile.mkdtemp())

    def job(model: Any, step: int, logs: Any) -> None:
        weights = [weight.value for weight in model.trainable_weights]
        length = _norm(weights)
        with writer.as_default(step=step):
            for index in range(SCALARS):
                tf.summary.write(f"s{index}", length + index)

    return job


@dataclasses.dataclass
class Job:
    """One line of the table.

    Attributes:
        name: String. What is done.
        ours: Function that returns the callbacks that do it.
        hooks: Function that returns the v1 hooks that do it, or `None`.
        hand: Function that returns what does it by hand, or `None`.
    """

    name: str
    ours: Callable[[], list[Any]]
    hooks: Callable[[], list[Any]] | None = None
    hand: Callable[[], Hand] | None = None


def _of_hooks(name: str, hooks: Any, hand: Callable[[], Hand]) -> Job:
    return Job(name, lambda: [SessionRunHookCallback(hooks)], hooks, hand)


JOBS = [
    Job(
        "FinalOpsCallback, any ops",
        lambda: [FinalOpsCallback(["loss", lambda model: model.weights])],
    ),
    _of_hooks(
        "a hook that overrides nothing", lambda: [NoOp()], lambda: nothing
    ),
    _of_hooks(
        "LoggingTensorHook every 100",
        lambda: [v1.train.LoggingTensorHook(["loss:0"], every_n_iter=100)],
        lambda: log,
    ),
    _of_hooks(
        "StopAtStepHook",
        lambda: [v1.train.StopAtStepHook(last_step=FAR)],
        lambda: stop,
    ),
    _of_hooks(
        "NanTensorHook", lambda: [v1.train.NanTensorHook("loss:0")], lambda: nan
    ),
    _of_hooks("norm of all weights each step", lambda: [Norm()], lambda: norm),
    _of_hooks("six hooks together", six_hooks, six),
    _of_hooks(
        f"a summary of {SCALARS} scalars every step",
        lambda: [summary_hook()],
        summary,
    ),
]

# A call of Keras, a model, the name of a job and its hooks.
ELSEWHERE: list[tuple[str, models.Kind, str, Callable[[], list[Any]]]] = [
    ("fit", models.CONVOLUTIONS, "six hooks", six_hooks),
    ("fit", models.EMBEDDING, "six hooks", six_hooks),
    (
        "evaluate",
        models.TINY,
        "NanTensorHook, norm",
        lambda: [v1.train.NanTensorHook("loss:0"), Norm()],
    ),
    ("predict", models.TINY, "norm", lambda: [Norm()]),
]
