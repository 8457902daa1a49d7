# SPDX-License-Identifier: Apache-2.0
"""Hooks that act, and callbacks of plain Keras that do the same."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tests.flavors import keras
from tests.flavors import value_of

v1 = tf.compat.v1
train = v1.train
Hook = train.SessionRunHook
Callback = keras.callbacks.Callback


class Stops(Callback):
    """Stops the training after some batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left <= 0:
            self.model.stop_training = True


class AsksToStop(Hook):
    """Stops the training after some runs, by itself or by an exception."""

    def __init__(self, runs: int, error: Any = None) -> None:
        self.left, self.error = runs, error

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.left -= 1
        if self.left <= 0:
            if self.error is not None:
                raise self.error
            run_context.request_stop()


class StopsBefore(Hook):
    """Stops the training before a run, which is then left out."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    def before_run(self, run_context: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise StopIteration


class Rates(Callback):
    """Sets the rate for each batch, and sets it back."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = self.model.optimizer.learning_rate
        self.before = float(rate.numpy())
        value_of(rate).assign(rate_at(self.batches))
        self.batches += 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        value_of(self.model.optimizer.learning_rate).assign(self.before)


def rate_at(batch: int) -> float:
    """Returns the rate of a batch."""
    return (0.1, 0.02, 0.0, 0.05)[batch % 4]


def feeds_rates() -> Any:
    """Makes the hook that sets the same rates."""
    rates = map(rate_at, range(1000))
    return train.FeedFnHook(lambda: {"learning_rate:0": next(rates)})


class Shrinks(Callback):
    """Makes the weights smaller after each batch, or before it."""

    def __init__(self, before: bool) -> None:
        super().__init__()
        self.before = before

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.before:
            self._shrink()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.before:
            self._shrink()

    def _shrink(self) -> None:
        for weight in self.model.trainable_weights:
            value_of(weight).assign(value_of(weight) * 0.75)


class ShrinksInGraph(Hook):
    """Does the same by an operation of the graph."""

    def __init__(self, moment: str) -> None:
        self.moment = moment

    def begin(self) -> None:
        self.op = tf.group(
            *[v.assign(v * 0.75) for v in v1.trainable_variables()]
        )

    def before_run(self, run_context: Any) -> Any:
        if self.moment == "fetched":
            return train.SessionRunArgs(self.op)
        if self.moment == "before":
            run_context.session.run(self.op)
        return None

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self.moment == "after":
            run_context.session.run(self.op)


class Halves(Callback):
    """Halves the rate after each batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        rate = value_of(self.model.optimizer.learning_rate)
        rate.assign(rate * 0.5)


class HalvesInGraph(Hook):
    """Does the same by the variable of the graph."""

    def begin(self) -> None:
        graph = v1.get_default_graph()
        [rate] = [
            v
            for v in v1.local_variables()
            if v.op.name.endswith("/learning_rate")
        ]
        self.op = rate.assign(rate * 0.5).op
        assert graph is self.op.graph

    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.session.run(self.op)


Pair = tuple[Callable[[], Any], Callable[[], Any]]
ACTS: dict[str, Pair] = {
    "stop at 3": (
        lambda: train.StopAtStepHook(last_step=3),
        lambda: Stops(3),
    ),
    "stop after 5": (
        lambda: train.StopAtStepHook(num_steps=5),
        lambda: Stops(5),
    ),
    "request stop": (lambda: AsksToStop(2), lambda: Stops(2)),
    "end of input": (
        lambda: AsksToStop(3, tf.errors.OutOfRangeError(None, None, "")),
        lambda: Stops(3),
    ),
    "stop before": (lambda: StopsBefore(3), lambda: Stops(3)),
    "rates": (feeds_rates, Rates),
    "shrink after": (lambda: ShrinksInGraph("after"), lambda: Shrinks(False)),
    "shrink before": (lambda: ShrinksInGraph("before"), lambda: Shrinks(True)),
    "shrink fetched": (
        lambda: ShrinksInGraph("fetched"),
        lambda: Shrinks(True),
    ),
    "halve the rate": (HalvesInGraph, Halves),
}
