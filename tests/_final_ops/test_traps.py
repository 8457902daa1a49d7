# SPDX-License-Identifier: Apache-2.0
"""Each trap has a test, and a twin that fails without the handling."""

import contextlib
import copy
import pickle
import types
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback._final_ops import leaf_kinds
from final_ops_callback._final_ops.training_metrics import TrainingMetrics
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from tests import models
from tests import original
from tests.flavors import keras
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow


def mae_of(model: Any) -> Any:
    """The metric that the model was compiled with."""
    return next(m for m in compat.metrics_of(model) if m.name == "mae")


# Every way to read a metric of a model that has run.
READINGS: dict[str, Callable[[Any], Any]] = {
    "metric": mae_of,
    "function": lambda model: mae_of(model).result,
    "tf.function": lambda model: tf.function(lambda: mae_of(model).result()),
    "variables": lambda model: list(mae_of(model).variables),
    "loss": lambda model: model.metrics[0],
    "by name": lambda _: "mae",
    "from the model": lambda _: lambda model: mae_of(model).result(),
}


@pytest.fixture
def model() -> Any:
    """The tiny model with metrics that are built, at its first weights."""
    built = models.tiny_model()
    weights = built.get_weights()
    models.fit(built)
    built.set_weights(weights)
    return built


def without_putting_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the metrics as the validation left them."""
    monkeypatch.setattr(
        TrainingMetrics, "in_place", lambda _: contextlib.nullcontext()
    )


def with_putting_back_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts back what the last validation of any run overwrote."""

    @contextlib.contextmanager
    def in_place(self: TrainingMetrics) -> Iterator[None]:
        for variable, training in self._of_model:
            variable.assign(training)
        yield

    monkeypatch.setattr(TrainingMetrics, "in_place", in_place)
    monkeypatch.setattr(TrainingMetrics, "forget", lambda _: None)


def without_knowing_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treats each evaluate as a separate one."""
    never = property(lambda _: False, lambda *_: None)
    monkeypatch.setattr(
        callback_base.Callback, "_inside_fit", never, raising=False
    )


# Of the Keras that is installed, which need not be the tested one.
KERAS_BASE = callback_base.Callback.__base__


def without_forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does nothing when a run begins."""
    plain = callback_base.Callback.set_model
    monkeypatch.setattr(FinalOpsCallback, "set_model", plain)
    monkeypatch.setattr(FinalOpsCallback, "_begin_phase", lambda *_: None)


def without_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps each tensor and variable instead of its value."""
    monkeypatch.setattr(leaf_kinds, "to_host", lambda value: value)


# Validation overwrites the metrics of training.


@pytest.mark.parametrize("reading", READINGS)
def test_a_metric_has_its_training_value(reading: str, model: Any) -> None:
    """At the end of fit a metric is what it is without any validation."""
    weights = model.get_weights()
    plain = FinalOpsCallback(READINGS[reading](model))
    models.fit(model, plain, epochs=2)
    model.set_weights(weights)
    callback = FinalOpsCallback(READINGS[reading](model))

    models.fit(model, callback, validate=True, epochs=2)

    assert original.is_same(plain.final_ops_values, callback.final_ops_values)


@pytest.mark.parametrize(
    "reading", ["metric", "function", "tf.function", "loss", "from the model"]
)
def test_a_metric_would_have_its_validation_value(
    reading: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, a metric is what the validation left."""
    without_putting_back(monkeypatch)
    callback = FinalOpsCallback(READINGS[reading](model))

    history = models.fit(model, callback, validate=True, epochs=2)

    name = "loss" if reading == "loss" else "mae"
    assert callback.final_ops_values != pytest.approx(history[name][-1])
    assert callback.final_ops_values == pytest.approx(
        history[f"val_{name}"][-1]
    )


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_validation_of_an_earlier_epoch_is_over(
    epochs: int, model: Any
) -> None:
    """With `validation_freq=2` a metric is that of the last epoch."""
    callback = FinalOpsCallback(mae_of(model))

    history = models.fit(
        model, callback, validate=True, epochs=epochs, validation_freq=2
    )

    assert callback.final_ops_values == pytest.approx(history["mae"][-1])


def test_a_validation_of_an_earlier_epoch_would_not_be_over(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, a metric is that of the validated epoch."""
    with_putting_back_always(monkeypatch)
    callback = FinalOpsCallback(mae_of(model))

    history = models.fit(
        model, callback, validate=True, epochs=3, validation_freq=2
    )

    assert callback.final_ops_values == pytest.approx(history["mae"][-2])


class Spread(keras.metrics.Metric):
    """A metric with weights of its own and others in it."""

    def __init__(self) -> None:
        super().__init__(name="spread")
        self.parts = [keras.metrics.Mean(), keras.metrics.Mean()]
        self.calls = self.add_weight(initializer="zeros", name="calls")

    def update_state(self, y: Any, predicted: Any, **_: Any) -> None:
        self.calls.assign_add(1.0)
        for metric, value in zip(self.parts, (y, predicted), strict=True):
            metric.update_state(value)

    def result(self) -> Any:
        means = [metric.result() for metric in self.parts]
        return (means[0] - means[1]) / self.calls


def test_a_metric_of_metrics_has_its_training_value(model: Any) -> None:
    """All of a metric that holds others is that of training."""
    spread = Spread()
    model.compile("sgd", "mse", metrics=[spread], jit_compile=False)
    callback = FinalOpsCallback(lambda: spread.result())

    history = models.fit(model, callback, validate=True)

    assert callback.final_ops_values == pytest.approx(*history["spread"])


class EvaluateAgain(keras.callbacks.Callback):
    """Evaluates at each end of an epoch, on as many other examples."""

    def __init__(self, *callbacks: Any, run: str = "evaluate") -> None:
        super().__init__()
        self.callbacks = list(callbacks)
        self.run = run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        x, y = models.tiny_data().validation
        data = (x,) if self.run == "predict" else (x + 1, y * 3)
        options = {"verbose": 0, "callbacks": self.callbacks}
        getattr(self.model, self.run)(*data, **options)


@pytest.mark.parametrize("reading", ["metric", "loss", "from the model"])
def test_a_later_evaluate_does_not_reach_the_training_value(
    reading: str, model: Any
) -> None:
    """An evaluate of another callback after validation changes no values."""
    callback = FinalOpsCallback(READINGS[reading](model))

    history = models.fit(model, EvaluateAgain(), callback, validate=True)

    name = "loss" if reading == "loss" else "mae"
    assert callback.final_ops_values == pytest.approx(history[name][-1])


def test_a_later_evaluate_keeps_its_own_metrics(model: Any) -> None:
    """After fit the metrics hold what the last evaluate has left."""
    kept: list[Any] = []
    last = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: kept.extend(
            v.numpy() for v in mae_of(model).variables
        )
    )
    callback = FinalOpsCallback(mae_of(model))

    models.fit(model, EvaluateAgain(), callback, last, validate=True)

    assert original.is_same(kept, [v.numpy() for v in mae_of(model).variables])


def own_metric_in_fit(after_validation: Any) -> tuple[Any, Any]:
    """A metric that only the steps of a model fill, and its final value."""
    own = keras.metrics.Mean()

    class WithOwn(keras.Model):
        def train_step(self, data: Any) -> Any:
            own.update_state(3.0)
            return super().train_step(data)

        def test_step(self, data: Any) -> Any:
            own.reset_state()
            own.update_state(5.0)
            return super().test_step(data)

    inputs = keras.Input((3,), name="x")
    model = WithOwn(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse", run_eagerly=True)
    callback = FinalOpsCallback(own)
    write = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: after_validation(own)
    )
    models.fit(model, write, callback, validate=True)
    return own, callback.final_ops_values


def test_a_metric_that_keras_does_not_know_has_its_training_value() -> None:
    """A user-defined metric that validation fills is that of training."""
    _, value = own_metric_in_fit(lambda _: None)

    assert value == 3.0


def test_a_metric_is_put_back_whole_or_not_at_all() -> None:
    """A user-defined metric that is filled later keeps its value."""

    def refill(metric: Any) -> None:
        metric.reset_state()
        metric.update_state(7.0)  # as many as before, another total

    own, value = own_metric_in_fit(refill)

    assert value == own.result().numpy() == 7.0


def test_the_metrics_of_keras_are_left_alone(model: Any) -> None:
    """After fit the metrics hold what they hold without the callback."""
    weights = model.get_weights()
    models.fit(model, validate=True)
    expected = [v.numpy() for v in mae_of(model).variables]
    model.set_weights(weights)

    models.fit(model, FinalOpsCallback("mae"), validate=True)

    assert original.is_same(
        expected, [v.numpy() for v in mae_of(model).variables]
    )


def test_several_callbacks_do_not_disturb_each_other(model: Any) -> None:
    """Each of several callbacks has the training value."""
    several = [FinalOpsCallback(mae_of(model)) for _ in range(3)]

    history = models.fit(model, *several, validate=True)

    values = [callback.final_ops_values for callback in several]
    assert values == pytest.approx([history["mae"][-1]] * 3)


def test_several_callbacks_would_all_be_wrong(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, each of several has the validation value."""
    without_putting_back(monkeypatch)
    several = [FinalOpsCallback(mae_of(model)) for _ in range(3)]

    history = models.fit(model, *several, validate=True)

    values = [callback.final_ops_values for callback in several]
    assert values == pytest.approx([history["val_mae"][-1]] * 3)


def test_stopping_early_keeps_the_training_value(model: Any) -> None:
    """`stop_training` ends fit with the values of the epoch that it was."""
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(model, "stop_training", True)
    )
    callback = FinalOpsCallback(mae_of(model))

    history = models.fit(model, stop, callback, validate=True, epochs=3)

    assert callback.final_ops_values == pytest.approx(*history["mae"])


def test_stopping_early_would_lose_the_training_value(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, `stop_training` leaves the validation value."""
    without_putting_back(monkeypatch)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(model, "stop_training", True)
    )
    callback = FinalOpsCallback(mae_of(model))

    history = models.fit(model, stop, callback, validate=True, epochs=3)

    assert callback.final_ops_values == pytest.approx(*history["val_mae"])


# Which phase it is.


def phases_of_fit(model: Any) -> list[str]:
    """The phases that end in a fit of two epochs with validation."""
    phases: list[str] = []

    class Recording(FinalOpsCallback):
        def on_final_ops_values(self, values: Any, phase: str, _: int) -> None:
            phases.append(phase)

    callback = Recording(1, on=callback_base.PHASES)
    models.fit(model, callback, validate=True, epochs=2)
    return phases


def test_the_evaluate_inside_fit_is_validation(model: Any) -> None:
    """`on_test_end` inside fit ends the phase `validation`."""
    assert phases_of_fit(model) == ["validation", "validation", "train"]


def test_the_evaluate_inside_fit_would_be_test(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, `on_test_end` inside fit ends a `test`."""
    without_knowing_fit(monkeypatch)

    assert phases_of_fit(model) == ["test", "test", "train"]


def test_final_ops_run_once_in_fit(model: Any) -> None:
    """By default the validations inside fit evaluate nothing."""
    calls: list[int] = []
    callback = FinalOpsCallback(lambda: calls.append(1))

    models.fit(model, callback, validate=True, epochs=3)

    assert len(calls) == 1


def test_final_ops_would_run_more_than_once_in_fit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, each validation evaluates them, too."""
    without_knowing_fit(monkeypatch)
    calls: list[int] = []
    callback = FinalOpsCallback(lambda: calls.append(1))

    models.fit(model, callback, validate=True, epochs=3)

    assert len(calls) == 4


def test_a_validation_has_its_own_values(model: Any) -> None:
    """With `on="validation"` a metric is that of the validation."""
    callback = FinalOpsCallback(mae_of(model), on="validation")

    history = models.fit(model, callback, validate=True, epochs=2)

    assert callback.final_ops_values == pytest.approx(history["val_mae"][-1])
    assert list(callback.final_ops_values_by_phase) == ["validation"]


def test_train_and_validation_are_told_apart(model: Any) -> None:
    """Each phase keeps its own latest values."""
    callback = FinalOpsCallback(mae_of(model), on=("train", "validation"))

    history = models.fit(model, callback, validate=True, epochs=2)

    assert callback.final_ops_values_by_phase == {
        "validation": pytest.approx(history["val_mae"][-1]),
        "train": pytest.approx(history["mae"][-1]),
    }


class Failing(keras.callbacks.Callback):
    """Another callback, that raises."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise RuntimeError("in another callback")


def evaluate_after_a_failed_fit(model: Any) -> FinalOpsCallback:
    """Runs evaluate with a callback whose fit has failed."""
    callback = FinalOpsCallback(1, on=callback_base.PHASES)
    with pytest.raises(RuntimeError, match="in another callback"):
        models.fit(model, Failing(), callback)
    x, y, _ = models.tiny_data()
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    return callback


def test_an_evaluate_after_a_failed_fit_is_test(model: Any) -> None:
    """A fit that failed is over: a separate evaluate is a `test`."""
    callback = evaluate_after_a_failed_fit(model)

    assert list(callback.final_ops_values_by_phase) == ["test"]


def test_an_evaluate_after_a_failed_fit_would_be_validation(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, it counts as the evaluate inside that fit."""
    plain = KERAS_BASE.set_model
    monkeypatch.setattr(callback_base.Callback, "set_model", plain)

    callback = evaluate_after_a_failed_fit(model)

    assert list(callback.final_ops_values_by_phase) == ["validation"]


@pytest.mark.parametrize("run", ["evaluate", "predict"])
def test_a_run_inside_fit_does_not_end_fit(run: str, model: Any) -> None:
    """After a run that another callback starts, fit goes on."""
    phases: list[str] = []

    class Recording(FinalOpsCallback):
        def on_final_ops_values(self, values: Any, phase: str, _: int) -> None:
            phases.append(phase)

    callback = Recording(mae_of(model), on=callback_base.PHASES)

    class Early(EvaluateAgain):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.on_epoch_end(epoch)
            self.on_epoch_end = lambda *_: None

    # After ours, because Keras calls `on_epoch_begin` of ours first.
    history = models.fit(
        model, callback, Early(callback, run=run), validate=True
    )

    inner = "test" if run == "evaluate" else "predict"
    assert phases == [inner, "validation", "train"]
    assert callback.final_ops_values_by_phase["validation"] == pytest.approx(
        history["val_mae"][-1]
    )


def test_a_run_of_another_model_inside_fit_leaves_fit_its_model(
    model: Any,
) -> None:
    """At the end of fit the model is that of fit."""
    other = models.tiny_model()
    callback = FinalOpsCallback(lambda model: model.name)
    inner = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: other.predict(
            models.tiny_data().x, verbose=0, callbacks=[callback]
        )
    )

    models.fit(model, callback, inner)

    assert callback.final_ops_values_by_phase == {
        "predict": other.name,
        "train": model.name,
    }


def test_fit_goes_on_after_a_run_inside_it_that_failed(model: Any) -> None:
    """The next epoch is known to be inside fit, and in which model."""
    callback = FinalOpsCallback(mae_of(model), on="validation")
    callback.set_model(model)
    callback.on_train_begin()
    callback.set_model(models.tiny_model())  # an evaluate that fails

    callback.on_epoch_begin(1)
    callback.on_test_begin()
    callback.on_test_end({})

    assert list(callback.final_ops_values_by_phase) == ["validation"]
    assert callback.model is model


def test_predict_has_a_phase_of_its_own(model: Any) -> None:
    """The end of predict is the phase `predict`."""
    callback = FinalOpsCallback(model.layers[-1].kernel, on="predict")

    model.predict(models.tiny_data().x, verbose=0, callbacks=[callback])

    kernel = model.layers[-1].kernel.numpy()
    assert original.is_same(
        {"predict": kernel}, callback.final_ops_values_by_phase
    )


# Old values.


def fail_after_success(model: Any) -> FinalOpsCallback:
    """Runs a fit that fails with a callback that has values."""
    callback = FinalOpsCallback("loss")
    models.fit(model, callback)
    assert callback.final_ops_values is not None
    with pytest.raises(RuntimeError, match="in another callback"):
        models.fit(model, Failing(), callback)
    return callback


def test_a_failed_run_leaves_none(model: Any) -> None:
    """An exception in another callback leaves no value of an older run."""
    callback = fail_after_success(model)

    assert callback.final_ops_values is None
    assert callback.final_ops_values_by_phase == {}


def test_a_failed_run_would_leave_stale_values(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, the values of the run before are still there."""
    without_forgetting(monkeypatch)

    callback = fail_after_success(model)

    assert callback.final_ops_values is not None


def test_a_run_inside_fit_that_never_began(model: Any) -> None:
    """The values of fit are there, though an evaluate inside it failed."""
    data = models.tiny_data()
    callback = FinalOpsCallback(1.0)

    class Fails(keras.callbacks.Callback):
        def on_test_begin(self, logs: Any = None) -> None:
            raise ValueError("of the evaluate")

    def evaluate(epoch: int, logs: Any) -> None:
        with contextlib.suppress(ValueError):
            model.evaluate(
                data.x, data.y, verbose=0, callbacks=[Fails(), callback]
            )

    inner = keras.callbacks.LambdaCallback(on_epoch_end=evaluate)
    models.fit(model, callback, inner)

    assert callback.final_ops_values == 1.0


def test_a_leaf_that_fails_leaves_none(model: Any) -> None:
    """A run in which a leaf failed has no values."""
    results = iter([1.0])
    callback = FinalOpsCallback([2.0, lambda: next(results)])
    models.fit(model, callback)

    with pytest.raises(StopIteration):
        models.fit(model, callback)

    assert callback.final_ops_values is None


def test_a_phase_that_is_not_evaluated_keeps_the_values(model: Any) -> None:
    """A run of a phase that was not chosen keeps the values."""
    callback = FinalOpsCallback("loss", on="train")
    history = models.fit(model, callback)

    model.predict(models.tiny_data().x, verbose=0, callbacks=[callback])

    assert callback.final_ops_values == pytest.approx(history["loss"][-1])


def reuse(model: Any, **second: Any) -> tuple[FinalOpsCallback, Any]:
    """Fits twice, first with validation; returns the second history."""
    callback = FinalOpsCallback(mae_of(model))
    models.fit(model, callback, validate=True)
    return callback, models.fit(model, callback, **second)


@pytest.mark.parametrize("validate", [False, True])
def test_a_reused_callback_has_the_latest_values(
    validate: bool, model: Any
) -> None:
    """The second fit of a callback does not depend on the first."""
    callback, history = reuse(model, validate=validate)

    assert callback.final_ops_values == pytest.approx(history["mae"][-1])


def test_a_reused_callback_would_have_older_values(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, the metrics of the first fit come back."""
    with_putting_back_always(monkeypatch)

    callback, history = reuse(model)

    assert callback.final_ops_values != pytest.approx(history["mae"][-1])


def test_a_reused_callback_may_have_another_model(model: Any) -> None:
    """A name is looked up in the model of the run, not in an older one."""
    callback = FinalOpsCallback(["mae", lambda model: model.name])
    other = models.tiny_model()
    models.fit(model, callback, validate=True)

    history = models.fit(other, callback, validate=True, epochs=2)

    assert callback.final_ops_values == [
        pytest.approx(history["mae"][-1]),
        other.name,
    ]


# Weights at the end, and later.


def test_averaged_weights_are_the_final_ones() -> None:
    """With an EMA optimizer a variable has its averaged value."""
    model = models.tiny_model(use_ema=True, ema_momentum=0.5)
    callback = FinalOpsCallback(model.layers[-1].kernel)

    models.fit(model, callback, epochs=2)

    kernel = model.layers[-1].kernel.numpy()
    assert original.is_same(kernel, callback.final_ops_values)


def test_averaged_weights_would_be_missed() -> None:
    """At the end of the last epoch a variable is not averaged yet."""
    model = models.tiny_model(use_ema=True, ema_momentum=0.5)
    kernel = model.layers[-1].kernel

    class TooEarly(FinalOpsCallback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.early = kernel.numpy()

    callback = TooEarly(kernel)
    models.fit(model, callback, epochs=2)

    assert not np.allclose(callback.early, callback.final_ops_values)


def values_after_more_training(model: Any) -> tuple[Any, Any]:
    """The values of the leaves at the end of fit, and the values later."""
    variables = [model.layers[-1].kernel, mae_of(model), tf.Variable([1.0])]
    callback = FinalOpsCallback(variables)
    models.fit(model, callback)
    before = [variables[0].numpy(), variables[1].result().numpy()]
    before.append(variables[2].numpy())
    models.fit(model)
    variables[2].assign([2.0])
    keras.backend.clear_session()
    return before, callback.final_ops_values


def test_values_survive_what_comes_later(model: Any) -> None:
    """Later updates and `clear_session` change no value."""
    before, values = values_after_more_training(model)

    assert original.is_same(before, values)


def test_values_would_change_with_later_updates(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, a value is the variable and moves with it."""
    without_copies(monkeypatch)

    before, values = values_after_more_training(model)

    assert not np.allclose(before[0], values[0].numpy())
    assert not np.allclose(before[2], values[2].numpy())


def pickled(model: Any) -> Any:
    """The values, and what comes back from pickle."""
    sparse = tf.sparse.from_dense([[0, 1]])
    ragged = tf.ragged.constant([[1], []])
    ops = {"mae": mae_of(model), "more": (tf.constant(["a"]), sparse, ragged)}
    callback = FinalOpsCallback([ops, model.layers[-1].kernel])
    models.fit(model, callback)
    values = callback.final_ops_values
    return values, pickle.loads(pickle.dumps(values))


def test_values_can_be_pickled(model: Any) -> None:
    """Pickled values come back the same."""
    values, copied = pickled(model)

    assert original.is_same(values, copied)


def test_pickled_values_would_be_no_numpy(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, pickle does not give back NumPy values."""
    without_copies(monkeypatch)

    _, copied = pickled(model)

    assert not isinstance(copied[1], np.ndarray)


def copied_callback(model: Any) -> tuple[Any, Any]:
    """A callback that never ran, and its deep copy, which did."""
    callback = FinalOpsCallback([mae_of(model), model.layers[-1].kernel])
    duplicate = copy.deepcopy({"first": [callback]})["first"][0]
    models.fit(model, duplicate, validate=True)
    return callback, duplicate


def test_a_deep_copy_watches_the_same_model(model: Any) -> None:
    """A copy of the callback has values of the model, and of its own."""
    weights = model.get_weights()
    callback, duplicate = copied_callback(model)
    model.set_weights(weights)

    models.fit(model, callback, validate=True)

    assert callback is not duplicate
    assert original.is_same(
        callback.final_ops_values, duplicate.final_ops_values
    )
    assert callback.final_ops_values is not duplicate.final_ops_values


def test_a_deep_copy_leaves_the_first_one_alone(model: Any) -> None:
    """The values of a copy don't reach the callback that was copied."""
    callback, _ = copied_callback(model)

    assert callback.final_ops_values is None
    assert callback.final_ops_values_by_phase == {}


class Collecting(FinalOpsCallback):
    """A subclass with attributes of its own."""

    def __init__(self, metric: Any, path: Any) -> None:
        super().__init__([metric], filepath=path)
        self.metric = metric
        self.seen: list[Any] = []

    def on_final_ops_values(self, values: Any, phase: str, step: int) -> None:
        self.seen.append(values)


def test_a_deep_copy_has_attributes_of_its_own(
    model: Any, tmp_path: Any
) -> None:
    """Attributes are copied; the model, leaves and writers are shared."""
    callback = Collecting(mae_of(model), tmp_path / "a.json")
    models.fit(model, callback, validate=True)

    duplicate = copy.deepcopy(callback)

    assert duplicate.seen == callback.seen
    assert duplicate.seen is not callback.seen
    assert duplicate.final_ops_values is not callback.final_ops_values
    assert duplicate.final_ops_values == callback.final_ops_values
    assert duplicate.final_ops_values_by_phase == {"train": callback.seen[0]}
    assert duplicate.model is model
    assert duplicate.metric is callback.metric
    models.fit(model, duplicate)
    assert len(callback.seen) == 1
    assert len(duplicate.seen) == 2


def test_a_deep_copy_inside_fit_knows_no_training_state(model: Any) -> None:
    """A copy that is made after a validation puts nothing back."""
    callback = FinalOpsCallback(mae_of(model))
    seen: list[Any] = []

    def look(*_: Any) -> None:
        duplicate = copy.deepcopy(callback)
        seen.append([v.numpy() for v in mae_of(model).variables])
        with duplicate._training_metrics.in_place():
            seen.append([v.numpy() for v in mae_of(model).variables])

    looking = keras.callbacks.LambdaCallback(on_epoch_end=look)

    models.fit(model, callback, looking, validate=True)

    assert original.is_same(*seen)


def test_the_values_of_each_phase_are_a_dict_of_your_own(model: Any) -> None:
    """A write into the dict does not reach the callback."""
    callback = FinalOpsCallback("loss")
    models.fit(model, callback)

    callback.final_ops_values_by_phase.clear()

    assert list(callback.final_ops_values_by_phase) == ["train"]


def test_a_deep_copy_would_watch_nothing(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the handling, a copy reads copies that nobody updates."""
    monkeypatch.delattr(FinalOpsCallback, "__deepcopy__")
    callback, duplicate = copied_callback(model)

    models.fit(model, callback)

    kernels = callback.final_ops_values[1], duplicate.final_ops_values[1]
    assert not np.allclose(*kernels)


# What Keras sees.


def logs_of(model: Any, callback: Any) -> tuple[Any, ...]:
    """The keys of the history of fit and of the logs of evaluate."""
    x, y, _ = models.tiny_data()
    options = {"verbose": 0, "callbacks": [callback]}
    history = models.fit(model, callback, validate=True)
    logs = model.evaluate(x, y, return_dict=True, **options)
    return sorted(history), sorted(logs)


def test_nothing_goes_into_the_logs(model: Any) -> None:
    """History and the result of evaluate have the keys that they had."""
    callback = FinalOpsCallback({"final": "loss"}, on=callback_base.PHASES)

    expected = logs_of(model, keras.callbacks.Callback())

    assert logs_of(model, callback) == expected


def test_something_would_go_into_the_logs(model: Any) -> None:
    """A callback that puts its values into the logs is found."""

    class Putting(FinalOpsCallback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["final"] = 1

    expected = logs_of(model, keras.callbacks.Callback())

    assert logs_of(model, Putting("loss", on=callback_base.PHASES)) != expected


def batch_methods(callback: Any) -> list[str]:
    """The batch methods that a callback overrides."""
    kind, plain = type(callback), KERAS_BASE
    return [
        name
        for name in dir(plain)
        if name.startswith("on_") and "batch" in name
        if getattr(kind, name) is not getattr(plain, name)
    ]


class WithBatchEnd(FinalOpsCallback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        pass


def asked(callback: Any) -> list[bool]:
    """The answers to what tf_keras asks: are there batch methods?"""
    return [
        callback._implements_train_batch_hooks(),
        callback._implements_test_batch_hooks(),
        callback._implements_predict_batch_hooks(),
    ]


def test_no_batch_method_is_defined() -> None:
    """Neither Keras 3 nor Keras 2 finds a batch method."""
    callback = FinalOpsCallback(1)

    assert batch_methods(callback) == []
    assert asked(callback) == [False, False, False]


def test_a_batch_method_would_be_found() -> None:
    """A subclass with a batch method is found, by both."""
    callback = WithBatchEnd(1)

    assert batch_methods(callback) == ["on_train_batch_end"]
    assert asked(callback) == [True, False, False]


# Who writes.


@pytest.mark.parametrize("chief", [True, False])
def test_the_chief_is_who_saves_checkpoints(chief: bool) -> None:
    """The strategy determines the chief; without one, every process is it."""
    extended = types.SimpleNamespace(should_checkpoint=chief)
    strategy = types.SimpleNamespace(extended=extended)
    model = types.SimpleNamespace(distribute_strategy=strategy)

    assert compat.is_chief(model) is chief
    assert compat.is_chief(types.SimpleNamespace(distribute_strategy=None))
    assert compat.is_chief(None)


@pytest.mark.parametrize("chief", [True, False])
def test_only_the_chief_writes_files(
    chief: bool,
    model: Any,
    tmp_path: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every worker has the values and prints them; one writes files."""
    monkeypatch.setattr(compat, "is_chief", lambda _: chief)
    callback = FinalOpsCallback(
        "loss", log_dir=tmp_path, filepath=tmp_path / "a.json", verbose=1
    )

    history = models.fit(model, callback)

    assert callback.final_ops_values == pytest.approx(history["loss"][-1])
    assert any(tmp_path.iterdir()) is chief
    assert "final_ops" in capsys.readouterr().out


def steps_of(model: Any) -> int:
    """Returns how many steps Keras has counted."""
    return int(to_numpy(model.optimizer.iterations))


@pytest.mark.parametrize("where", ["subclass", "class", "instance", "mock"])
def test_whoever_receives_the_values_is_called(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver may be a method of a subclass, or replace the method."""
    got: list[Any] = []

    class Receiving(FinalOpsCallback):
        def on_final_ops_values(self, *args: Any) -> None:
            got.append(args)

    if where == "class":
        monkeypatch.setattr(
            FinalOpsCallback,
            "on_final_ops_values",
            lambda self, *args: got.append(args),
        )
    kind = Receiving if where == "subclass" else FinalOpsCallback
    callback = kind({"a": 1})
    if where == "instance":
        callback.on_final_ops_values = lambda *args: got.append(args)
    model = models.tiny_model()
    if where == "mock":
        with mock.patch.object(
            FinalOpsCallback, "on_final_ops_values", autospec=True
        ) as method:
            models.fit(model, callback)
        got += [call.args[1:] for call in method.call_args_list]
    else:
        models.fit(model, callback)

    assert got == [({"a": 1}, "train", steps_of(model))]


def test_the_step_is_that_of_the_model_of_the_run() -> None:
    """A leaf may have run another model with the same callback."""
    steps: list[int] = []

    class Receiving(FinalOpsCallback):
        def on_final_ops_values(
            self, final: Any, phase: str, step: int
        ) -> None:
            steps.append(step)

    model, other = models.tiny_model(), models.tiny_model()
    models.fit(other, epochs=3)
    data = models.tiny_data()

    def predicting() -> int:
        other.predict(data.x, callbacks=[callback], verbose=0)
        return 1

    callback = Receiving({"a": predicting}, on="train")
    models.fit(model, callback)

    assert steps == [steps_of(model)]
    assert steps_of(other) == 3 * steps_of(model)
