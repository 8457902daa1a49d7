# SPDX-License-Identifier: Apache-2.0
"""Loads the files in which Keras keeps weights, and finds their step."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizer_compat

SUFFIXES = (".weights.h5", ".keras")

# Where Keras keeps the iterations of an optimizer: of the one inside of a loss
# scale, else of the one itself (tests/_keras/test_weights_files.py notices).
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
        The step of the optimizer in the file, in updates; `None` if it has
        none. Where gradients are accumulated, Keras 3 saves the number of
        batches. A `.keras` file tells of how many an update is made; for a
        `.weights.h5` file it is taken from the optimizer of the model.

    Raises:
        ValueError: The file is that of another model.
        Exception: One of `DAMAGED`.
    """
    with _copied(path) as copy:
        step = _step_of(copy, model)
        with compat.strategy_scope(model), _as_it_was(model):
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", "Skipping variable loading for optimizer"
                )
                model.load_weights(copy)
    return step


@contextlib.contextmanager
def _copied(path: str) -> Iterator[str]:
    """Copies a file, because h5py locks what it reads.

    The training that writes the file again would fail meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        tf.io.gfile.copy(path, copy)
        yield copy


@contextlib.contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    before = model.get_weights()
    try:
        yield
    except BaseException:
        model.set_weights(before)
        raise


def _step_of(path: str, model: Any) -> int | None:
    batches = batches_per_step(getattr(model, "optimizer", None))
    with contextlib.ExitStack() as stack:
        file: Any = path
        if path.endswith(".keras"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = io.BytesIO(archive.read("model.weights.h5"))
            batches = _batches_of(json.loads(archive.read("config.json")))
        weights = stack.enter_context(h5py.File(file, "r"))
        for name in _ITERATIONS:
            value = weights.get(name)
            if value is not None and np.shape(value) == ():
                return int(value[()]) // batches
    return None


def batches_per_step(optimizer: Any) -> int:
    """Returns of how many batches an optimizer accumulates the gradients.

    Its variable for the step counts batches, then. It is that of the optimizer
    inside of a loss scale.

    Args:
        optimizer: An optimizer of any flavor, or `None`.
    """
    if optimizer is None:
        return 1
    inner = optimizer_compat.inner_of(optimizer)
    return int(getattr(inner, "gradient_accumulation_steps", None) or 1)


def _batches_of(config: Any) -> int:
    """Returns the same from the configuration of a saved model."""
    compiled = config.get("compile_config") or {}
    optimizer = compiled.get("optimizer")
    if not isinstance(optimizer, dict):  # a name, such as "adam"
        return 1
    options = optimizer.get("config") or {}
    inner = options.get("inner_optimizer")
    if isinstance(inner, dict):
        options = inner.get("config") or {}
    return int(options.get("gradient_accumulation_steps") or 1)
