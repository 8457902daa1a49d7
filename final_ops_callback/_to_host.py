# SPDX-License-Identifier: Apache-2.0
"""Converts tensors to the values that a v1 `Session.run` returned."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._tf_private import IndexedSlicesValue


def to_host(value: Any) -> Any:
    """Converts a tensor-like value to what a v1 `Session.run` returned.

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
    if isinstance(value, tf.Tensor | tf.Variable):
        return value.numpy()
    if isinstance(value, np.ndarray):
        return np.array(value, subok=True)
    return value
