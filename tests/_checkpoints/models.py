# SPDX-License-Identifier: Apache-2.0
"""Models of all kinds, whose state is moved."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.flavors import LossScaleOptimizer
from tests.flavors import keras

L = keras.layers


def compiled(model: Any, optimizer: Any = None) -> Any:
    """Compiles a model and returns it."""
    optimizer = optimizer or keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def convolutions() -> Any:
    """Convolutions and a batch normalization, in a Sequential model."""
    return compiled(
        keras.Sequential(
            [
                keras.Input((6, 6, 1)),
                L.Conv2D(2, 3, name="one"),
                L.BatchNormalization(name="norm"),
                L.SeparableConv2D(2, 3, name="two"),
                L.Dropout(0.1),
                L.Flatten(),
                L.Dense(1, name="last"),
            ],
            name="convolutions",
        ),
        keras.optimizers.Adam(0.1),
    )


def embedding() -> Any:
    """An embedding, before a recurrent layer."""
    return compiled(
        keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                L.Embedding(10, 3, name="embedding"),
                L.LSTM(3, name="recurrent"),
                L.Dense(1, name="last"),
            ],
            name="embedded",
        ),
        keras.optimizers.Adagrad(0.1),
    )


class Shared(keras.Model):
    """A subclassed model that calls one of its layers twice, or never."""

    def __init__(self, unused: bool = False) -> None:
        super().__init__(name="shared")
        if unused:
            self.unused = L.Dense(3)
        self.twice = L.Dense(3, name="twice")
        self.last = L.Dense(1, name="last")

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        self.twice.build((None, 3))
        self.last.build((None, 3))
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Computes the output."""
        return self.last(self.twice(self.twice(inputs)))


def subclassed() -> Any:
    """A subclassed model that calls one of its layers twice."""
    model = Shared()
    model(np.zeros((1, 3), "f"))
    return compiled(model)


def nested() -> Any:
    """A model in a model, with layers of one name in both."""
    inner = keras.Sequential(
        [keras.Input((3,)), L.Dense(3, name="dense")], name="inner"
    )
    inputs = keras.Input((3,))
    outputs = L.Dense(1, name="dense")(inner(inputs))
    return compiled(keras.Model(inputs, outputs, name="outer"))


def frozen() -> Any:
    """A model with a layer that is not trained."""
    inputs = keras.Input((3,))
    hidden = L.Dense(3, name="hidden", trainable=False)(inputs)
    return compiled(keras.Model(inputs, L.Dense(1, name="out")(hidden)))


def plain(optimizer: Any, **layer: Any) -> Any:
    """One layer, with an optimizer."""
    inputs = keras.Input((3,))
    outputs = L.Dense(1, name="out", **layer)(inputs)
    return compiled(keras.Model(inputs, outputs), optimizer)


def mixed_precision() -> Any:
    """A model that computes in 16 bits, with a loss scale."""
    optimizer = LossScaleOptimizer(keras.optimizers.Adam(0.1))
    return plain(optimizer, dtype="mixed_float16")


def half() -> Any:
    """A model with weights of 16 bits."""
    return plain(keras.optimizers.SGD(0.1, momentum=0.5), dtype="bfloat16")


def averaged() -> Any:
    """An optimizer that keeps moving averages of the weights."""
    return plain(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))


def mirrored() -> Any:
    """A model with variables of a distribution strategy."""
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        return compiled(
            keras.Sequential(
                [
                    keras.Input((3,)),
                    L.BatchNormalization(name="norm"),
                    L.Dense(1, name="last"),
                ],
                name="mirrored",
            )
        )


MODELS: dict[str, Callable[[], Any]] = {
    make.__name__: make
    for make in (
        convolutions,
        embedding,
        subclassed,
        nested,
        frozen,
        mixed_precision,
        half,
        averaged,
        mirrored,
    )
}


def fit(model: Any) -> None:
    """Trains a model for one step on values of its shapes."""
    draw = np.random.default_rng(0)
    is_open = isinstance(model, Shared)
    shape = (4, *((4, 3) if is_open else model.input_shape)[1:])
    x = draw.integers(0, 10, shape) if model.name == "embedded" else None
    x = draw.random(shape, "f") if x is None else x
    model.fit(x, draw.random((4, 1), "f"), verbose=0)
