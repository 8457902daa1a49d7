# SPDX-License-Identifier: Apache-2.0
"""The data of a scenario, as it is given to Keras."""

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.scenarios.drawn import Scenario
from tests.scenarios.zoo import FIXED_ROWS
from tests.scenarios.zoo import ROWS

BATCH = 4
CLASS_WEIGHTS = {0: 0.5, 1: 2.0, 2: 1.5}
_BASE: Any = keras.utils.PyDataset if IS_KERAS_3 else keras.utils.Sequence


def arrays_of(one: Scenario) -> tuple[Any, ...]:
    """Returns features, labels and, if it has some, sample weights."""
    rows = FIXED_ROWS if one.has("fixed") else ROWS
    data = one.kind.data(rows)
    if one.weights != "sample":
        return data
    return (*data, np.linspace(0.5, 2, rows, dtype="float32"))


def batches_of(one: Scenario) -> list[tuple[Any, ...]]:
    """Returns the batches in their order, as eager tensors."""
    data = tf.data.Dataset.from_tensor_slices(arrays_of(one))
    return [
        tf.nest.map_structure(lambda value: value.numpy(), batch)
        for batch in data.batch(BATCH)
    ]


def steps_of_epoch(one: Scenario) -> int:
    """Returns how many batches of a pass over the data hooks see."""
    is_steady = one.data == "generator" and one.plan == "seen validation"
    is_three = is_steady or one.data == "steps per epoch"
    return 3 if is_three else len(batches_of(one))


class _Batches(_BASE):
    """Batches by number."""

    def __init__(self, batches: list[Any]) -> None:
        if IS_KERAS_3:
            super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Any:
        return self._batches[index]


def data_of(
    one: Scenario, phase: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the positional and the keyword arguments of a call of Keras."""
    data, batches = arrays_of(one), batches_of(one)
    if phase == "predict":
        data, batches = data[:1], [batch[:1] for batch in batches]
    as_set = tf.data.Dataset.from_tensor_slices(data).batch(BATCH)
    if one.data in ("arrays", "shuffled"):
        more: dict[str, Any] = {"batch_size": BATCH}
        if len(data) == 3:
            more["sample_weight"] = data[2]
        if phase == "train":
            more["shuffle"] = one.data == "shuffled"
        return tuple(map(as_keras_takes, data[:2])), more
    more = {"shuffle": False} if phase == "train" else {}
    number = "steps_per_epoch" if phase == "train" else "steps"
    if one.data == "unknown length":
        return (as_set.filter(lambda *row: True),), more
    if one.data == "sequence":
        return (_Batches(batches),), more
    if one.data == "generator":
        # A generator of Python is used up by the first epoch.
        endless = itertools.cycle(batches)
        return ((b for b in endless),), {**more, number: len(batches)}
    if one.data == "steps per epoch":
        return (as_set.repeat(),), {**more, number: 3}
    return (as_set,), more


def as_keras_takes(part: Any) -> Any:
    """Returns arrays of several inputs or outputs as a list."""
    return list(part) if isinstance(part, tuple) else part
