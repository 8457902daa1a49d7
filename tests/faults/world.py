# SPDX-License-Identifier: Apache-2.0
"""Provides models and data for faults, and counts what is left behind."""

import collections
import functools
import gc
import os
import threading
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback._step import kinds

v1 = tf.compat.v1

FLAVORS: dict[str, ModuleType] = {"keras": keras, "tf_keras": tf_keras}
CALLS = {"train": "fit", "test": "evaluate", "predict": "predict"}
STEPS = 3
ROWS = 2
FEATURES = np.random.default_rng(0).normal(size=(STEPS * ROWS, 2))
FEATURES = FEATURES.astype("float32")
LABELS = FEATURES[:, :1] * 2
# What a hook fetches of a step, in each phase.
FETCHES = {"train": "loss:0", "test": "loss:0", "predict": "predictions:0"}


def nothing() -> None:
    """Does nothing."""
    return  # autograph wants a statement


class Fault:
    """Raises an exception when it is called for the n-th time.

    Args:
        error: The exception.
        moment: Integer. The number of calls that go well.
    """

    def __init__(self, error: BaseException, moment: int = 0) -> None:
        self.error = error
        self.armed = False
        self.raised = False
        self._left = moment

    def __call__(self, *unused: Any, **named: Any) -> None:
        if not self.armed:
            return
        self._left -= 1
        if self._left == -1:
            self.raised = True
            raise self.error


@functools.cache
def model_class(flavor: str) -> Any:
    """Returns a class of models whose steps call `inside` of the class."""

    class Model(FLAVORS[flavor].Sequential):
        inside = staticmethod(nothing)

        def train_step(self, data: Any) -> Any:
            type(self).inside()
            return super().train_step(data)

        def test_step(self, data: Any) -> Any:
            type(self).inside()
            return super().test_step(data)

        def predict_step(self, data: Any) -> Any:
            type(self).inside()
            return super().predict_step(data)

    return Model


def new_model(flavor: str, eager: bool = False, built: bool = True) -> Any:
    """Returns a compiled model of one layer, in its start state."""
    package = FLAVORS[flavor]
    layers = [package.layers.Dense(1, kernel_initializer="ones")]
    inputs = [package.Input((2,))] if built else []
    model = model_class(flavor)([*inputs, *layers])
    model.compile(
        package.optimizers.SGD(0.1),
        "mse",
        metrics=[package.metrics.MeanAbsoluteError(name="mae")],
        run_eagerly=eager,
        jit_compile=False,
    )
    return model


@functools.cache
def model_of(flavor: str, eager: bool = False) -> Any:
    """Returns the trained model that all cases share."""
    model = new_model(flavor, eager)
    for phase in CALLS:
        run(model, phase)
    return model


def reset(model: Any) -> None:
    """Puts a built model into its start state."""
    kernel, bias = model.weights[:2]
    kernel.assign(np.ones((2, 1)))
    bias.assign(np.zeros(1))
    model.optimizer.iterations.assign(0)


@functools.cache
def data_of(phase: str) -> tf.data.Dataset:
    """Returns three batches, with labels where a phase takes some."""
    parts = FEATURES if phase == "predict" else (FEATURES, LABELS)
    return tf.data.Dataset.from_tensor_slices(parts).batch(ROWS)


def run(model: Any, phase: str, callbacks: Any = (), data: Any = None) -> None:
    """Runs fit, evaluate or predict, for an epoch."""
    shuffle = {"shuffle": False} if phase == "train" else {}
    getattr(model, CALLS[phase])(
        data_of(phase) if data is None else data,
        callbacks=list(callbacks),
        verbose=0,
        **shuffle,
    )


class Watcher(v1.train.SessionRunHook):
    """Notes what it sees in every method, and has a thread."""

    def __init__(self, fetch: str) -> None:
        self.fetch = fetch
        self.seen: list[Any] = []

    def begin(self) -> None:
        self.seen = []
        self._norm = tf.linalg.global_norm(v1.trainable_variables())

    def after_create_session(self, session: Any, coord: Any) -> None:
        thread = threading.Thread(target=coord.wait_for_stop, daemon=True)
        coord.register_thread(thread)
        thread.start()

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs([self.fetch, self._norm])

    def after_run(self, context: Any, values: Any) -> None:
        self.seen.append(values.results)

    def end(self, session: Any) -> None:
        self.seen.append(session.run(self._norm))


def seen_by_fresh(model: Any, flavor: str, data: Any = None) -> Any:
    """Fits with new callbacks, from the start state.

    Args:
        model: The model, built.
        flavor: String. Its Keras package.
        data: The data set, if not the usual one.

    Returns:
        List of all that a hook, the final ops and the model show.
    """
    reset(model)
    watcher = Watcher(FETCHES["train"])
    final = FinalOpsCallback(
        {"weights": lambda model: model.get_weights(), "mae": "mae"}
    )
    callbacks = [SessionRunHookCallback(watcher), final]
    run(model, "train", callbacks, data)
    return [watcher.seen, final.final_ops_values, model.get_weights()]


@functools.cache
def seen_unhurt(flavor: str, eager: bool = False) -> Any:
    """Returns what a model without any fault shows."""
    return seen_by_fresh(new_model(flavor, eager), flavor)


def ours_on(model: Any) -> list[str]:
    """Lists the objects of this package on a model or on a part of it."""
    parts = [model, *model.layers, model.optimizer, *model.metrics]
    return [
        f"{type(part).__name__}.{name}"
        for part in parts
        for name, value in vars(part).items()
        if _is_ours(value)
    ]


def _is_ours(value: Any) -> bool:
    homes = [getattr(type(value), "__module__", "")]
    for named in (value, getattr(value, "__wrapped__", None)):
        homes.append(getattr(named, "__module__", None) or "")
    return any(str(h).startswith("final_ops_callback") for h in homes)


_COUNTED = (
    tf.Graph,
    tf.Variable,
    tf.summary.SummaryWriter,
    v1.summary.FileWriter,
    v1.train.SessionRunHook,
    v1.Session,
)

# A function with extra outputs is kept for the next run.
_KEPT = {
    *("FuncGraph", "_Made", "ModelStep", "Wrappers"),
    *("StepCaller", "DirectStep", "FlatFunction"),
} | {kind.__name__ for kind in kinds.KINDS}


def all_that_lives() -> dict[str, int]:
    """Counts what a run may leave behind.

    Objects are counted that came after `gc.freeze()`: all of this package,
    the graphs, variables, writers, hooks and sessions of TensorFlow. So are
    threads and open files. A function that TensorFlow has traced leaves a
    `FuncGraph` behind, with Keras alone, too: those are not counted. Nor is
    what `_step` keeps with the functions of a model, to trace them once.
    """
    gc.collect()
    counts: dict[str, int] = {
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }
    for kind, count in collections.Counter(map(type, gc.get_objects())).items():
        if _is_counted(kind):
            name = kind.__qualname__
            counts[name] = counts.get(name, 0) + count
    return counts


def _is_counted(kind: type) -> bool:
    is_ours = kind.__module__.startswith("final_ops_callback.")
    return kind.__name__ not in _KEPT and (
        is_ours or issubclass(kind, _COUNTED)
    )
