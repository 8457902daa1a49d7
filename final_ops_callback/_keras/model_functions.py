# SPDX-License-Identifier: Apache-2.0
"""Where Keras keeps the step functions of a model, and how it makes them.

A model of any flavor keeps the function that runs a step in an attribute,
`train_function`, and makes it by a public method, `make_train_function`. Keras
documents the method and not the attribute (tests/test_private_api.py notices
a change of either).
"""

from __future__ import annotations

import functools
import inspect
import logging
import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat

logger = logging.getLogger("final_ops_callback")

# The type of a `tf.function`.
_COMPILED = tf.types.experimental.PolymorphicFunction

# The methods of a model that call the function of a phase.
CALLERS = {
    "train": ("fit", "train_on_batch"),
    "test": ("evaluate", "test_on_batch"),
    "predict": ("predict", "predict_on_batch"),
}


def is_running(model: Any) -> bool:
    """Returns whether this code was called from inside a call of Keras.

    Args:
        model: A Keras model of any flavor. The call may be one of another
            model.
    """
    methods = [
        getattr(type(model), n, None) for c in CALLERS.values() for n in c
    ]
    codes = {getattr(inspect.unwrap(m), "__code__", None) for m in methods if m}
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def attribute_of(phase: str) -> str:
    """Returns the name of the attribute that holds the function of a phase.

    Args:
        phase: String. `"train"`, `"test"` or `"predict"`.
    """
    return f"{phase}_function"


def maker_of(phase: str) -> str:
    """Returns the name of the method that makes the function of a phase.

    Args:
        phase: String. `"train"`, `"test"` or `"predict"`.
    """
    return f"make_{phase}_function"


def make_another(model: Any, phase: str) -> Callable[..., Any]:
    """Lets a model make one more step function, and keep the one it has.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Returns:
        The new function.
    """
    own, name = vars(model), attribute_of(phase)
    before = dict(own)
    try:
        getattr(model, maker_of(phase))(force=True)
        return getattr(model, name)
    finally:
        # Keras 2 keeps a second reference beside the function.
        for kept in (name, f"{phase}_tf_function"):
            if kept in before:
                own[kept] = before[kept]


def was_traced(function: Any) -> bool:
    """Returns whether a step function of a model was ever traced.

    The step function of Keras 3 calls an inner `tf.function`, which no public
    attribute leads to (tests/test_private_api.py notices a change).

    Args:
        function: A step function, such as the `train_function` of a model.
    """
    cells = getattr(function, "__closure__", None) or ()
    inner = [cell.cell_contents for cell in cells]
    return any(
        one.experimental_get_tracing_count() > 0
        for one in (function, *inner)
        if hasattr(one, "experimental_get_tracing_count")
    )


def compiled_part(function: Any) -> Any:
    """Returns the `tf.function` that runs a step on an iterator.

    It is the step function of Keras 2 itself. In Keras 3 it is an inner
    function, which returns the outputs in an optional, and which no public
    attribute leads to (tests/test_private_api.py notices a change).

    Args:
        function: A step function, such as the `train_function` of a model.

    Returns:
        The `tf.function`; `None` if the step runs eagerly, or is not one that
        Keras has made.
    """
    if isinstance(function, _COMPILED):
        return function
    if type(function) is not types.FunctionType:
        return None
    # Not `__module__`, which `functools.wraps` copies.
    if not function.__globals__.get("__name__", "").startswith("keras."):
        return None
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    inside = dict(zip(names, cells, strict=True))
    if "multi_step_on_iterator" in inside:
        found = inside["multi_step_on_iterator"].cell_contents
        return found if isinstance(found, _COMPILED) else None
    if function.__name__ == "function":
        _say_that_keras_has_changed()
    return None


@functools.cache
def _say_that_keras_has_changed() -> None:
    logger.warning(
        "Steps are called as Keras calls them, which takes longer: the "
        "compiled part of a step was not found in this version of Keras."
    )


def takes_function_early(model: Any) -> bool:
    """Returns whether evaluate looks up its function before callbacks begin.

    Keras 2 does, so a replacement of the function has to be in place by then.
    Keras 3 looks up the function again in each step.

    Args:
        model: A Keras model of any flavor.
    """
    return compat.is_keras_2(model)
