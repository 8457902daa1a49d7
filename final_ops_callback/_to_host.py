# SPDX-License-Identifier: Apache-2.0
"""From a tensor to what a v1 `Session.run` returned for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

# IndexedSlicesValue is what Session.run gives for IndexedSlices, and has no
# public name (tests/test_to_host.py notices when it moves).
from tensorflow.python.framework.indexed_slices import IndexedSlicesValue

from final_ops_callback import _stack
from final_ops_callback import _structure


def to_host(value: Any) -> Any:
    """Turns one tensor-like value into what a v1 `Session.run` returned.

    Args:
        value: A dense, sparse or ragged tensor, indexed slices, a variable,
            a NumPy array, or anything else.

    Returns:
        A copy as a NumPy array or scalar, `SparseTensorValue`,
        `RaggedTensorValue` or `IndexedSlicesValue`; anything else unchanged.

    Example:
    >>> import tensorflow as tf
    >>> to_host(tf.constant([1, 2])).tolist()
    [1, 2]
    """
    if isinstance(value, tf.SparseTensor):
        return tf.compat.v1.SparseTensorValue(
            to_host(value.indices),
            to_host(value.values),
            to_host(value.dense_shape),
        )
    if isinstance(value, tf.RaggedTensor):
        return tf.compat.v1.ragged.RaggedTensorValue(
            to_host(value.values), to_host(value.row_splits)
        )
    if isinstance(value, tf.IndexedSlices):
        return IndexedSlicesValue(
            to_host(value.values),
            to_host(value.indices),
            to_host(value.dense_shape),
        )
    if _stack.is_variable(value) or _stack.is_backend_tensor(value):
        return _stack.to_numpy(value)
    if isinstance(value, np.ndarray):
        return np.array(value, subok=True)
    return value


def to_host_structure(structure: Any) -> Any:
    """Applies `to_host` to each leaf of a structure."""
    return _structure.map_with_path(lambda _, leaf: to_host(leaf), structure)


def widened(array: np.ndarray) -> np.ndarray:
    """Widens the number types that NumPy lacks (bfloat16, float8) to float32.

    Files and summaries can't name them; float32 holds each value exactly.
    """
    if array.dtype.isbuiltin == 2:  # a type that was registered with NumPy
        return array.astype(np.float32)
    return array
