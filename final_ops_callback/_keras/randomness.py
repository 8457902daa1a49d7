# SPDX-License-Identifier: Apache-2.0
"""Finds out whether the step of a model may draw random numbers.

A random operation of TensorFlow keeps its state in the compiled function, and
Keras 2 draws the seeds of its layers when it compiles one. Two functions for
the same step, one with and one without extra outputs, would draw different
numbers from the single function of a run without hooks. So such a model gets
only one function.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat

# The packages whose code is known: it draws random numbers only where it is
# documented to.
_KNOWN = frozenset(
    ("final_ops_callback", "keras", "numpy", "tensorflow", "tf_keras")
) | frozenset(sys.stdlib_module_names)


def may_be_random(model: Any) -> bool:
    """Returns whether a step of a model may draw random numbers by itself.

    Args:
        model: A Keras model of any flavor.
    """
    is_keras_2 = compat.is_keras_2(model)
    for part in _parts(model):
        if _is_of_the_user(part) or (is_keras_2 and _draws_in_keras_2(part)):
            return True
    return False


def _parts(model: Any) -> Iterator[Any]:
    for part in (
        model,
        *model_info.layers_by_path(model).values(),
        *_optimizers(model),
        *tf.nest.flatten(getattr(model, "loss", None)),
        *compat.compiled_metrics_of(model),
    ):
        yield _function_of(part)
        yield from _called_by(part)


def _called_by(part: Any) -> Iterator[Any]:
    """Yields the callables that a part holds: an activation, a regularizer."""
    values = list(getattr(part, "__dict__", {}).values())
    # A legacy optimizer of Keras 2 has its schedule in a dict.
    values += [v for one in values if type(one) is dict for v in one.values()]
    for value in map(_function_of, values):
        if callable(value) and not isinstance(value, type):
            yield value


def _function_of(value: Any) -> Any:
    """Returns the function that a partial calls; else the value."""
    while isinstance(value, functools.partial):
        value = value.func
    return value


def _optimizers(model: Any) -> Iterator[Any]:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        yield optimizer
        yield optimizer_compat.inner_of(optimizer)


def _is_of_the_user(part: Any) -> bool:
    """Returns whether a part may run code from outside the known packages."""
    if part is None or isinstance(part, str | dict):
        return False
    # Keras makes these of any function, even of `tf.nn.dropout`.
    if type(part).__name__.endswith(("Lambda", "ClassMethod")):
        return True
    kind = part if hasattr(part, "__qualname__") else type(part)
    return str(kind.__module__).partition(".")[0] not in _KNOWN


def _draws_in_keras_2(part: Any) -> bool:
    # Layers that draw random numbers share a base class, which is not public.
    # Nadam counts its updates in Python, once in each trace.
    names = {kind.__name__ for kind in type(part).__mro__}
    return "BaseRandomLayer" in names or "Nadam" in names
