# SPDX-License-Identifier: Apache-2.0
"""Runs one job for long in a fresh Python, and prints what it keeps.

python -m tests.endurance.measure JOB HOOKS COUNT

HOOKS is `ours`, `bare` (the same job of Keras alone) or `leaky` (ours, and a
callback that frees nothing). The output is a JSON list: at each twentieth of
the job, the bytes of the process, the objects of Python, and those of
TensorFlow.
"""

import collections
import ctypes
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any
from typing import ClassVar

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.flavors import keras

v1 = tf.compat.v1

X = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
Y = X[:, :1] * 2

# By the name of the class, because most of them have no public one.
KINDS = (
    "Graph",
    "FuncGraph",
    "HookGraph",
    "EagerSession",
    "ConcreteFunction",
    "AtomicFunction",
    "Function",
    "ResourceVariable",
    "EagerTensor",
    "Operation",
)


def model_of_the_job() -> Any:
    """Returns a compiled model of two layers."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,), name="image"),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)
    return model


def six_hooks(folder: str) -> Callable[[], list[Any]]:
    """Returns a function that makes the hooks of an ordinary script."""

    def make() -> list[Any]:
        weight = v1.trainable_variables()[0]
        summary = v1.summary.scalar("norm", tf.norm(weight))
        return [
            v1.train.LoggingTensorHook({"loss": "loss:0"}, every_n_iter=100),
            v1.train.StopAtStepHook(last_step=10**9),
            v1.train.NanTensorHook("loss:0"),
            v1.train.StepCounterHook(every_n_steps=100, output_dir=folder),
            v1.train.SummarySaverHook(
                save_steps=100, output_dir=folder, summary_op=summary
            ),
            v1.train.CheckpointSaverHook(
                folder, save_steps=5000, saver=v1.train.Saver(max_to_keep=2)
            ),
        ]

    return make


def make_callbacks(model: Any, folder: str) -> list[Any]:
    """Returns both of our callbacks, with all that the job asks of them."""
    final = FinalOpsCallback(
        {"loss": "loss", "out": "out", "kernel": model.weights[0]}
    )
    return [SessionRunHookCallback(six_hooks(folder)), final]


class Leak(keras.callbacks.Callback):
    """Frees nothing, which the measurements have to notice."""

    kept: ClassVar[list[Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.kept.append([tf.constant(np.ones(1000)), {"of": batch}])

    on_test_batch_end = on_train_batch_end


class Measurements:
    """Measures at each twentieth of a job.

    Args:
        count: Integer. How long the job is.
    """

    def __init__(self, count: int) -> None:
        self._every = max(1, count // 20)
        self._began = time.monotonic()
        self.taken: list[dict[str, Any]] = []

    def at(self, index: int) -> None:
        """Measures at each twentieth of the job.

        Args:
            index: Integer. How much of the job is done.
        """
        if index % self._every:
            return
        for _ in range(3):
            gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        objects = gc.get_objects()
        names = collections.Counter(type(o).__name__ for o in objects)
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        self.taken.append(
            {
                "at": index,
                "seconds": round(time.monotonic() - self._began, 1),
                "rss": pages * os.sysconf("SC_PAGE_SIZE"),
                "objects": len(objects),
                "functions": len(context.context().list_function_names()),
                **{kind: names[kind] for kind in KINDS},
            }
        )


class AtEpochs(keras.callbacks.Callback):
    """Measures while a fit goes on."""

    def __init__(self, measurements: Measurements, steps: int) -> None:
        super().__init__()
        self._measurements = measurements
        self._steps = steps

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._measurements.at((epoch + 1) * self._steps)


def steps(make: Callable[..., list[Any]], count: int) -> Measurements:
    """One fit of many steps."""
    model, measurements = model_of_the_job(), Measurements(count)
    epochs = 20
    per_epoch = count // epochs
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()
    at_epochs = AtEpochs(measurements, per_epoch)
    model.fit(
        data,
        epochs=epochs,
        steps_per_epoch=per_epoch,
        verbose=0,
        callbacks=[*make(model), at_epochs],
    )
    return measurements


def repeated(
    method: str, anew: bool, make: Callable[..., list[Any]], count: int
) -> Measurements:
    """Many fits or evaluates.

    Args:
        method: String. `"fit"` or `"evaluate"`.
        anew: Boolean. Whether each has callbacks of its own.
        make: Function that returns the callbacks.
        count: Integer. How many.
    """
    model, measurements = model_of_the_job(), Measurements(count)
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    callbacks = make(model)
    for index in range(1, count + 1):
        if anew:
            callbacks = make(model)
        getattr(model, method)(data, verbose=0, callbacks=callbacks)
        measurements.at(index)
    return measurements


JOBS: dict[str, Callable[..., Measurements]] = {
    "steps": steps,
    "fits": lambda *a: repeated("fit", False, *a),
    "fits anew": lambda *a: repeated("fit", True, *a),
    "evaluates": lambda *a: repeated("evaluate", False, *a),
    "evaluates anew": lambda *a: repeated("evaluate", True, *a),
}


def main(job: str, hooks: str, count: str) -> None:
    """Runs a job and prints its measurements."""
    with tempfile.TemporaryDirectory() as folder:

        def make(model: Any) -> list[Any]:
            if hooks == "bare":
                return []
            callbacks = make_callbacks(model, folder)
            return [*callbacks, Leak()] if hooks == "leaky" else callbacks

        measurements = JOBS[job](make, int(count))
    print(json.dumps(measurements.taken))


if __name__ == "__main__":
    main(*sys.argv[1:])
