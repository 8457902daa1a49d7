# SPDX-License-Identifier: Apache-2.0
"""Kinds of models with layers that prepare their features."""

from typing import Any

import numpy as np
import tensorflow as tf

from tests.flavors import keras
from tests.scenarios.zoo import ROWS
from tests.scenarios.zoo import L
from tests.scenarios.zoo import dense_rows
from tests.scenarios.zoo import images
from tests.scenarios.zoo import kind
from tests.scenarios.zoo import rows_of
from tests.scenarios.zoo import stack


def texts(rows: int) -> tuple[Any, Any]:
    """Gives short texts and labels."""
    known = ["red", "green blue", "blue red red", "unheard"]
    x = np.array([[known[row % 4]] for row in range(rows)], object)
    return tf.constant(x.tolist()), np.arange(rows, dtype="f")[:, None] / rows


@kind(dense_rows)
def adapted_normalization() -> Any:
    normal = L.Normalization(name="normal")
    normal.adapt(dense_rows(ROWS)[0])
    return stack(keras.Input((3,)), normal, L.Dense(1))


@kind(images, "random", "no xla")
def augmented_images() -> Any:
    return stack(
        keras.Input((6, 6, 1)),
        L.Rescaling(0.5, name="scale"),
        L.RandomFlip(seed=3, name="flip"),
        L.RandomTranslation(0.2, 0.2, seed=4),
        L.Flatten(),
        L.Dense(1),
    )


@kind(rows_of((1,)), "no xla")
def discretization() -> Any:
    x = keras.Input((1,), name="x")
    bins = L.Discretization(bin_boundaries=[-0.5, 0.0, 0.5], name="bins")(x)
    code = L.Flatten()(L.Embedding(4, 2, name="code")(bins))
    return keras.Model(x, L.Dense(1)(code))


@kind(texts, "data set", "no xla")
def text_vectorization() -> Any:
    vocabulary = ["red", "green", "blue"]
    vector = L.TextVectorization(
        vocabulary=vocabulary, output_sequence_length=3, name="vector"
    )
    x = keras.Input((1,), dtype="string", name="x")
    code = L.Embedding(5, 2, mask_zero=True, name="code")(vector(x))
    return keras.Model(x, L.Dense(1)(L.GlobalAveragePooling1D()(code)))


@kind(texts, "data set", "no xla")
def string_lookup() -> Any:
    x = keras.Input((1,), dtype="string", name="x")
    lookup = L.StringLookup(vocabulary=["red", "green blue"], name="lookup")
    code = L.Embedding(4, 2, name="code")(lookup(x))
    return keras.Model(x, L.Dense(1)(L.Flatten()(code)))
