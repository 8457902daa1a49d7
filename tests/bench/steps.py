# SPDX-License-Identifier: Apache-2.0
"""Measures what each peer adds to a step, in steady state.

A step is timed inside an epoch, which excludes start-up, tracing and the work
of Keras between epochs. Each peer is timed between two runs of its floor, in
rounds of different order: the quoted figure is the median of the differences,
because the speed of a shared machine changes by the minute.
"""

import dataclasses
import functools
import gc
import random
import statistics
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.bench import jobs
from tests.bench import models

v1 = tf.compat.v1

X, Y = models.TINY.arrays()

# Runs some epochs; returns the microseconds of a step in each of them.
Run = Callable[[], list[float]]


@dataclasses.dataclass
class Cost:
    """What a peer adds to a step.

    Attributes:
        middle: Float. The median of what it adds, in microseconds.
        quartiles: Pair of floats. Between them is half of what was measured.
        floor: Float. The median of the floor: a step without the peer.
    """

    middle: float
    quartiles: tuple[float, float]
    floor: float


def stopwatch(flavor: ModuleType) -> Any:
    """Returns a callback that times epochs, and calls of evaluate and predict.

    It has no batch method, which would cost by itself.

    Args:
        flavor: A Keras package.
    """

    class Stopwatch(flavor.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.on_test_begin()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.on_test_end()

        def on_test_begin(self, logs: Any = None) -> None:
            self._begin = time.perf_counter()

        def on_test_end(self, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self._begin)

        on_predict_begin, on_predict_end = on_test_begin, on_test_end

    return Stopwatch()


def dense_model(layers: int = 1, optimizer: str = "sgd", **options: Any) -> Any:
    """Returns a small compiled model of `2 * layers + 2` variables."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(8, "relu") for _ in range(layers)),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse", **{"jit_compile": False, **options})
    return model


def keras_run(
    callbacks: list[Any],
    steps: int,
    epochs: int,
    model: Any = None,
    kind: models.Kind = models.TINY,
    flavor: ModuleType = keras,
    call: str = "fit",
) -> Run:
    """Returns a function that runs a model with callbacks.

    Args:
        callbacks: List of callbacks.
        steps: Integer. The steps of an epoch.
        epochs: Integer. How many epochs (or calls) are timed.
        model: A compiled model, or `None`: one of the kind.
        kind: The `Kind` of the model, whose data is used.
        flavor: The Keras package of the model.
        call: String. `"fit"`, `"evaluate"` or `"predict"`.
    """
    model = model or kind.model(flavor)
    data = kind.data()

    def run() -> list[float]:
        watch = stopwatch(flavor)
        # Last, so that it begins after and ends before the others.
        options = {"verbose": 0, "callbacks": [*callbacks, watch]}
        if call == "fit":
            # The first epoch traces and learns what the hooks ask for.
            model.fit(
                data,
                steps_per_epoch=steps,
                epochs=epochs + 1,
                shuffle=False,
                **options,
            )
            return [seconds / steps * 1e6 for seconds in watch.seconds[1:]]
        found = []
        for _ in range(epochs):
            # Each call is a run of the hooks, whose first steps learn.
            for count in (steps, 2 * steps):
                getattr(model, call)(data, steps=count, **options)
            short, long = watch.seconds[-2:]
            found.append((long - short) / steps * 1e6)
        return found

    return run


def v1_run(
    make_hooks: Any,
    steps: int,
    epochs: int,
    kind: models.Kind = models.TINY,
    call: str = "fit",
) -> Run:
    """Returns a function that runs the same model under v1's session."""
    with tf.Graph().as_default():
        v1.set_random_seed(0)
        batch = v1.data.make_one_shot_iterator(kind.data()).get_next()
        features, labels = batch
        outputs = kind.outputs(features)
        loss = tf.reduce_mean(tf.square(outputs - labels), name="loss")
        step = v1.train.get_or_create_global_step()
        optimizer = v1.train.GradientDescentOptimizer(0.01)
        # Keras, too, fetches the loss.
        fetches = {
            "fit": lambda: [optimizer.minimize(loss, step), loss],
            "evaluate": lambda: [v1.metrics.mean(loss)[1], loss],
            "predict": lambda: outputs,
        }[call]()
        session = v1.train.MonitoredSession(hooks=make_hooks())

    def run() -> list[float]:
        found = []
        for _ in range(epochs + 1):
            begin = time.perf_counter()
            for _ in range(steps):
                session.run(fetches)
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
    floors: dict[Any, list[float]] = {key: [] for key in runs}
    order, shuffle = list(runs), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for key in order:
            run, floor = runs[key]
            gc.collect()
            before, there, after = floor(), run(), floor()
            floors[key] += before + after
            found[key].append(
                statistics.median(there) - statistics.median(before + after)
            )
    return {key: _cost(found[key], floors[key]) for key in runs}


def _cost(values: list[float], floors: list[float]) -> Cost:
    floor = statistics.median(floors)
    if len(values) < 2:
        return Cost(values[0], (values[0], values[0]), floor)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Cost(middle, (low, high), floor)


def of_jobs(
    rounds: int, steps: int, epochs: int, flavor: ModuleType = keras
) -> dict[Any, Cost]:
    """Measures the time that all jobs add to a step, by implementation.

    Args:
        rounds: Integer. How often each is measured.
        steps: Integer. The steps of an epoch.
        epochs: Integer. The epochs of a measurement.
        flavor: The Keras package of the models.

    Returns:
        Dict from the name of a job and `"v1"`, `"hand"` or `"ours"` to its
        cost.
    """

    def of_keras(callbacks: list[Any]) -> Run:
        return keras_run(callbacks, steps, epochs, flavor=flavor)

    bare, bare_v1 = of_keras([]), v1_run(list, steps, epochs)
    runs: dict[Any, tuple[Run, Run]] = {}
    for job in jobs.JOBS:
        runs[job.name, "ours"] = of_keras(job.ours()), bare
        if job.hooks:
            runs[job.name, "v1"] = v1_run(job.hooks, steps, epochs), bare_v1
        if job.hand and flavor is keras:
            by_hand = [jobs.ByHand(job.hand())]
            runs[job.name, "hand"] = of_keras(by_hand), bare
    return added(runs, rounds)


def elsewhere(
    rounds: int, steps: int, epochs: int, flavor: ModuleType = keras
) -> dict[Any, Cost]:
    """Measures hooks on other models, and in evaluate and predict.

    Args:
        rounds: Integer. How often each is measured.
        steps: Integer. The steps of an epoch.
        epochs: Integer. The epochs of a measurement.
        flavor: The Keras package of the models.

    Returns:
        Dict from what is done, and `"v1"` or `"ours"`, to its cost.
    """
    runs: dict[Any, tuple[Run, Run]] = {}
    for call, kind, name, hooks in jobs.ELSEWHERE:
        what = f"{call}, {kind.name}: {name}"

        run = functools.partial(
            keras_run,
            steps=steps,
            epochs=epochs,
            kind=kind,
            flavor=flavor,
            call=call,
        )
        runs[what, "ours"] = run([SessionRunHookCallback(hooks)]), run([])
        runs[what, "v1"] = (
            v1_run(hooks, steps, epochs, kind, call),
            v1_run(list, steps, epochs, kind, call),
        )
    return added(runs, rounds)
