# SPDX-License-Identifier: Apache-2.0
"""Measures what each peer adds to a step, in steady state.

A step is timed inside an epoch, which excludes start-up, tracing and the work
of Keras between epochs. Each peer is timed between two runs of its floor, in
rounds of different order: the quoted figure is the median of the differences,
because the speed of a shared machine changes by the minute.
"""

import dataclasses
import gc
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.bench import jobs

v1 = tf.compat.v1

X = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
Y = X[:, :1] * 2

# Runs some epochs; returns the microseconds of a step in each of them.
Run = Callable[[], list[float]]


@dataclasses.dataclass
class Cost:
    """What a peer adds to a step.

    Attributes:
        middle: Float. The median of what it adds, in microseconds.
        quartiles: Pair of floats. Between them is half of what was measured.
    """

    middle: float
    quartiles: tuple[float, float]


class Stopwatch(keras.callbacks.Callback):
    """Times epochs; it has no batch method, which would cost by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._begin)


def dense_model(layers: int = 1, optimizer: str = "sgd") -> Any:
    """Returns a small compiled model of `2 * layers + 2` variables."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(8, "relu") for _ in range(layers)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def keras_run(
    callbacks: list[Any], steps: int, epochs: int, model: Any = None
) -> Run:
    """Returns a function that trains a model with callbacks.

    Args:
        callbacks: List of callbacks.
        steps: Integer. The steps of an epoch.
        epochs: Integer. How many epochs are timed.
        model: A compiled model, or `None`: a tiny one.
    """
    model = model or dense_model()
    data = tf.data.Dataset.from_tensors((X, Y)).repeat()

    def run() -> list[float]:
        watch = Stopwatch()
        model.fit(
            data,
            steps_per_epoch=steps,
            epochs=epochs + 1,
            verbose=0,
            shuffle=False,
            # Last, so that it begins after and ends before the others.
            callbacks=[*callbacks, watch],
        )
        # The first epoch traces and learns what the hooks ask for.
        return [seconds / steps * 1e6 for seconds in watch.seconds[1:]]

    return run


def v1_run(make_hooks: Any, steps: int, epochs: int) -> Run:
    """Returns a function that trains the same model under v1's session."""
    with tf.Graph().as_default():
        v1.set_random_seed(0)
        data = tf.data.Dataset.from_tensors((X, Y)).repeat()
        features, labels = v1.data.make_one_shot_iterator(data).get_next()
        w1, b1 = v1.get_variable("w1", [4, 8]), v1.get_variable("b1", [8])
        w2, b2 = v1.get_variable("w2", [8, 1]), v1.get_variable("b2", [1])
        error = tf.nn.relu(features @ w1 + b1) @ w2 + b2 - labels
        loss = tf.reduce_mean(tf.square(error), name="loss")
        step = v1.train.get_or_create_global_step()
        optimizer = v1.train.GradientDescentOptimizer(0.01)
        train_op = optimizer.minimize(loss, step)
        session = v1.train.MonitoredSession(hooks=make_hooks())

    def run() -> list[float]:
        found = []
        for _ in range(epochs + 1):
            begin = time.perf_counter()
            for _ in range(steps):
                session.run([train_op, loss])  # Keras, too, fetches the loss
            found.append((time.perf_counter() - begin) / steps * 1e6)
        return found[1:]

    return run


def added(runs: dict[Any, tuple[Run, Run]], rounds: int) -> dict[Any, Cost]:
    """Measures what runs add to their floors.

    Args:
        runs: Dict from a key to a run and its floor.
        rounds: Integer. How often each is measured.

    Returns:
        Dict from the keys to costs.
    """
    found: dict[Any, list[float]] = {key: [] for key in runs}
    order, shuffle = list(runs), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for key in order:
            run, floor = runs[key]
            gc.collect()
            before, there, after = floor(), run(), floor()
            found[key].append(
                statistics.median(there) - statistics.median(before + after)
            )
    return {key: _cost(values) for key, values in found.items()}


def _cost(values: list[float]) -> Cost:
    if len(values) < 2:
        return Cost(values[0], (values[0], values[0]))
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Cost(middle, (low, high))


def of_jobs(rounds: int, steps: int, epochs: int) -> dict[Any, Cost]:
    """Measures the time that all jobs add to a step, by implementation.

    Args:
        rounds: Integer. How often each is measured.
        steps: Integer. The steps of an epoch.
        epochs: Integer. The epochs of a measurement.

    Returns:
        Dict from the name of a job and `"v1"`, `"hand"` or `"ours"` to its
        cost.
    """
    bare = keras_run([], steps, epochs)
    bare_v1 = v1_run(list, steps, epochs)
    runs: dict[Any, tuple[Run, Run]] = {}
    for job in jobs.JOBS:
        runs[job.name, "ours"] = keras_run(job.ours(), steps, epochs), bare
        if job.hooks:
            runs[job.name, "v1"] = v1_run(job.hooks, steps, epochs), bare_v1
        if job.hand:
            by_hand = [jobs.ByHand(job.hand())]
            runs[job.name, "hand"] = keras_run(by_hand, steps, epochs), bare
    return added(runs, rounds)
