# SPDX-License-Identifier: Apache-2.0
"""Converts values of any Keras backend to what `Session.run` returned."""

from __future__ import annotations

from typing import Any

import numpy as np

from final_ops_callback import _structure
from final_ops_callback import _to_host
from final_ops_callback._keras import compat


def to_host(value: Any) -> Any:
    """Converts one tensor-like value of any backend to a value on the host.

    Args:
        value: A value that `final_ops_callback._to_host.to_host` takes, a
            Keras variable, or a tensor of another Keras backend.

    Returns:
        A copy as a NumPy array or scalar, or a value of a sparse or ragged
        tensor or of indexed slices; anything else unchanged.
    """
    if compat.is_variable(value) or compat.is_backend_tensor(value):
        return compat.to_numpy(value)
    return _to_host.to_host(value)


def to_host_structure(structure: Any) -> Any:
    """Applies `to_host` to each leaf of a structure."""
    return _structure.map_with_path(lambda _, leaf: to_host(leaf), structure)


def widened(array: np.ndarray) -> np.ndarray:
    """Converts number types that NumPy lacks (bfloat16, float8) to float32.

    Files and summaries can't name these types. A float32 holds each of their
    values exactly.
    """
    if array.dtype.isbuiltin == 2:  # a type that was registered with NumPy
        return array.astype(np.float32)
    return array
