# SPDX-License-Identifier: Apache-2.0
"""Hooks that act do to a model what a callback of plain Keras would do.

Also: hooks in one of two calls of Keras leave the other as it is, and what a
v1 `Saver` has kept of a training goes on in a new model.
"""

import dataclasses
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.generations import IS_KERAS_3
from tests.generations import keras
from tests.generations import value_of
from tests.scenarios.drawn import FEATURES
from tests.scenarios.drawn import Scenario
from tests.scenarios.drawn import fitting
from tests.scenarios.same import bits
from tests.scenarios.same import same_training
from tests.scenarios.steppers import STEPPERS
from tests.scenarios.training import run
from tests.scenarios.training import run_plain
from tests.scenarios.zoo import ZOO

pytestmark = [
    pytest.mark.scenarios,
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

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
    """Stops the training before a run, which does not come."""

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
    """Gives the rate of a batch."""
    return (0.1, 0.02, 0.0, 0.05)[batch % 4]


def feeds_rates() -> Any:
    """Makes the hook that does the same."""
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
_OF_STEPS = ("stop at 3", "stop after 5")
_FROM_THE_FIRST = ("rates", "shrink before", "shrink fetched")


def act_scenarios() -> list[tuple[str, Scenario]]:
    """Draws an act for each kind of model that is quick to train."""
    draw, acts = random.Random(3), list(ACTS)
    found = []
    names = [name for name in ZOO if "slow" not in ZOO[name].traits]
    for index, model in enumerate(names):
        act = acts[index % len(acts)]
        optimizers = [
            name
            for name in STEPPERS
            if name not in ("decay", "cosine", "pieces")
            # A step of these is not a batch.
            and not ("accumulation" in name and act in _OF_STEPS)
        ]
        one = plain_fit(
            model,
            draw.choice(optimizers),
            # A batch that is begun and does not run is seen by callbacks.
            plan="fit"
            if act == "stop before"
            else draw.choice(["fit", "fit with validation"]),
            data=draw.choice(
                [d for d in FEATURES["data"] if "length" not in d]
            ),
            steps=1 if act in _OF_STEPS else draw.choice([1, 1, 2]),
            compiled=draw.choice(FEATURES["compiled"]),
        )
        if "rate" in act and one.has("adversaries"):
            continue  # that of `compile` trains nothing
        if "opaque" in ZOO[model].traits and act in _FROM_THE_FIRST:
            continue  # Keras has no weights when the first batch begins
        found.append((act, one))
    return found


def plain_fit(model: str, optimizer: str, **more: Any) -> Scenario:
    """Returns a scenario with dull values where none are given."""
    dull: dict[str, Any] = {
        "plan": "fit",
        "data": "arrays",
        "weights": "no",
        "steps": 1,
        "compiled": "graph",
        "seen": "nothing",
        "every": 1,
        "first": 0,
        "written": "strings",
        "other": (),
        "companion": "none",
    }
    return fitting(Scenario(model, optimizer, **{**dull, **more}))


@pytest.mark.parametrize(
    ("act", "one"),
    [pytest.param(*p, id=f"{p[0]}-{p[1]}") for p in act_scenarios()],
)
def test_act(act: str, one: Scenario) -> None:
    """A hook does to the model what a callback would do."""
    hook, twin = ACTS[act]
    plain = run(one, lambda model: [twin()], with_hooks=False)
    hooked = run(one, lambda model: [SessionRunHookCallback(hook)])
    if act == "rates" or "before" in act or act == "shrink fetched":
        for row in (*plain.rows, *hooked.rows):
            row.rate = None  # a callback sets it before the witness looks
    if act == "stop before":
        # Keras has begun a batch then, and ends it; it does nothing.
        hooked.rows[:] = hooked.rows[: len(plain.rows)]

    found = same_training(one, plain, hooked)

    assert not found, "\n".join(found)


MODELS_OF_CALLS = (
    "dropout",
    "random layer of the user",
    "augmented images",
    "gan",
    "subclass",
)
CALLS = ("fit, fit", "evaluate, fit", "predict, fit", "fit, predict")


def calls_with_hooks_in_one() -> list[Any]:
    """Lists models, calls, and which of the calls has hooks."""
    return [
        pytest.param(model, calls, which, id=f"{model}-{calls}-{which}")
        for model in MODELS_OF_CALLS
        for calls in CALLS
        for which in (0, 1)
        # A GAN can't be evaluated. After a fit with hooks, one without has a
        # function of its own: README says so.
        if not (model == "gan" and "evaluate" in calls)
        and not (draws(model) and calls == "fit, fit" and which == 0)
    ]


def draws(model: str) -> bool:
    """Says whether the random state of a model is that of its function."""
    return "own random" in ZOO[model].traits or (
        not IS_KERAS_3 and model == "dropout"
    )


@pytest.mark.parametrize(("model", "calls", "which"), calls_with_hooks_in_one())
def test_hooks_in_one_of_two_calls(
    model: str, calls: str, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The call without hooks is as if there were none in the other."""
    optimizer = "nadam" if calls == "evaluate, fit" else "adam"
    one = plain_fit(model, optimizer, plan=f"calls: {calls}")

    def hooks(_: Any) -> list[Any]:
        phase = calls.split(", ")[which]
        name = "predictions:0" if phase == "predict" else "loss:0"
        if one.has("adversaries"):
            name = "features:0"
        callback = SessionRunHookCallback(
            lambda: train.LoggingTensorHook([name], 2),
            step_tensors={name[:-2]: tf.TensorSpec(None, "float32")},
        )
        callback.only_in = which
        return [callback]

    plain = run_plain(one)
    hooked = run(one, hooks)

    found = same_training(one, plain, hooked)

    if draws(model) and calls == "fit, fit":
        assert found  # that is said
        assert "random operations start over" in caplog.text
    else:
        assert not found, "\n".join(found)


class Restores(Hook):
    """Restores what a `Saver` has kept."""

    def __init__(self, counts_batches: bool) -> None:
        self.counts_batches = counts_batches

    def begin(self) -> None:
        # A step that is computed from the count of batches can't be written.
        kept = [v for v in v1.global_variables() if v.op.name != "global_step"]
        self.saver = train.Saver(kept if self.counts_batches else None)

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.saver.restore(session, tf.train.latest_checkpoint("kept"))


@pytest.mark.parametrize(
    "optimizer",
    # That of Keras 2 keeps some of its state in numbers of Python.
    [name for name in STEPPERS if IS_KERAS_3 or name != "nadam"],
)
def test_a_training_goes_on(
    optimizer: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a v1 Saver kept of one model goes on in another."""
    monkeypatch.chdir(tmp_path)
    models = ("functional", "convolution", "classifier", "attention")
    model = models[list(STEPPERS).index(optimizer) % len(models)]
    one = plain_fit(model, optimizer, plan="resumed")
    through = run_plain(one)
    first = dataclasses.replace(one, plan="first half")
    saver = train.CheckpointSaverHook("kept", save_steps=100)
    run(first, lambda _: [SessionRunHookCallback(saver)])
    second = dataclasses.replace(one, plan="second half")
    hook = Restores("accumulation" in optimizer)
    going_on = run(second, lambda _: [SessionRunHookCallback(hook)])

    found = [
        f"{what} {index}"
        for what in ("state", "slots")
        for index, (value, other) in enumerate(
            zip(getattr(through, what), getattr(going_on, what), strict=True)
        )
        if not _close(value, other)
    ]

    assert not found, "\n".join(found)


def _close(value: Any, other: Any) -> bool:
    if isinstance(value, tuple):
        return _close(value[1], other[1])
    return np.allclose(value, other, 1e-4, 1e-6)


def test_the_comparison_can_fail() -> None:
    """One weight that differs by a bit is a difference."""
    one = plain_fit("functional", "sgd")
    plain, other = run_plain(one), run(one)
    assert same_training(one, plain, other) == []

    other.state[0] = np.nextafter(other.state[0], np.float32(9))

    assert same_training(one, plain, other) == ["state"]
    assert bits(plain.state) != bits(other.state)
