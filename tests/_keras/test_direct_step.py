# SPDX-License-Identifier: Apache-2.0
"""Calling the compiled step of Keras without looking it up in each step."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import model_functions
from final_ops_callback._keras.direct_step import DirectStep
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
# Predict of Keras 3 calls its function with batches, not with an iterator.
STEPS = [
    (flavor, phase)
    for flavor in FLAVORS.values()
    for phase in ("train", "test", "predict")
    if phase != "predict" or not hasattr(flavor, "ops")
]


def data_of(steps: int = 4) -> tf.data.Dataset:
    """Returns batches of the tiny data."""
    data = models.tiny_data()
    batches = tf.data.Dataset.from_tensor_slices((data.x, data.y)).batch(4)
    return batches.repeat().take(steps)


def function_of(model: Any, phase: str) -> Any:
    """Returns the step function of a phase, made and not traced."""
    getattr(model, model_functions.maker_of(phase))()
    return vars(model)[model_functions.attribute_of(phase)]


def steps(model: Any, phase: str, is_direct: bool, count: int = 4) -> list[Any]:
    """Returns the outputs of the steps on some batches."""
    function = function_of(model, phase)
    direct = DirectStep.of(function)
    assert direct is not None
    found = []
    iterator = iter(data_of(count))
    for _ in range(count):
        if is_direct and direct.is_ready(iterator):
            outputs = direct(iterator)
        else:
            outputs = function(iterator)
            direct.learn(iterator)
        found.append(tf.nest.map_structure(np.asarray, outputs))
    assert direct.is_ready(iterator)
    with pytest.raises((StopIteration, tf.errors.OutOfRangeError)):
        direct(iterator)
    return found


@pytest.mark.parametrize(
    ("flavor", "phase"), STEPS, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_direct_step_is_the_step(flavor: Any, phase: str) -> None:
    """Outputs, their order and weights are those of the function of Keras."""
    one, other = models.tiny_model(flavor), models.tiny_model(flavor)
    other.set_weights(one.get_weights())
    expected = steps(one, phase, is_direct=False)
    found = steps(other, phase, is_direct=True)

    for a, b in zip(expected, found, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)
        assert list(a) == list(b) if isinstance(a, dict) else type(a) is type(b)
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(a), to_numpy(b))


@flavors
def test_nothing_is_traced_for_it(flavor: Any) -> None:
    """The trace is that of Keras; a call finds it, and makes none."""
    model = models.tiny_model(flavor)
    steps(model, "train", is_direct=True)
    compiled = model_functions.compiled_part(model.train_function)
    before = compiled.experimental_get_tracing_count()
    steps(model, "train", is_direct=True)

    assert compiled.experimental_get_tracing_count() == before


@flavors
def test_other_data_is_looked_up_again(flavor: Any) -> None:
    """Another iterator may need another trace."""
    model = models.tiny_model(flavor)
    function = function_of(model, "train")
    direct = DirectStep.of(function)
    assert direct is not None
    first, second = iter(data_of()), iter(data_of())
    function(first)
    direct.learn(first)

    assert direct.is_ready(first)
    assert not direct.is_ready(second)
    tf.config.run_functions_eagerly(True)
    try:
        assert not direct.is_ready(first)
    finally:
        tf.config.run_functions_eagerly(False)


@flavors
def test_a_step_that_runs_eagerly_has_none(flavor: Any) -> None:
    """Nor has a function that somebody else has made."""
    model = models.tiny_model(flavor)
    model.compile("sgd", "mse", run_eagerly=True)

    assert DirectStep.of(function_of(model, "train")) is None
    assert DirectStep.of(lambda iterator: {}) is None


@pytest.mark.parametrize(
    ("act", "jit_compile", "can_be"),
    [
        (lambda: None, False, True),
        (lambda: None, True, False),
        (lambda: tf.random.uniform([]), False, False),
        (lambda: tf.print("a"), False, False),
        (lambda: tf.py_function(lambda: 1.0, [], "float32"), False, False),
        (lambda: tf.numpy_function(lambda: 1.0, [], "float64"), False, False),
    ],
    ids=["plain", "xla", "random", "print", "python", "numpy"],
)
def test_what_can_be_joined(act: Any, jit_compile: bool, can_be: bool) -> None:
    """Not what keeps a state of its own, or acts without a variable."""

    @tf.function
    def inner() -> tf.Tensor:
        act()
        return tf.constant(1.0)

    @tf.function(jit_compile=jit_compile)
    def step(batch: list[tf.Tensor]) -> tf.Tensor:
        return batch[0] + inner()

    direct = DirectStep(step, opens=False)
    batch = [tf.constant(1.0)]
    step(batch)
    direct.learn(batch)

    assert direct.is_ready(batch)
    assert direct.can_be_joined is can_be


@flavors
def test_it_keeps_no_data_alive(flavor: Any) -> None:
    """The iterator of a run is freed after it."""
    model = models.tiny_model(flavor)
    function = function_of(model, "train")
    direct = DirectStep.of(function)
    assert direct is not None
    iterator = iter(data_of())
    function(iterator)
    direct.learn(iterator)
    held = weakref.ref(iterator)
    del iterator
    gc.collect()

    assert held() is None
