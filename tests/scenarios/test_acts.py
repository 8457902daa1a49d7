# SPDX-License-Identifier: Apache-2.0
"""Hooks that act do to a model what a callback of plain Keras would do.

Hooks in one of two calls of Keras leave the other as it is, and what a
v1 `Saver` has kept of a training goes on in a new model.
"""

import dataclasses
import pathlib
import random
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.flavors import IS_KERAS_3
from tests.scenarios.acts import ACTS
from tests.scenarios.drawn import FEATURES
from tests.scenarios.drawn import Scenario
from tests.scenarios.drawn import plain_fit
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
        # function of its own: SessionRunHookCallback says so.
        if not (model == "gan" and "evaluate" in calls)
        and not (draws(model) and calls == "fit, fit" and which == 0)
    ]


def draws(model: str) -> bool:
    """Returns whether the random state of a model is in its function."""
    return "own random" in ZOO[model].traits or (
        not IS_KERAS_3 and model == "dropout"
    )


@pytest.mark.parametrize(("model", "calls", "which"), calls_with_hooks_in_one())
def test_hooks_in_one_of_two_calls(
    model: str, calls: str, which: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The call without hooks is as if there were none in the other."""
    # That of Keras 2 counts its traces, of which an evaluation with hooks
    # leaves one (SessionRunHookCallback).
    is_nadam = IS_KERAS_3 and calls == "evaluate, fit"
    optimizer = "nadam" if is_nadam else "adam"
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


class Restores(train.SessionRunHook):
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
    """A training that a v1 Saver saved continues in another model."""
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
