# SPDX-License-Identifier: Apache-2.0
"""The hooks that stop early stop where those of tf.estimator did."""

import logging
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback.estimator import experimental
from tests.contract import drivers
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
EVERY_STEP = {"run_every_secs": None, "run_every_steps": 1}
LOSSES = {1: 1.0, 2: 2.0, 4: 3.0}
HOOKS: dict[str, tuple[Any, ...]] = {
    "no decrease": ("stop_if_no_decrease_hook", "loss", 1),
    "no decrease for 3": ("stop_if_no_decrease_hook", "loss", 3),
    "a decrease in time": ("stop_if_no_decrease_hook", "loss", 9),
    "no increase": ("stop_if_no_increase_hook", "loss", 2),
    "an increase in time": ("stop_if_no_increase_hook", "loss", 9),
    "higher": ("stop_if_higher_hook", "loss", 2.5),
    "never higher": ("stop_if_higher_hook", "loss", 3.0),
    "lower": ("stop_if_lower_hook", "loss", 1.5),
    "never lower": ("stop_if_lower_hook", "loss", 1.0),
    "by a function": ("make_early_stopping_hook", lambda: True),
}


def write_losses(folder: Path) -> None:
    """Writes what evaluations found, as v1 wrote it."""
    with tf.Graph().as_default():
        writer = v1.summary.FileWriter(str(folder))
        for step, loss in LOSSES.items():
            value = v1.Summary.Value(tag="loss", simple_value=loss)
            writer.add_summary(v1.Summary(value=[value]), step)
        writer.close()


def made(of: Any, model: Any, name: str, folder: Path, **more: Any) -> Any:
    """Makes a hook of a module: that of v1, or ours."""
    function, *arguments = HOOKS[name]
    if function != "make_early_stopping_hook":
        more["eval_dir"] = str(folder)
    return getattr(of, function)(model, *arguments, **EVERY_STEP, **more)


@pytest.mark.parametrize("min_steps", [0, 2])
@pytest.mark.parametrize("name", HOOKS)
def test_it_stops_where_that_of_v1_does(
    name: str, min_steps: int, tmp_path: Path
) -> None:
    """Step, weights and checkpoints are those of the original hook."""
    pytest.importorskip(
        "tensorflow_estimator",
        reason="tf.estimator ended with TensorFlow 2.15, which .ci/stacks/"
        "legacy has",
    )
    write_losses(tmp_path / "eval")
    more: Any = {}
    if HOOKS[name][0] != "make_early_stopping_hook":
        more["min_steps"] = min_steps
    v1_estimator = tf.estimator.Estimator(lambda features: None, str(tmp_path))
    original = tf.estimator.experimental
    saver = v1.train.CheckpointSaverHook

    def of_v1(env: Any) -> Any:
        hook = made(original, v1_estimator, name, tmp_path / "eval", **more)
        return [hook, saver("ckpt", save_steps=100)]

    model, _ = drivers.keras_model()

    def of_ours(env: Any) -> Any:
        hook = made(experimental, model, name, tmp_path / "eval", **more)
        return [hook, saver("ckpt", save_steps=100)]

    expected = drivers.run_v1(of_v1, tmp_path / "v1")
    actual = drivers.run_keras(of_ours, tmp_path / "ours")

    expected.events = actual.events = []  # the class has another name
    expected.state = actual.state = {}
    expected.logs = actual.logs = []  # the words are ours
    found = drivers.differences(expected, actual)
    assert not found, "\n".join(found)


def first_stop(losses: dict[int, float], steps: int, holds: Any) -> int:
    """Returns the step at which a condition first holds, by plain Python."""
    for step in range(1, steps + 1):
        # The hook looks in `after_run`, at the step before the update.
        found = [(s, v) for s, v in losses.items() if s <= step - 1]
        if holds(found):
            return step
    return steps


def is_beyond(threshold: float, better: Any) -> Any:
    return lambda found: any(better(value, threshold) for _, value in found)


def without_better(most: int, best_of: Any) -> Any:
    def holds(found: list[tuple[int, float]]) -> bool:
        for count in range(1, len(found) + 1):
            part = found[:count]
            best = best_of(value for _, value in part)
            at = next(step for step, value in part if value == best)
            if part[-1][0] - at >= most:
                return True
        return False

    return holds


class Rates(keras.callbacks.Callback):
    """Sets a rate per epoch, so that the validation gets better and worse."""

    def __init__(self, rates: list[float]) -> None:
        super().__init__()
        self.rates = rates

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate.assign(self.rates[epoch])


RATES = [0.1, 0.1, 1.6, 0.1, 2.0, 0.05]
STEPS = 3 * len(RATES)


def validated(*callbacks: Any) -> tuple[Any, Any]:
    """Fits with validation; returns the model and its history."""
    options = drivers.Options()
    model, _ = drivers.keras_model(options)
    # A hook is made for a model.
    made_for = [make(model) for make in callbacks]
    history = model.fit(
        drivers.FEATURES,
        drivers.LABELS,
        batch_size=4,
        epochs=len(RATES),
        shuffle=False,
        verbose=0,
        validation_data=(drivers.FEATURES, drivers.LABELS),
        callbacks=[Rates(RATES), *made_for],
    )
    return model, history.history


@pytest.fixture(scope="module")
def losses() -> dict[int, float]:
    """The validation losses of plain Keras, by the step."""
    _, history = validated()
    return {3 * (i + 1): v for i, v in enumerate(history["val_loss"])}


CASES: dict[str, Any] = {
    "higher": lambda median: (
        "stop_if_higher_hook",
        median,
        is_beyond(median, operator.gt),
    ),
    "lower": lambda median: (
        "stop_if_lower_hook",
        median,
        is_beyond(median, operator.lt),
    ),
    "never lower": lambda median: (
        "stop_if_lower_hook",
        -1.0,
        is_beyond(-1.0, operator.lt),
    ),
    "no increase": lambda median: (
        "stop_if_no_increase_hook",
        6,
        without_better(6, max),
    ),
    "no decrease": lambda median: (
        "stop_if_no_decrease_hook",
        3,
        without_better(3, min),
    ),
    "no decrease for long": lambda median: (
        "stop_if_no_decrease_hook",
        100,
        without_better(100, min),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_sees_the_validations_of_fit(
    case: str, losses: dict[int, float]
) -> None:
    """It stops at the first step after the validation that says so."""
    name, argument, holds = CASES[case](float(np.median([*losses.values()])))

    model, _ = validated(
        lambda model: SessionRunHookCallback(
            getattr(experimental, name)(model, "loss", argument, **EVERY_STEP)
        )
    )

    expected = first_stop(losses, STEPS, holds)
    assert int(model.optimizer.iterations.numpy()) == expected


def test_the_cases_stop_at_several_steps(losses: dict[int, float]) -> None:
    """The comparison can fail: the cases stop at different steps."""
    median = float(np.median([*losses.values()]))

    stops = {
        first_stop(losses, STEPS, make(median)[2]) for make in CASES.values()
    }

    assert len(stops) > 2


def test_it_remembers_over_several_fits() -> None:
    """A loop of fits of one epoch stops as one fit of all epochs does."""
    model, _ = drivers.keras_model()
    hook = experimental.stop_if_no_decrease_hook(model, "loss", 6, **EVERY_STEP)
    data = (drivers.FEATURES, drivers.LABELS)
    steps = []
    for _ in range(4):
        model.optimizer.learning_rate.assign(0.0)
        model.fit(
            *data,
            batch_size=4,
            verbose=0,
            validation_data=data,
            callbacks=[SessionRunHookCallback(hook)],
        )
        steps.append(int(model.optimizer.iterations.numpy()))

    # Found at 3, 6 and 9: after the ninth step the best is 6 steps ago.
    assert steps == [3, 6, 9, 10]


def test_the_variable_of_v1_is_in_the_checkpoints(tmp_path: Path) -> None:
    """A v1 program that restores them finds what its hook has made."""
    model, names = drivers.keras_model()
    hook = experimental.make_early_stopping_hook(
        model, lambda: True, **EVERY_STEP
    )
    monitored = MonitoredTrainingCallback(tmp_path, hook, variable_names=names)

    drivers.keras_call(model, [monitored], drivers.Options())

    reader = tf.train.load_checkpoint(str(tmp_path))
    assert reader.get_tensor("signal_early_stopping/STOP")


@pytest.mark.parametrize("name", HOOKS)
def test_what_is_not_a_model_is_refused(name: str, tmp_path: Path) -> None:
    """The error says what the argument has to be."""
    with pytest.raises(errors.NotAModelError, match="is not a Keras model"):
        made(experimental, "estimator", name, tmp_path)


def test_what_is_not_a_function_is_refused() -> None:
    """At once, and not after a minute."""
    model, _ = drivers.keras_model()
    with pytest.raises(TypeError, match="is not callable: 3"):
        experimental.make_early_stopping_hook(model, 3)


def test_seconds_and_steps_are_refused() -> None:
    """As in v1, the default of the seconds counts as given."""
    model, _ = drivers.keras_model()
    with pytest.raises(errors.ArgumentError, match="run_every_secs=None"):
        experimental.stop_if_higher_hook(model, "loss", 1, run_every_steps=1)


def test_an_unknown_metric_is_an_error() -> None:
    """The error lists the metrics of the validation."""
    with pytest.raises(errors.UnknownNameError, match=r"It has \['loss'\]"):
        validated(
            lambda model: SessionRunHookCallback(
                experimental.stop_if_higher_hook(
                    model, "accuracy", 1, **EVERY_STEP
                )
            )
        )


def test_a_fit_without_validation_is_not_silent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A hook that can never stop says so at the end."""
    model, _ = drivers.keras_model()
    hook = experimental.stop_if_higher_hook(model, "loss", 1.0)

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        drivers.keras_call(
            model, [SessionRunHookCallback(hook)], drivers.Options()
        )

    assert "found no evaluation: pass validation_data" in caplog.text
