# SPDX-License-Identifier: Apache-2.0
"""A step function of Keras that returns more than Keras asked for."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import errors
from final_ops_callback._step import kinds
from final_ops_callback._step.instrumented import END_OF_DATA
from final_ops_callback._step.instrumented import InstrumentedStep
from tests import models
from tests.flavors import FLAVORS


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def batches() -> Any:
    """Returns an iterator over the tiny data, in two batches."""
    data = models.tiny_data()
    dataset = tf.data.Dataset.from_tensor_slices((data.x, data.y))
    return iter(dataset.batch(4))


def made(flavor: ModuleType, phase: str = "test") -> tuple[Any, Any]:
    """Returns a model and the function that Keras makes for its steps."""
    model = models.tiny_model(flavor)
    model.evaluate(*models.tiny_data()[:2], verbose=0)
    getattr(model, f"make_{phase}_function")()
    return model, getattr(model, f"{phase}_function")


LOSS = {"loss": kinds.Loss()}
BATCH = {"features": kinds.Data(), "predictions": kinds.Predictions()}


def test_the_outputs_of_keras_and_the_others(flavor: ModuleType) -> None:
    """One call returns what Keras would get, and what was asked for."""
    model, function = made(flavor)
    data = models.tiny_data()
    instrumented = InstrumentedStep(model, "test")
    model.reset_metrics()
    outputs, values = instrumented.call(function, batches(), LOSS | BATCH)
    plain = model.predict(data.x[:4], verbose=0)

    np.testing.assert_array_equal(values["features"], data.x[:4])
    np.testing.assert_allclose(values["predictions"], plain, rtol=1e-5)
    loss = np.mean((plain - data.y[:4]) ** 2)
    np.testing.assert_allclose(values["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(outputs["loss"], loss, rtol=1e-5)


def test_nothing_stays_on_the_model(flavor: ModuleType) -> None:
    """Its function is the one it had, and no method is wrapped."""
    model, function = made(flavor)
    before = set(vars(model))
    InstrumentedStep(model, "test").call(function, batches(), BATCH)

    assert model.test_function is function
    assert set(vars(model)) == before
    assert not {"compute_loss", "test_step"} & vars(model).keys()


def test_what_was_taken_is_taken_again(flavor: ModuleType) -> None:
    """A smaller wish needs no new trace; a second one knows of the first."""
    model, function = made(flavor)
    instrumented = InstrumentedStep(model, "test")
    instrumented.call(function, batches(), LOSS | BATCH)
    _, values = instrumented.call(function, batches(), LOSS)
    assert set(values) == {"loss", *BATCH}

    other = InstrumentedStep(model, "test")
    other.call(function, batches(), LOSS | BATCH)
    kept = [
        one for one in vars(function).values() if isinstance(one, dict) and one
    ]
    assert [len(one) for one in kept] == [1]


def test_what_the_step_lacks(flavor: ModuleType) -> None:
    """It is an error, unless it is optional; then it is one when asked for."""
    model, function = made(flavor)
    lacking = {"labels/9": kinds.Data("9", "labels")}
    instrumented = InstrumentedStep(model, "test")
    with pytest.raises(errors.StepTensorError, match="no 'labels/9'"):
        instrumented.call(function, batches(), LOSS | lacking)
    _, values = instrumented.call(
        function, batches(), LOSS | lacking, lacking.keys()
    )
    assert set(values) == {"loss"}
    with pytest.raises(errors.StepTensorError, match="no 'labels/9'"):
        instrumented.call(function, batches(), dict(lacking))


def test_the_end_of_the_data_is_none(flavor: ModuleType) -> None:
    """It goes through as it is, and the function is kept."""
    model, function = made(flavor)
    instrumented = InstrumentedStep(model, "test")
    data = batches()
    for _ in range(2):
        instrumented.call(function, data, LOSS)
    with pytest.raises(END_OF_DATA):
        instrumented.call(function, data, LOSS)
    _, values = instrumented.call(function, batches(), LOSS)

    assert values["loss"].shape == ()


def test_whether_a_function_was_compiled_without(flavor: ModuleType) -> None:
    """A function that ran only as Keras has it draws numbers of its own."""
    model = models.tiny_model(flavor)
    model.make_test_function()
    function = model.test_function
    was_without = InstrumentedStep.was_compiled_without
    assert not was_without(None)
    assert not was_without(function)
    function(batches())
    assert was_without(function)
    InstrumentedStep(model, "test").call(function, batches(), LOSS)
    assert not was_without(function)
