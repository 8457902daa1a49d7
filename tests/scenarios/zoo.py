# SPDX-License-Identifier: Apache-2.0
"""Models of each kind with the data that they train on."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras

L = keras.layers
ROWS, FIXED_ROWS = 14, 12  # four batches of which the last is short, or three


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model.

    Args:
        make: Builds it, uncompiled.
        data: Gives features and labels for a number of rows.
        loss: What `compile` gets.
        metrics: What `compile` gets.
        traits: What it can't do, or costs: "random" draws numbers by itself,
            "own step" has a step of its own, "opaque" does not know its
            tensors, "fixed" needs full batches, "slow", "several" has more
            than one output, "data set" takes no arrays, "mixed_float16" and
            "mixed_bfloat16" are the policy, "no xla".
    """

    make: Callable[[], Any]
    data: Callable[[int], tuple[Any, Any]]
    loss: Any = "mse"
    metrics: Any = ("mae",)
    traits: frozenset[str] = frozenset()


ZOO: dict[str, Kind] = {}


def kind(
    data: Callable[[int], tuple[Any, Any]],
    *traits: str,
    keras_3: bool | None = None,
    **more: Any,
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Registers the decorated function as a kind of model.

    Args:
        data: As in `Kind`.
        *traits: As in `Kind`.
        keras_3: On which Keras it can be built; both by default.
        **more: As in `Kind`.
    """

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        if keras_3 in (None, IS_KERAS_3):
            name = make.__name__.replace("_", " ")
            ZOO[name] = Kind(make, data, traits=frozenset(traits), **more)
        return make

    return register


def rows_of(shape: tuple[int, ...]) -> Callable[[int], tuple[Any, Any]]:
    """Gives normal features of a shape, and labels that depend on them."""

    def data(rows: int) -> tuple[Any, Any]:
        x = np.random.default_rng(5).normal(size=(rows, *shape)).astype("f")
        return x, x.reshape(rows, -1)[:, :1] * 0.5 + 0.25

    return data


def classes(rows: int) -> tuple[Any, Any]:
    """Gives three features and one of three classes."""
    x, _ = rows_of((3,))(rows)
    return x, np.argmax(x, axis=1).astype("int64")


def words(rows: int) -> tuple[Any, Any]:
    """Gives sequences of 5 of 7 words, 0 at their ends, and labels."""
    x = np.random.default_rng(5).integers(1, 7, (rows, 5)).astype("int32")
    x[np.arange(5) >= 2 + np.arange(rows)[:, None] % 4] = 0
    return x, (x.sum(axis=1, keepdims=True) / 10).astype("f")


def named(rows: int) -> tuple[Any, Any]:
    """Gives two named features and labels."""
    x, y = rows_of((5,))(rows)
    return {"a": x[:, :2], "b": x[:, 2:]}, y


def listed(rows: int) -> tuple[Any, Any]:
    """Gives a list of two features, and labels."""
    x, y = named(rows)
    return (x["a"], x["b"]), y


def two_labels(rows: int) -> tuple[Any, Any]:
    """Gives features, and labels of two outputs by name."""
    x, y = rows_of((3,))(rows)
    return x, {"left": y, "right": np.repeat(1 - y, 2, axis=1)}


def listed_labels(rows: int) -> tuple[Any, Any]:
    """Gives features, and a list of labels of two outputs."""
    x, y = two_labels(rows)
    return x, (y["left"], y["right"])


def stack(*layers: Any, **more: Any) -> Any:
    """Builds a Sequential model."""
    return keras.Sequential(list(layers), **more)


dense_rows, images = rows_of((3,)), rows_of((6, 6, 1))


@kind(dense_rows)
def functional() -> Any:
    x = keras.Input((3,), name="x")
    hidden = L.Dense(4, "relu", name="hidden")(x)
    return keras.Model(x, L.Dense(1, name="out")(hidden))


@kind(dense_rows)
def sequential() -> Any:
    return stack(keras.Input((3,)), L.Dense(4, "tanh"), L.Dense(1))


@kind(dense_rows, "opaque")
def sequential_without_input() -> Any:
    return stack(L.Dense(4, "tanh", name="first"), L.Dense(1, name="last"))


@kind(dense_rows, "opaque")
def subclass() -> Any:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own")
            self.first = L.Dense(4, "elu", name="first")
            self.last = L.Dense(1, name="last")

        def call(self, inputs: Any, training: bool = False) -> Any:
            scale = 2.0 if training else 1.0
            return self.last(self.first(inputs) * scale)

    return Own()


@kind(named)
def inputs_by_name() -> Any:
    inputs = {
        "a": keras.Input((2,), name="a"),
        "b": keras.Input((3,), name="b"),
    }
    both = L.Concatenate(name="both")([inputs["a"], inputs["b"]])
    return keras.Model(inputs, L.Dense(1, name="out")(both))


@kind(listed)
def listed_inputs() -> Any:
    inputs = [keras.Input((2,), name="a"), keras.Input((3,), name="b")]
    both = L.Concatenate(name="both")(inputs)
    return keras.Model(inputs, L.Dense(1, name="out")(both))


def _left_and_right() -> Any:
    x = keras.Input((3,), name="x")
    hidden = L.Dense(4, "gelu", name="hidden")(x)
    return x, [
        L.Dense(1, name="left")(hidden),
        L.Dense(2, name="right")(hidden),
    ]


TWO = {"left": "mse", "right": "mae"}


@kind(two_labels, "several", loss=TWO, metrics={"left": ["mae"]})
def outputs_by_name() -> Any:
    x, (left, right) = _left_and_right()
    return keras.Model(x, {"left": left, "right": right})


@kind(listed_labels, "several", loss=["mse", "mae"], metrics=None)
def listed_outputs() -> Any:
    return keras.Model(*_left_and_right())


@kind(dense_rows)
def shared_layer() -> Any:
    x = keras.Input((3,), name="x")
    shared = L.Dense(3, "tanh", name="shared")
    return keras.Model(x, L.Dense(1, name="out")(shared(shared(x))))


@kind(dense_rows)
def nested_models() -> Any:
    x = keras.Input((3,), name="x")
    inner = stack(
        keras.Input((3,)), L.Dense(3, "relu", name="deep"), name="inner"
    )
    encoder = stack(
        keras.Input((3,)), inner, L.Dense(2, name="code"), name="encoder"
    )
    return keras.Model(x, L.Dense(1, name="out")(encoder(x)))


@kind(images)
def convolution() -> Any:
    return stack(
        keras.Input((6, 6, 1)),
        L.Conv2D(3, 3, name="conv"),
        L.BatchNormalization(name="bn"),
        L.ReLU(),
        L.MaxPool2D(),
        L.Flatten(),
        L.Dense(1),
    )


@kind(lambda rows: 2 * (rows_of((6, 6, 1))(rows)[0],))
def autoencoder() -> Any:
    return stack(
        keras.Input((6, 6, 1)),
        L.SeparableConv2D(2, 3, 2, padding="same"),
        L.Conv2DTranspose(2, 3, 2, padding="same", name="up"),
        L.UpSampling2D(1),
        L.DepthwiseConv2D(3, padding="same"),
        L.Conv2D(1, 1),
    )


@kind(words, "no xla")
def masked_lstm() -> Any:
    return stack(
        keras.Input((5,), dtype="int32"),
        L.Embedding(7, 3, mask_zero=True, name="embedding"),
        L.LSTM(3, name="lstm"),
        L.Dense(1, name="out"),
    )


@kind(rows_of((4, 2)), "fixed", "no xla")
def stateful_gru() -> Any:
    x = keras.Input(batch_shape=(4, 4, 2), name="x")
    return keras.Model(x, L.Dense(1)(L.GRU(3, stateful=True, name="gru")(x)))


@kind(lambda rows: 2 * (rows_of((4, 2))(rows)[0],), "no xla")
def bidirectional() -> Any:
    return stack(
        keras.Input((4, 2)),
        L.Bidirectional(L.LSTM(2, return_sequences=True), name="both"),
        L.TimeDistributed(L.Dense(2), name="each"),
    )


@kind(rows_of((4, 2)), "opaque", "no xla")
def own_cell() -> Any:
    class Cell(L.Layer):
        state_size = output_size = 3

        def build(self, shape: Any) -> None:
            self.mix = self.add_weight(name="mix", shape=(3 + shape[-1], 3))
            self.built = True

        def call(self, inputs: Any, states: Any) -> Any:
            joined = tf.concat([inputs, states[0]], axis=-1)
            new = tf.tanh(tf.matmul(joined, self.mix))
            return new, [new]

    return stack(L.RNN(Cell(), name="rnn"), L.Dense(1, name="out"))


@kind(rows_of((4, 2)))
def attention() -> Any:
    x = keras.Input((4, 2), name="x")
    seen = L.MultiHeadAttention(2, 2, dropout=0.0, name="heads")(x, x)
    normal = L.LayerNormalization(name="norm")(L.Add(name="add")([x, seen]))
    return keras.Model(x, L.Dense(1)(L.GlobalAveragePooling1D()(normal)))
