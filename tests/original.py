# SPDX-License-Identifier: Apache-2.0
"""Evaluates a structure with a v1 session, as the oracle."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


def session_run(make: Callable[[], Any]) -> Any:
    """Returns what a v1 `Session.run` gives for what `make` builds."""
    with tf.Graph().as_default(), v1.Session() as session:
        fetches = make()
        session.run(v1.global_variables_initializer())
        return session.run(fetches)


def final_ops_hook(make: Callable[[], Any]) -> Any:
    """Returns the `final_ops_values` of v1's hook for what `make` builds."""
    with tf.Graph().as_default():
        hook = v1.train.FinalOpsHook(make())
        with v1.train.SingularMonitoredSession(hooks=[hook]):
            pass
    return hook.final_ops_values


def is_same(expected: Any, actual: Any) -> bool:
    """Returns whether containers, types, dtypes and values are the same."""
    if type(expected) is not type(actual):
        return False
    if isinstance(expected, dict):
        factory = getattr(expected, "default_factory", None)
        return (
            list(expected) == list(actual)
            and getattr(actual, "default_factory", None) is factory
            and all(is_same(expected[key], actual[key]) for key in expected)
        )
    if isinstance(expected, list | tuple):
        return len(expected) == len(actual) and all(
            map(is_same, expected, actual)
        )
    if isinstance(expected, v1.ragged.RaggedTensorValue):
        return is_same(
            (expected.values, expected.row_splits),
            (actual.values, actual.row_splits),
        )
    if isinstance(expected, np.ndarray | np.generic):
        return _is_same_array(expected, actual)
    if hasattr(expected, "__attrs_attrs__"):
        return is_same(vars(expected), vars(actual))
    return bool(expected == actual)


def _is_same_array(expected: Any, actual: Any) -> bool:
    if (expected.dtype, expected.shape) != (actual.dtype, actual.shape):
        return False
    if expected.dtype == object:
        return bool(expected.tolist() == actual.tolist())
    # As bytes, so that NaN is NaN and -0.0 is not 0.0.
    return bool(expected.tobytes() == actual.tobytes())
