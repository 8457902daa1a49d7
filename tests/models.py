# SPDX-License-Identifier: Apache-2.0
"""The tiny model and data that the tests of FinalOpsCallback share."""

from types import ModuleType
from typing import Any
from typing import NamedTuple

import numpy as np

from tests.flavors import keras


class Data(NamedTuple):
    """Arrays to fit on and others to validate on."""

    x: np.ndarray
    y: np.ndarray
    validation: tuple[np.ndarray, np.ndarray]


def tiny_data() -> Data:
    """Returns 8 examples of 3 features, and 4 of another distribution."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(8, 3)).astype("float32")
    other = generator.normal(size=(4, 3)).astype("float32")
    return Data(x, x[:, :1] * 2, (other, other[:, :1] + 5))


def tiny_model(flavor: ModuleType = keras, **optimizer: Any) -> Any:
    """Returns a compiled model of one layer, with the metric `mae`.

    Args:
        flavor: A Keras package: `keras` or `tf_keras`.
        **optimizer: Arguments of the optimizer.
    """
    flavor.utils.set_random_seed(0)
    inputs = flavor.Input((3,), name="x")
    outputs = flavor.layers.Dense(1, name="out")(inputs)
    model = flavor.Model(inputs, outputs)
    model.compile(
        flavor.optimizers.SGD(0.1, **optimizer),
        "mse",
        metrics=[flavor.metrics.MeanAbsoluteError(name="mae")],
        jit_compile=False,  # compiling with XLA would take longer than the run
    )
    return model


def fit(
    model: Any, *callbacks: Any, validate: bool = False, **more: Any
) -> Any:
    """Fits on the tiny data, silently and unshuffled; returns the history."""
    data = tiny_data()
    validation = {"validation_data": data.validation} if validate else {}
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    return model.fit(
        data.x,
        data.y,
        callbacks=list(callbacks),
        **options,
        **validation,
        **more,
    ).history


def key_of(symbolic: Any) -> Any:
    """Returns a symbolic tensor as a key: Keras 2 can't hash the tensor."""
    return symbolic.ref() if hasattr(symbolic, "ref") else symbolic


def finish(callback: Any, model: Any = None, logs: Any = None) -> Any:
    """Drives a callback through one evaluate without batches."""
    callback.set_model(model)
    callback.on_test_begin()
    callback.on_test_end(logs)
    return callback.final_ops_values
