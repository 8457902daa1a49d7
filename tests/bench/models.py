# SPDX-License-Identifier: Apache-2.0
"""Defines the measured models, for Keras and by hand for v1."""

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1

ROWS = 100_000
Arrays = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One model.

    Attributes:
        name: String. What it is.
        arrays: Function that returns one batch: inputs and labels.
        layers: Function that takes a Keras package and returns the layers.
        outputs: Function that takes a symbolic batch in v1's graph and returns
            the outputs of the same model.
    """

    name: str
    arrays: Callable[[], Arrays]
    layers: Callable[[ModuleType], list[Any]]
    outputs: Callable[[Any], Any]

    def model(self, flavor: ModuleType, **options: Any) -> Any:
        """Returns the compiled model of a Keras package."""
        flavor.utils.set_random_seed(0)
        model = flavor.Sequential(self.layers(flavor))
        options = {"jit_compile": False, **options}
        model.compile(flavor.optimizers.SGD(0.01), "mse", **options)
        return model

    def data(self) -> tf.data.Dataset:
        """Returns the same batch again and again."""
        return tf.data.Dataset.from_tensors(self.arrays()).repeat()


def _arrays(*shape: int) -> Arrays:
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    return x, x.reshape(len(x), -1)[:, :1] * 2


def _dense(flavor: ModuleType) -> list[Any]:
    layers = flavor.layers
    return [
        flavor.Input((4,)),
        layers.Dense(8, "relu"),
        layers.Dense(1),
    ]


def _dense_by_hand(x: Any) -> Any:
    w1, b1 = v1.get_variable("w1", [4, 8]), v1.get_variable("b1", [8])
    w2, b2 = v1.get_variable("w2", [8, 1]), v1.get_variable("b2", [1])
    return tf.nn.relu(x @ w1 + b1) @ w2 + b2


def _convolutions(flavor: ModuleType) -> list[Any]:
    layers = flavor.layers
    return [
        flavor.Input((28, 28, 1)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(32, 3, strides=2, activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(1),
    ]


def _convolutions_by_hand(x: Any) -> Any:
    for name, inputs, outputs, stride in (("c1", 1, 16, 1), ("c2", 16, 32, 2)):
        kernel = v1.get_variable(f"{name}_k", [3, 3, inputs, outputs])
        bias = v1.get_variable(f"{name}_b", [outputs])
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, stride, "VALID") + bias)
    w, b = v1.get_variable("w", [32, 1]), v1.get_variable("b", [1])
    return tf.reduce_mean(x, axis=[1, 2]) @ w + b


def _words() -> Arrays:
    generator = np.random.default_rng(0)
    ids = generator.integers(ROWS, size=(32, 20)).astype("int64")
    return ids, generator.normal(size=(32, 1)).astype("float32")


def _embedding(flavor: ModuleType) -> list[Any]:
    layers = flavor.layers
    return [
        flavor.Input((20,), dtype="int64"),
        layers.Embedding(ROWS, 16),
        layers.GlobalAveragePooling1D(),
        layers.Dense(1),
    ]


def _embedding_by_hand(ids: Any) -> Any:
    table = v1.get_variable("table", [ROWS, 16])
    w, b = v1.get_variable("w", [16, 1]), v1.get_variable("b", [1])
    return tf.reduce_mean(tf.gather(table, ids), axis=1) @ w + b


TINY = Kind("tiny", lambda: _arrays(4, 4), _dense, _dense_by_hand)
CONVOLUTIONS = Kind(
    "convolutions, batch of 32",
    lambda: _arrays(32, 28, 28, 1),
    _convolutions,
    _convolutions_by_hand,
)
EMBEDDING = Kind(
    f"embedding, {ROWS:,} rows", _words, _embedding, _embedding_by_hand
)
