# SPDX-License-Identifier: Apache-2.0
"""The flavor of Keras that the tests run on, and those of this process.

Tests take `keras` from here. The environment variable `TESTED_KERAS` chooses
the package: the suite runs once on `keras` and once on `tf_keras`, the current
Keras 2 (.ci/run). With TensorFlow 2.15, `keras` is Keras 2 itself.
"""

import contextlib
import importlib
import os
from types import ModuleType
from typing import Any

import pytest
import tensorflow as tf

NAME = os.environ.get("TESTED_KERAS", "keras")

keras: Any = importlib.import_module(NAME)

IS_KERAS_3 = hasattr(keras, "ops")

# The flavors for a test that is about all flavors of one process.
FLAVORS: dict[str, ModuleType] = {NAME: keras}
if IS_KERAS_3:
    FLAVORS["tf_keras"] = importlib.import_module("tf_keras")

KERAS_2: Any = list(FLAVORS.values())[-1]

LossScaleOptimizer: Any = (
    keras.optimizers if IS_KERAS_3 else keras.mixed_precision
).LossScaleOptimizer

needs_keras_3 = pytest.mark.skipif(
    not IS_KERAS_3, reason="it is about something that Keras 2 has not"
)
needs_both = pytest.mark.skipif(
    len(FLAVORS) == 1, reason="one flavor of Keras is tested alone here"
)


def ends_in_the_step() -> Any:
    """Expects the warning of Keras 3 when data of unknown length ends."""
    if IS_KERAS_3:
        return pytest.warns(UserWarning, match="ran out of data")
    return contextlib.nullcontext()


def path_of(variable: Any) -> str:
    """Returns the name that a variable has outside of a graph."""
    return getattr(variable, "path", None) or variable.name.removesuffix(":0")


def variables_of(optimizer: Any) -> list[Any]:
    """Returns the variables of an optimizer: a method in Keras 2.15."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def value_of(variable: Any) -> tf.Variable:
    """Returns the `tf.Variable` of a variable of Keras."""
    is_own = isinstance(variable, tf.Variable | tf.Tensor)
    return variable if is_own else variable.value


def to_numpy(value: Any) -> Any:
    """Returns a tensor or variable of Keras as NumPy."""
    return tf.convert_to_tensor(value_of(value)).numpy()
