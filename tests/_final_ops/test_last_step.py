# SPDX-License-Identifier: Apache-2.0
"""Leaves of FinalOpsCallback may name values of the last step."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._keras import compat
from final_ops_callback._keras.callback_base import Callback
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

# Two batches: of four and of two.
FEATURES = np.random.RandomState(0).normal(size=(6, 2)).astype("float32")
LABELS = FEATURES.sum(axis=1, keepdims=True)
NAMES = ["features", "labels", "predictions", "hidden", "loss:0", "loss"]


def built(flavor: ModuleType, **options: Any) -> Any:
    inputs = flavor.Input((2,), name="image")
    hidden = flavor.layers.Dense(3, activation="relu", name="hidden")
    outputs = flavor.layers.Dense(1, name="out")(hidden(inputs))
    model = flavor.Model(inputs, outputs)
    model.compile("sgd", "mse", **options)
    return model


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def model(request: pytest.FixtureRequest) -> Any:
    return built(request.param)


def fit(model: Any, *callbacks: Any, **options: Any) -> None:
    options = {"batch_size": 4, "shuffle": False, "verbose": 0} | options
    model.fit(FEATURES, LABELS, callbacks=list(callbacks), **options)


def evaluate(model: Any, *callbacks: Any) -> None:
    model.evaluate(
        FEATURES, LABELS, batch_size=4, verbose=0, callbacks=list(callbacks)
    )


def functions_of(model: Any) -> dict[str, Any]:
    return {n: v for n, v in vars(model).items() if n.endswith("function")}


def forward(model: Any, features: np.ndarray) -> tuple[Any, Any]:
    hidden = model.get_layer("hidden")(features)
    return hidden, model.get_layer("out")(hidden)


def test_in_evaluate(model: Any) -> None:
    """The values are those of the last batch, which is shorter."""
    final = FinalOpsCallback(dict(zip(NAMES, NAMES, strict=True)))
    evaluate(model, final)
    values = final.final_ops_values
    hidden, predictions = forward(model, FEATURES[4:])

    np.testing.assert_array_equal(values["features"], FEATURES[4:])
    np.testing.assert_array_equal(values["labels"], LABELS[4:])
    np.testing.assert_allclose(values["hidden"], hidden, rtol=1e-5)
    np.testing.assert_allclose(values["predictions"], predictions, rtol=1e-5)
    mean = np.mean((predictions - LABELS[4:]) ** 2)
    np.testing.assert_allclose(values["loss:0"], mean, rtol=1e-5)
    # Without the suffix it is the log, the mean of the epoch.
    assert not np.isclose(values["loss"], values["loss:0"])


def test_in_predict(model: Any) -> None:
    """The predictions are those that predict returns."""
    final = FinalOpsCallback(["predictions", "features", "hidden"])
    predictions = model.predict(
        FEATURES, batch_size=4, verbose=0, callbacks=[final]
    )

    np.testing.assert_array_equal(final.final_ops_values[0], predictions[4:])
    np.testing.assert_array_equal(final.final_ops_values[1], FEATURES[4:])


def test_in_fit_with_validation(model: Any) -> None:
    """Each phase has the last step of its own; a hook sees the same."""
    final = FinalOpsCallback(
        ["features", "predictions"], on=("train", "validation")
    )
    seen: list[Any] = []

    class Sees(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs("predictions:0")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            seen.append(run_values.results)

    validation = FEATURES[:3], LABELS[:3]
    fit(
        model,
        SessionRunHookCallback(Sees()),
        final,
        validation_data=validation,
        epochs=2,
    )
    by_phase = final.final_ops_values_by_phase

    np.testing.assert_array_equal(by_phase["train"][0], FEATURES[4:])
    np.testing.assert_array_equal(by_phase["train"][1], seen[-1])
    assert len(seen) == 4
    np.testing.assert_array_equal(by_phase["validation"][0], FEATURES[:3])
    np.testing.assert_allclose(
        by_phase["validation"][1], forward(model, FEATURES[:3])[1], rtol=1e-5
    )


def test_gradients(model: Any) -> None:
    """The last gradient is the last change of plain SGD."""
    bias = model.get_layer("out").trainable_weights[1]
    path = getattr(bias, "path", None) or bias.name.removesuffix(":0")
    final = FinalOpsCallback(f"gradients/{path}")
    fit(model)
    before = bias.numpy()
    fit(model, final, batch_size=6)

    np.testing.assert_allclose(
        before - 0.01 * final.final_ops_values, bias.numpy(), rtol=1e-5
    )


def test_the_model_is_left_as_it_was(model: Any) -> None:
    """The model has its previous functions again, and none of ours."""
    fit(model)
    evaluate(model)
    before = functions_of(model)
    final = FinalOpsCallback("hidden", on=("train", "test", "validation"))
    fit(model, final, validation_data=(FEATURES, LABELS))
    evaluate(model, final)

    assert functions_of(model) == before
    for part in (model, *model.layers, model.optimizer):
        assert not {"call", "apply", "apply_gradients"} & vars(part).keys()


def test_the_model_is_left_when_nobody_evaluates(model: Any) -> None:
    """After a fit without an evaluate, nothing waits for one."""
    fit(model)
    before = functions_of(model)
    fit(model, FinalOpsCallback("hidden", on=("test", "validation")))

    assert functions_of(model) == before


def test_the_model_is_left_after_an_error(model: Any) -> None:
    """A step that fails leaves no value and no function of ours."""
    fit(model)
    before = functions_of(model)
    final = FinalOpsCallback("hidden")
    fit(model, final)

    def broken() -> Any:
        yield FEATURES, LABELS
        raise ValueError("no more")

    data = tf.data.Dataset.from_generator(
        broken,
        output_signature=(
            tf.TensorSpec([None, 2], tf.float32),
            tf.TensorSpec([None, 1], tf.float32),
        ),
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="no more"):
        model.fit(data, shuffle=False, verbose=0, callbacks=[final])

    assert final.final_ops_values is None
    assert functions_of(model) == before
    fit(model, final)
    assert final.final_ops_values.shape == (2, 3)


def test_who_asks_for_logs_touches_nothing(model: Any) -> None:
    """The names of logs and metrics don't change the functions."""
    fit(model)
    standing = model.train_function
    during = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: during.append(model.train_function)
    )
    final = FinalOpsCallback(["loss"])
    model.fit(
        FEATURES,
        LABELS,
        verbose=0,
        callbacks=[final]
        if model.__module__.startswith("tf_")
        else [
            watch,
            final,
        ],
    )

    assert all(function is standing for function in during)
    assert model.train_function is standing


def test_an_unknown_name_says_the_nearest(model: Any) -> None:
    """The error lists the layers and asks what was meant."""
    final = FinalOpsCallback({"a": "hiden"})

    with pytest.raises(
        errors.LeafError, match=r"\['a'\]\)\. Did you mean 'hidden'.*'out'"
    ):
        evaluate(model, final)


def test_a_layer_that_is_not_called() -> None:
    """A user-defined step that does not call the layer is an error."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used = keras.layers.Dense(1, name="used")
            self.unused = keras.layers.ReLU(name="unused")

        def call(self, inputs: Any) -> Any:
            return self.used(inputs)

    own = Own()
    own.compile("sgd", "mse")

    with pytest.raises(errors.StepTensorError, match="'unused' is not called"):
        fit(own, FinalOpsCallback("unused"))
    assert int(own.optimizer.iterations.numpy()) == 0
    fit(own, FinalOpsCallback("used"))


def test_what_was_refused_is_not_asked_for_again(model: Any) -> None:
    """A callback whose hooks asked for too much is good for other hooks."""
    wanted = ["sample_weight:0"]

    class Asks(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(wanted)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            seen.append(run_values.results[0].shape)

    seen: list[tuple[int, ...]] = []
    callback = SessionRunHookCallback(Asks)
    with pytest.raises(errors.StepTensorError, match="no 'sample_weight'"):
        fit(model, callback)
    wanted[:] = ["hidden:0"]
    fit(model, callback)

    assert seen == [(4, 3), (2, 3)]


class Watching(Callback):
    """Watches the steps of a call, and lets go after it if it should."""

    def __init__(self, *names: str, phase: str = "train") -> None:
        super().__init__()
        self.last = LastStep(names, phase)
        self.found: dict[str, Any] = {}
        self.names = names

    def _begin_phase(self, phase: Any) -> None:
        self.last.begin(self.model)

    def _end_phase(self, phase: Any, logs: Any) -> None:
        self.found = {n: self.last.value(n, lambda: "here") for n in self.names}
        self.is_known = self.last.is_known
        self.known = self.last.known
        self.last.end()


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_values_are_those_of_the_last_step(flavor: Any) -> None:
    """A log is none of them, and neither is an unknown name."""
    model = models.tiny_model(flavor)
    watching = Watching("predictions", "loss", "nothing", "features:0")
    models.fit(model, watching)

    np.testing.assert_array_equal(
        watching.found["features:0"], models.tiny_data().x[4:]
    )
    assert watching.found["predictions"].shape == (4, 1)
    assert watching.found["loss"] is None
    assert watching.found["nothing"] is None
    assert watching.is_known
    assert "predictions" in watching.known


def test_a_run_without_a_step_has_no_value() -> None:
    """The error says where the name stands."""
    last = LastStep(["predictions"], "train")
    last.begin(models.tiny_model())
    with pytest.raises(errors.LeafError, match=r"no step .* has run") as caught:
        last.value("predictions", lambda: "final_ops[0]")
    last.end()

    assert "final_ops[0]" in str(caught.value)
    assert last.value("predictions", lambda: "") is None
    assert last.known == ()


def test_a_validation_has_the_steps_of_an_evaluate() -> None:
    """It is an evaluate to Keras."""
    assert LastStep([], "validation").mode == "test"
    assert LastStep([], "train").mode == "train"


def test_a_metric_of_predict_may_be_left_over() -> None:
    """It is, if predict has left it as it was."""
    model = models.tiny_model()
    models.fit(model)
    (mae,) = [m for m in compat.metrics_of(model) if m.name == "mae"]
    last = LastStep(["mae"], "predict")
    last.begin(model)
    assert not last.may_have_updated(mae)
    mae.update_state([1.0], [3.0])
    assert last.may_have_updated(mae)
    last.end()

    assert last.may_have_updated(mae)  # of other runs nothing is known
