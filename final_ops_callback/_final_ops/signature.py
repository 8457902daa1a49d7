# SPDX-License-Identifier: Apache-2.0
"""The parameters that a callable takes, by name."""

from __future__ import annotations

import inspect
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat


def call_signature(function: Any) -> inspect.Signature | None:
    """Returns the parameters that a callable takes, by name.

    Args:
        function: A callable. A layer has those of its `call`, a concrete
            function defaults for what its trace has fixed (a flag, say).

    Returns:
        The signature, or `None` where Python knows none (some built-ins).
    """
    if is_concrete_function(function):
        return _concrete_signature(function)
    try:
        return inspect.signature(
            function.call if compat.is_layer(function) else function
        )
    except ValueError:
        return None


def is_concrete_function(value: Any) -> bool:
    """Says whether a value is one trace of a `tf.function`."""
    return isinstance(value, tf.types.experimental.ConcreteFunction)


def _concrete_signature(function: Any) -> inspect.Signature:
    """Returns the parameters, those that the trace has fixed with defaults."""
    parameters = function.function_type.parameters
    args, kwargs = function.structured_input_signature or ((), {})
    specs = dict(zip(parameters, args, strict=False)) | kwargs
    positional = inspect.Parameter.POSITIONAL_ONLY
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = []
    for name, parameter in parameters.items():
        spec = specs.get(name)
        flat = tf.nest.flatten(spec)
        is_tensor = any(isinstance(part, tf.TypeSpec) for part in flat)
        found.append(
            inspect.Parameter(
                name,
                positional if parameter.kind == positional else keyword,
                default=inspect.Parameter.empty if is_tensor else spec,
            )
        )
    return inspect.Signature(found)
