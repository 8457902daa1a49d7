# SPDX-License-Identifier: Apache-2.0
"""Computes the values of symbolic Keras tensors."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat


def source_inputs(symbolic: Any) -> list[Any]:
    """Returns the symbolic inputs that a symbolic tensor is computed from."""
    flavor = compat.flavor_of(symbolic)
    return list(flavor.utils.get_source_inputs(symbolic))


def together(
    symbolic: list[Any], inputs_of: Callable[[Any], list[Any]]
) -> list[list[Any]]:
    """Divides symbolic tensors into groups that are computed together.

    One forward pass computes a group, if one Keras model can hold its tensors.
    A model can't hold tensors of two flavors of Keras, nor those of two models
    that have different layers with the same name.

    Args:
        symbolic: List of symbolic Keras tensors, each of which `model_of`
            accepts alone.
        inputs_of: Function from a symbolic tensor to the symbolic tensors that
            it is computed from.

    Returns:
        List of groups, each a list of symbolic tensors.
    """
    groups: list[list[Any]] = []
    for flavor in dict.fromkeys(map(compat.flavor_of, symbolic)):
        of_one = [t for t in symbolic if compat.flavor_of(t) is flavor]
        if _fit(of_one, inputs_of):
            groups.append(of_one)
            continue
        apart: list[list[Any]] = []
        for tensor in of_one:
            fitting = (g for g in apart if _fit([*g, tensor], inputs_of))
            group = next(fitting, None)
            if group is None:
                apart.append([tensor])
            else:
                group.append(tensor)
        groups += apart
    return groups


def _fit(tensors: list[Any], inputs_of: Callable[[Any], list[Any]]) -> bool:
    try:
        model_of(tensors, distinct(i for t in tensors for i in inputs_of(t)))
    except ValueError:
        return False
    return True


def model_of(symbolic: list[Any], keys: list[Any]) -> Any:
    """Returns a model that computes symbolic tensors, as a dict by index.

    Args:
        symbolic: List of symbolic Keras tensors of one flavor.
        keys: List of the symbolic tensors that are fed.

    Returns:
        The model, or `None` if all tensors are fed.

    Raises:
        ValueError: One model can't hold all of the tensors.
    """
    fed = {id(key) for key in keys}
    # As a dict, because Keras 3 unpacks a list of one output.
    missing = {str(i): t for i, t in enumerate(symbolic) if id(t) not in fed}
    if not missing:
        return None
    # With a name, because Keras numbers the models that it names by itself.
    model = compat.flavor_of(symbolic[0]).Model
    return model(keys, missing, name="final_ops")


def evaluate_symbolic(
    symbolic: list[Any], feeds: list[tuple[Any, Any]]
) -> list[Any]:
    """Computes symbolic tensors, all in one forward pass.

    Args:
        symbolic: List of symbolic Keras tensors: one group of `together`.
        feeds: List of pairs of a symbolic input and its value: an array with
            the shape of the input, and a dtype that converts to its dtype.

    Returns:
        List of tensors in the order of `symbolic`. Layers run in inference
        mode (`training=False`).
    """
    keys = [key for key, _ in feeds]
    inputs = [as_fed(value, key) for key, value in feeds]
    model = model_of(symbolic, keys)
    outputs = {} if model is None else model(inputs, training=False)
    # The value of a tensor that is fed is the fed value, as in a v1 session.
    fed = {id(key): value for key, value in zip(keys, inputs, strict=True)}
    return [
        fed[id(tensor)] if id(tensor) in fed else outputs[str(index)]
        for index, tensor in enumerate(symbolic)
    ]


def distinct(items: Iterable[Any]) -> list[Any]:
    """Returns the items without repetitions, compared by identity."""
    return list({id(item): item for item in items}.values())


def as_fed(value: Any, symbolic: Any) -> Any:
    """Converts the value fed for a symbolic tensor to a tensor of its dtype."""
    flavor = compat.flavor_of(symbolic)
    if hasattr(flavor, "ops"):
        return flavor.ops.convert_to_tensor(value, dtype=symbolic.dtype)
    return tf.convert_to_tensor(value, dtype=symbolic.dtype)
