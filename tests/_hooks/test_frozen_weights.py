# SPDX-License-Identifier: Apache-2.0
"""The trainable variables of the graph are those that the model trains.

The oracle is plain Keras: `model.trainable_weights`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import to_numpy

v1 = tf.compat.v1
L = keras.layers


def nothing(model: Any) -> None:
    """Freezes nothing."""


def one_layer(model: Any) -> None:
    """Freezes a layer that is built."""
    model.get_layer("first").trainable = False


def a_model_inside(model: Any) -> None:
    """Freezes a model, and all layers in it."""
    model.get_layer("inner").trainable = False


def and_back(model: Any) -> None:
    """Freezes the model, and lets one layer train."""
    for layer in model.layers:
        layer.trainable = False
    model.get_layer("last").trainable = True


def all_but_a_few(model: Any) -> None:
    """Trains an update of low rank in the place of the kernel."""
    model.get_layer("first").enable_lora(1)


WAYS: list[Callable[[Any], None]] = [
    nothing,
    one_layer,
    a_model_inside,
    and_back,
]
if IS_KERAS_3:
    WAYS.append(all_but_a_few)


def model_of(freeze: Callable[[Any], None]) -> Any:
    """Returns a compiled model of which something is frozen."""
    inner = keras.Sequential(
        [keras.Input((4,)), L.Dense(2, name="deep"), L.BatchNormalization()],
        name="inner",
    )
    model = keras.Sequential(
        [
            keras.Input((3,)),
            L.Dense(4, name="first"),
            inner,
            L.Dense(1, name="last"),
        ]
    )
    freeze(model)
    model.compile("sgd", "mse", jit_compile=False)
    return model


class Shrinks(v1.train.SessionRunHook):
    """Writes the trainable variables after each step."""

    def begin(self) -> None:
        variables = v1.trainable_variables()
        self.names = [variable.op.name for variable in variables]
        self.op = tf.group(*[v.assign(v * 0.5) for v in variables])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.session.run(self.op)


@pytest.mark.parametrize("freeze", WAYS)
def test_frozen_weights_are_not_trainable(
    freeze: Callable[[Any], None],
) -> None:
    """A hook that writes what is trainable leaves alone what is frozen."""
    model, hook = model_of(freeze), Shrinks()
    frozen = [to_numpy(v) for v in frozen_weights(model)]
    x = np.ones((4, 3), "f")
    callback = SessionRunHookCallback(hook)
    model.fit(x, x[:, :1], verbose=0, callbacks=[callback])

    assert hook.names == [path_of(v) for v in model.trainable_weights]
    for before, variable in zip(frozen, frozen_weights(model), strict=True):
        np.testing.assert_array_equal(before, to_numpy(variable))


def frozen_weights(model: Any) -> list[Any]:
    """Returns the kernels that are not trained; statistics move."""
    return [v for v in model.non_trainable_weights if "kernel" in path_of(v)]
