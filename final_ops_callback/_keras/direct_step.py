# SPDX-License-Identifier: Apache-2.0
"""Calls the compiled step of Keras without looking it up in each step.

Two thirds of a small step of `fit` are spent outside of TensorFlow's kernels:
the step function finds the trace for its iterator anew each time, and Keras 3
opens the optional that holds the outputs by a check and a read. While hooks
watch the steps, the trace is looked up once for an iterator and called with
nothing but its handle. It is Keras's own trace: nothing is compiled twice, and
its random operations go on where they were.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._keras import model_functions

# A direct step is kept with the function that it calls.
_KEPT = "_final_ops_callback_direct"


class DirectStep:
    """The direct way to call one step function that Keras has made.

    Args:
        compiled: The `tf.function` that it calls with an iterator.
        opens: Boolean. Whether the outputs are in an optional, as in Keras 3.
    """

    def __init__(self, compiled: Any, opens: bool) -> None:
        self._compiled = compiled
        self._opens = opens
        self._iterator: Callable[[], Any] = lambda: None
        self._call: Callable[[tf.Tensor], Any] | None = None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> DirectStep | None:
        """Returns the direct way to call a step function, or `None`.

        There is none if the function is not one of Keras's, or runs eagerly.

        Args:
            function: A step function, such as the `train_function` of a model.
        """
        own = getattr(function, "__dict__", None)
        if own is None:
            return None
        if _KEPT not in own:
            compiled = model_functions.compiled_part(function)
            own[_KEPT] = compiled and cls(compiled, compiled is not function)
        return own[_KEPT]

    def is_ready(self, data: Any) -> bool:
        """Returns whether the trace for some data is known.

        Args:
            data: What Keras gives to its step function.
        """
        return (
            self._iterator() is data and not tf.config.functions_run_eagerly()
        )

    def learn(self, data: Any) -> None:
        """Looks up the trace for some data, after a step on it has run.

        Args:
            data: What Keras has given to its step function.
        """
        if (
            not _tf_private.is_iterator(data)
            or tf.config.functions_run_eagerly()
        ):
            return
        count = self._compiled.experimental_get_tracing_count()
        function = self._compiled.get_concrete_function(data)
        if self._compiled.experimental_get_tracing_count() != count:
            return  # a step on this data would be traced anew
        self._call = _tf_private.FlatFunction(function, self._opens)
        self._iterator = weakref.ref(data)

    def __call__(self, data: Any) -> Any:
        """Runs one step on data for which the direct step `is_ready`.

        Args:
            data: What Keras gives to its step function.

        Returns:
            What the step function of Keras returns.
        """
        return self._call(_tf_private.iterator_resource(data))
