# SPDX-License-Identifier: Apache-2.0
"""Calls the compiled step of Keras 3 with less work around it.

The step function that Keras 3 makes takes two thirds of a small step for work
outside of TensorFlow's kernels: it looks up the trace of an iterator in each
step, and it wraps the outputs in an optional that it opens in further calls.
Both are needed once in a run. Here, the function that Keras has compiled is
called from a concrete function, which is made once for a kind of data and then
called with nothing but the handle of the iterator.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._keras import model_functions
from final_ops_callback._keras import randomness

# Kept with the function of Keras, so that the next run needs no new trace.
_MADE = "_final_ops_callback_direct"


class DirectStep:
    """One step function of Keras 3, called by concrete functions.

    Args:
        function: A step function that Keras has made and traced.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._inner = model_functions.step_on_iterator(function)
        # By the structure and the specs of the data.
        self._made: dict[Any, _tf_private.FlatFunction] = {}
        self._data: Any = lambda: None
        self._call: _tf_private.FlatFunction | None = None

    @classmethod
    def of(cls, model: Any, function: Any) -> DirectStep | None:
        """Returns the direct step of a function, or `None` if there is none.

        Args:
            model: The Keras model.
            function: A step function that Keras has made.
        """
        own = getattr(function, "__dict__", {})
        if _MADE not in own:
            if not model_functions.was_traced(function):
                return None
            own[_MADE] = cls(function) if _is_direct(model, function) else None
        return own[_MADE]

    def takes(self, data: Any) -> bool:
        """Returns whether steps on some data can be called directly."""
        return _tf_private.is_iterator(data)

    def is_made_for(self, data: Any) -> bool:
        """Returns whether a step on some data runs without a trace."""
        return self._data() is data

    def __call__(self, data: Any) -> Any:
        """Runs one step.

        Args:
            data: An iterator that `takes` accepts.

        Returns:
            What the step function of Keras returns.
        """
        if not self.is_made_for(data):
            self._call = self._function_for(data)
            self._data = weakref.ref(data)
        return self._call(_tf_private.iterator_resource(data))

    def _function_for(self, data: Any) -> _tf_private.FlatFunction:
        key = _key(data.element_spec)
        if key not in self._made:
            self._made[key] = _tf_private.FlatFunction(self._traced(data))
        return self._made[key]

    def _traced(self, data: Any) -> Any:
        spec = _tf_private.type_spec(data)

        def step(resource: tf.Tensor) -> Any:
            iterator = _tf_private.iterator_of(spec, resource)
            return self._inner(_OneBatch(iterator.get_next())).get_value()

        return tf.function(step, autograph=False).get_concrete_function(
            tf.TensorSpec([], tf.resource)
        )


class _OneBatch:
    """Stands for the iterator in the step of Keras, and has one batch."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def get_next(self) -> Any:
        return self._batch


def _key(spec: Any) -> Any:
    leaves = tf.nest.flatten(spec)
    return str(tf.nest.map_structure(lambda _: 0, spec)), tuple(leaves)


def _is_direct(model: Any, function: Any) -> bool:
    """Returns whether a concrete function may stand for a step function."""
    return (
        model_functions.step_on_iterator(function) is not None
        and model.steps_per_execution == 1
        and not model.run_eagerly
        # Each function that calls the step has random states of its own.
        and not randomness.may_be_random(model)
    )
