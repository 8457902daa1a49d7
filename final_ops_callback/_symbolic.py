# SPDX-License-Identifier: Apache-2.0
"""Symbolic Keras tensors: what they are computed from, and their values."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from final_ops_callback import _stack


def source_inputs(symbolic: Any) -> list[Any]:
    """Returns the symbolic inputs that a symbolic tensor is computed from."""
    generation = _stack.generation_of(symbolic)
    return list(generation.utils.get_source_inputs(symbolic))


def evaluate_symbolic(
    symbolic: list[Any], feeds: list[tuple[Any, Any]]
) -> list[Any]:
    """Computes symbolic tensors, all in one forward pass.

    Args:
        symbolic: List of symbolic Keras tensors of one generation.
        feeds: List of pairs of a symbolic input and its value, an array with
            the shape and a dtype that converts to that of the input.

    Returns:
        List of tensors in the order of `symbolic`. Layers run in inference
        mode (`training=False`).
    """
    generation = _stack.generation_of(symbolic[0])
    keys = [key for key, _ in feeds]
    inputs = [as_fed(value, key) for key, value in feeds]
    # A tensor that is fed is worth what is fed, as in a v1 session.
    values = {id(key): fed for key, fed in zip(keys, inputs, strict=True)}
    missing = [tensor for tensor in symbolic if id(tensor) not in values]
    if missing:
        # As a dict, because Keras 3 unpacks a list of one output.
        names = [str(index) for index in range(len(missing))]
        model = generation.Model(keys, dict(zip(names, missing, strict=True)))
        outputs = model(inputs, training=False)
        values.update(
            {id(t): outputs[n] for n, t in zip(names, missing, strict=True)}
        )
    return [values[id(tensor)] for tensor in symbolic]


def as_fed(value: Any, symbolic: Any) -> Any:
    """Converts what is fed for a symbolic tensor to a tensor of its dtype."""
    generation = _stack.generation_of(symbolic)
    if hasattr(generation, "ops"):
        return generation.ops.convert_to_tensor(value, dtype=symbolic.dtype)
    return tf.convert_to_tensor(value, dtype=symbolic.dtype)
