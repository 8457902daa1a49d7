# SPDX-License-Identifier: Apache-2.0
"""Measures one-time costs (start-up, memory, final ops) and their growth."""

import concurrent.futures
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.bench import jobs
from tests.bench import models
from tests.bench import steps

v1 = tf.compat.v1

BIG_MODEL, BIG_LEAF = 500, 200  # MB
METRICS = 100


def stop() -> Any:
    """Returns a hook that never stops."""
    return v1.train.StopAtStepHook(last_step=jobs.FAR)


def stop_hook() -> Any:
    """Returns a callback with a hook that never stops."""
    return SessionRunHookCallback(stop())


def start_up(
    variables: int, count: int = 1, times: int = 3, **options: Any
) -> float:
    """Returns the seconds that a hook adds to the first steps of `fit`.

    Args:
        variables: Integer. How many variables the model and its optimizer
            (Adam, two slots for each weight) have together.
        count: Integer. How many steps `fit` makes.
        times: Integer. How often it is measured; the fastest counts.
        **options: Arguments of `compile`.
    """
    layers = max(0, (variables - 2) // 6 - 1)
    model = steps.dense_model(layers, "adam", **options)
    data = models.TINY.data()

    def fit(callbacks: list[Any]) -> float:
        begin = time.perf_counter()
        model.fit(data, steps_per_epoch=count, verbose=0, callbacks=callbacks)
        return time.perf_counter() - begin

    fit([])  # Keras traces the step
    bare = min(fit([]) for _ in range(times))
    return min(fit([stop_hook()]) for _ in range(times)) - bare


class Varies(v1.train.SessionRunHook):
    """Fetches in some different ways, each of them again and again.

    Args:
        ways: Integer. How many ways there are.
    """

    def __init__(self, ways: int) -> None:
        self._ways = ways
        self._step = 0

    def begin(self) -> None:
        norm = tf.linalg.global_norm(v1.trainable_variables())
        self._tensors = [norm * float(way) for way in range(self._ways)]

    def before_run(self, context: Any) -> Any:
        self._step += 1
        return v1.train.SessionRunArgs(
            self._tensors[self._step // 10 % self._ways]
        )


def _memory_of_ways(ways: int) -> float:
    model = steps.dense_model(20)
    data = models.TINY.data()

    def fit(callbacks: list[Any]) -> None:
        model.fit(data, steps_per_epoch=200, verbose=0, callbacks=callbacks)

    fit([])
    fit([SessionRunHookCallback(Varies(1))])
    return _rise(lambda: fit([SessionRunHookCallback(Varies(ways))]))


class _Big(keras.layers.Layer):
    def __init__(self, megabytes: int, trainable: bool) -> None:
        super().__init__()
        self._shape = (megabytes * 2**20 // 4,)
        self._is_trained = trainable

    def build(self, shape: Any) -> None:
        self.big = self.add_weight(
            shape=self._shape, initializer="zeros", trainable=self._is_trained
        )

    def call(self, inputs: Any) -> Any:
        return inputs + self.big[0]


def _big_model(megabytes: int, trainable: bool) -> Any:
    model = keras.Sequential([keras.Input((4,)), _Big(megabytes, trainable)])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse", jit_compile=False)
    return model


def _rise(run: Callable[[], Any]) -> float:
    """Returns by how many MB the peak of a run exceeds what was used before."""
    status = Path("/proc/self/status")
    # Linux forgets the peak of the process.
    Path("/proc/self/clear_refs").write_text("5")

    def of(field: str) -> float:
        (line,) = [x for x in status.read_text().split("\n") if field in x]
        return int(line.split()[1]) / 2**10

    before = of("VmRSS")
    run()
    return of("VmHWM") - before


def _memory_of_hooks() -> float:
    model = _big_model(BIG_MODEL, trainable=True)

    def fit(callbacks: list[Any]) -> None:
        model.fit(steps.X, steps.Y, verbose=0, epochs=3, callbacks=callbacks)

    fit([])
    bare = _rise(lambda: fit([]))
    return _rise(lambda: fit([stop_hook(), FinalOpsCallback("loss")])) - bare


def _memory_of_a_leaf() -> float:
    model = _big_model(BIG_LEAF, trainable=False)

    def evaluate(callbacks: list[Any]) -> None:
        model.evaluate(steps.X, steps.Y, verbose=0, callbacks=callbacks)

    evaluate([])
    bare = _rise(lambda: evaluate([]))
    final = FinalOpsCallback(model.layers[0].big)
    return _rise(lambda: evaluate([final])) - bare


def alone(measure: Callable[[], float]) -> float:
    """Measures in a separate process, which has its own memory peak."""
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn")
    ) as pool:
        return pool.submit(measure).result()


def memory() -> dict[str, float]:
    """Returns by how many MB the peak of the memory rises."""
    return {
        "hooks": alone(_memory_of_hooks),
        "leaf": alone(_memory_of_a_leaf),
        "ten ways": alone(functools.partial(_memory_of_ways, 10))
        - alone(functools.partial(_memory_of_ways, 1)),
    }


class _Mark(keras.callbacks.Callback):
    def on_test_end(self, logs: Any = None) -> None:
        self.time = time.perf_counter()


def final_ops(times: int = 15) -> tuple[float, float]:
    """Measures many metrics at the end of evaluate.

    Returns:
        Pair of milliseconds: FinalOpsCallback, and a plain loop of results.
    """
    model = steps.dense_model()
    metrics = [keras.metrics.Mean(f"m{i}") for i in range(METRICS)]
    for index, metric in enumerate(metrics):
        metric.update_state(float(index))
    first, last = _Mark(), _Mark()
    final = FinalOpsCallback(metrics, on="test")
    ours, loop = [], []
    for _ in range(times + 1):
        model.evaluate(
            steps.X, steps.Y, verbose=0, callbacks=[first, final, last]
        )
        ours.append((last.time - first.time) * 1e3)
        begin = time.perf_counter()
        expected = [metric.result().numpy() for metric in metrics]
        loop.append((time.perf_counter() - begin) * 1e3)
        np.testing.assert_array_equal(final.final_ops_values, expected)
    return statistics.median(ours[1:]), statistics.median(loop[1:])


def growth_in_steps() -> tuple[float, float]:
    """Returns the cost of early and of late steps in a long fit.

    It is the time in microseconds that StopAtStepHook adds to a step, in the
    first and in the last thousand of ten thousand steps.
    """
    with_hook = steps.keras_run([stop_hook()], 1000, 10)()
    bare = steps.keras_run([], 1000, 10)()
    return with_hook[0] - bare[0], with_hook[-1] - bare[-1]


def growth_in_variables(rounds: int, count: int) -> dict[int, steps.Cost]:
    """Returns what StopAtStepHook adds to a step, by the number of variables.

    Args:
        rounds: Integer. How often each is measured.
        count: Integer. The steps of an epoch.
    """
    runs = {}
    for variables in (10, 1200):
        model = steps.dense_model((variables - 2) // 2)
        runs[variables] = (
            steps.keras_run([stop_hook()], count, 3, model),
            steps.keras_run([], count, 3, model),
        )
    return steps.added(runs, rounds)
