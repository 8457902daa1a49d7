# SPDX-License-Identifier: Apache-2.0
"""Loads the files in which Keras keeps weights, and finds their step."""

from __future__ import annotations

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from final_ops_callback._keras import compat

SUFFIXES = (".weights.h5", ".keras")

# Where Keras keeps the iterations of an optimizer: of the one inside of a loss
# scale, else of the one itself (tests/test_private_api.py notices a change).
_ITERATIONS = ("optimizer/inner_optimizer/vars/0", "optimizer/vars/0")

# What TensorFlow, h5py, zipfile and Keras raise for a file that is damaged, not
# whole or gone.
DAMAGED = (
    tf.errors.OpError,
    OSError,
    zipfile.BadZipFile,
    KeyError,
    EOFError,
    RuntimeError,
)


def load(model: Any, path: str) -> int | None:
    """Loads weights into a model, or leaves it as it was.

    The optimizer of the model may be another one than that of the file: Keras
    leaves it as it is then.

    Args:
        model: A Keras model of any flavor that has its weights.
        path: String. The path of a `.weights.h5` or `.keras` file.

    Returns:
        The step of the optimizer in the file; `None` if it has none.

    Raises:
        ValueError: The file is that of another model.
        Exception: One of `DAMAGED`.
    """
    with compat.strategy_scope(model), _as_it_was(model):
        step = _step_of(path)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Skipping variable loading for optimizer"
            )
            model.load_weights(path)
    return step


@contextlib.contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    before = model.get_weights()
    try:
        yield
    except BaseException:
        model.set_weights(before)
        raise


def _step_of(path: str) -> int | None:
    with tf.io.gfile.GFile(path, "rb") as file:
        content = io.BytesIO(file.read())
    if path.endswith(".keras"):
        with zipfile.ZipFile(content) as archive:
            content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r") as weights:
        for name in _ITERATIONS:
            value = weights.get(name)
            if value is not None and np.shape(value) == ():
                return int(value[()])
    return None
