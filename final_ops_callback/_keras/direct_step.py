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

import functools
import logging
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._keras import model_functions
from final_ops_callback._random_ops import draws

logger = logging.getLogger("final_ops_callback")


class DirectStep:
    """The direct way to call one step function that Keras has made.

    Args:
        compiled: The `tf.function` that it calls with an iterator, or with
            batches.
        opens: Boolean. Whether the outputs are in an optional, as in Keras 3.

    Attributes:
        function: The concrete function for the data for which it is ready;
            `None` before it has learned of any.
    """

    # The switch: without it, steps are called as Keras calls them.
    is_used = True

    def __init__(self, compiled: Any, opens: bool) -> None:
        self._compiled = compiled
        self._opens = opens
        self.function: Any = None
        self._call: _tf_private.FlatFunction | None = None
        self._iterator: Callable[[], Any] = lambda: None
        self._batches: Any = None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> DirectStep | None:
        """Returns the direct way to call a step function, or `None`.

        There is none if the function is not one of Keras's, or runs eagerly.

        Args:
            function: A step function, such as the `train_function` of a model.
        """
        if not cls.is_used or tf.config.functions_run_eagerly():
            return None
        if not _is_possible():
            return None
        compiled = model_functions.compiled_part(function)
        return compiled and cls(compiled, compiled is not function)

    def is_ready(self, data: Any) -> bool:
        """Returns whether the trace for some data is known.

        Args:
            data: What Keras gives to its step function.
        """
        if tf.config.functions_run_eagerly():
            return False
        if self._iterator() is data:
            return True
        return self._batches is not None and self._batches == _kind_of(data)

    def learn(self, data: Any) -> None:
        """Looks up the trace for some data, after a step on it has run.

        Args:
            data: What Keras has given to its step function.
        """
        is_iterator = _tf_private.is_iterator(data)
        batches = None if is_iterator or self._opens else _kind_of(data)
        if not is_iterator and batches is None:
            return
        if tf.config.functions_run_eagerly():
            return
        count = self._compiled.experimental_get_tracing_count()
        function = self._compiled.get_concrete_function(data)
        if self._compiled.experimental_get_tracing_count() != count:
            return  # a step on this data would be traced anew
        # Made anew, because the options of the runtime may have changed.
        self._call = _tf_private.FlatFunction(function, self._opens)
        self.function = function
        self._iterator = weakref.ref(data) if is_iterator else lambda: None
        self._batches = batches

    def __call__(self, data: Any) -> Any:
        """Runs one step on data for which the direct step `is_ready`.

        Args:
            data: What Keras gives to its step function.

        Returns:
            What the step function of Keras returns.
        """
        call = self._known_call
        try:
            return call(data)
        except tf.errors.OpError as error:
            call.explain(error, call.name)
            raise

    def trace(self, data: Any) -> Any:
        """Adds the step to the graph that is being traced.

        It reads and writes variables, and takes data, after all that the graph
        has so far.

        Args:
            data: The symbolic form of what Keras gives to its step function.

        Returns:
            What the step function of Keras returns, in symbolic form.
        """
        return self._known_call.trace(data)

    @property
    def inputs(self) -> int:
        """How many tensors the step takes beside its data: the variables."""
        return self._known_call.inputs

    @property
    def can_be_joined(self) -> bool:
        """Whether the step does the same in another function.

        A random operation of TensorFlow keeps its state in its kernel, and
        another function has another kernel. Calls of Python, and printing,
        would not wait for what comes before the step. And a call by name does
        not tell TensorFlow to compile a function by XLA.
        """
        attributes = self.function.function_def.attr
        if "_XlaMustCompile" in attributes and attributes["_XlaMustCompile"].b:
            return False
        graph = self.function.graph.as_graph_def()
        return not (draws(graph) or _leaves_the_graph(graph))

    def joined(self, function: Callable[[Any], Any], data: Any) -> JoinedStep:
        """Compiles a function that traces this step together with more.

        Args:
            function: A Python function of what Keras gives to its step
                function, which calls `trace` once.
            data: Such data, for which the direct step `is_ready`.

        Returns:
            A function that is called with such data.
        """
        made = tf.function(function, autograph=False)
        call = _tf_private.FlatFunction(
            made.get_concrete_function(data), traced=self._known_call
        )
        return JoinedStep(call, self._known_call)

    @property
    def _known_call(self) -> _tf_private.FlatFunction:
        if self._call is None:
            raise RuntimeError("learn was not called")
        return self._call


class JoinedStep:
    """A compiled function that calls the step of Keras, and more.

    Args:
        call: The function.
        step: The function of the step alone.
    """

    def __init__(
        self, call: _tf_private.FlatFunction, step: _tf_private.FlatFunction
    ) -> None:
        self._call = call
        self._step = step

    def __call__(self, data: Any) -> Any:
        """Calls the function with what Keras gives to its step function."""
        return self._call(data)

    def explain(self, error: tf.errors.OpError) -> None:
        """Makes an error of the step what it is when the step runs alone."""
        self._step.explain(error, self._call.name)


def _leaves_the_graph(definition: Any) -> bool:
    """Returns whether a graph calls Python or prints, in functions, too."""
    called = (function.node_def for function in definition.library.function)
    return any(
        "PyFunc" in node.op or node.op.startswith("Print")
        for body in (definition.node, *called)
        for node in body
    )


@functools.cache
def _is_possible() -> bool:
    """Returns whether steps can be called directly, which is tried once."""
    try:
        _try()
    except Exception as error:
        logger.warning(
            "Steps are called as Keras calls them, which takes longer: they "
            "can't be called directly in TensorFlow %s (%r).",
            tf.__version__,
            error,
        )
        return False
    return True


def _try() -> None:
    """Calls a function in each way; raises an error if one does not work."""

    def step(iterator: Any) -> Any:  # like one of Keras 3
        return tf.experimental.Optional.from_value(next(iterator))

    compiled = tf.function(step, autograph=False)
    iterator = iter(tf.data.Dataset.range(3))
    compiled(iterator)
    direct = DirectStep(compiled, opens=True)
    direct.learn(iterator)
    joined = direct.joined(direct.trace, iterator)
    found = int(direct(iterator)), int(joined(iterator))
    try:
        joined(iterator)
    except tf.errors.OutOfRangeError as error:
        joined.explain(error)
    if found != (1, 2):
        raise ValueError(f"{found} is not what was computed")


def _kind_of(data: Any) -> Any:
    """Returns what decides which trace is for batches.

    Args:
        data: A structure of tensors, or something else.

    Returns:
        A value that is equal for the batches of one trace; `None` if there is
        something else in them than dense tensors.
    """
    if isinstance(data, tf.Tensor):
        return data.dtype, data.shape
    if type(data) in (list, tuple):
        parts = [_kind_of(part) for part in data]
        return None if None in parts else (type(data), *parts)
    if type(data) is dict:
        parts = [_kind_of(part) for part in data.values()]
        return None if None in parts else (*data, *parts)
    return None
