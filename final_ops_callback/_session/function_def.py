# SPDX-License-Identifier: Apache-2.0
"""Turns a part of a v1 graph into a function, and calls it.

`tf.compat.v1.wrap_function` builds each operation again in Python. Writing the
definition of the function takes a fraction of that time, which is most of the
cost of the first run of some fetches in a large graph.
"""

from __future__ import annotations

import itertools
import re
import threading
import weakref
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._session.library import operation_of
from final_ops_callback._session.library import written

# The prefix of nodes that are not from the user's graph.
_OURS = "final_ops_callback."
# The prefix of the names of functions, which is removed from error messages.
NAME = "final_ops_callback_function_"
# How an error names the function that an operation is in.
_FUNCTION = re.compile(r"\{\{function_node ([^} ]+)\}\}")
_numbers = itertools.count()
# The number of users of each function that was copied from a graph.
_users: dict[str, int] = {}
_lock = threading.RLock()


class Function:
    """A function of the eager runtime, made from nodes of a graph.

    Args:
        graph: The graph.
        definition: A `GraphDef` of the nodes, with the functions they call.
        inputs: Mapping from the name of each tensor that is an argument of the
            function to its dtype, in the order of the arguments.
        outputs: Sequence of tensors of the graph, whose values are returned.
        targets: Sequence of the names of nodes that run for their side effects.
        flagged: Sequence of indices of outputs that may have no value. For each
            of them a scalar is returned, too, which has a value if and only if
            the output has one.
    """

    def __init__(
        self,
        graph: tf.Graph,
        definition: Any,
        inputs: Mapping[str, tf.DType],
        outputs: Sequence[tf.Tensor],
        targets: Sequence[str],
        flagged: Sequence[int],
    ) -> None:
        self.graph_def = definition
        self._name = f"{NAME}{next(_numbers)}"
        self._count = len(outputs) + len(flagged)
        function = _tf_private.FunctionDef()
        signature = function.signature
        signature.name, signature.is_stateful = self._name, True
        given: dict[str, str] = {}
        for name, dtype in inputs.items():
            given[name] = f"{_OURS}given_{len(given)}"
            signature.input_arg.add(
                name=given[name], type=dtype.base_dtype.as_datatype_enum
            )
        place_of = _Places(graph, given, definition)
        for node in definition.node:
            added = function.node_def.add()
            added.CopyFrom(node)
            added.input[:] = map(place_of, node.input)
        for index, tensor in enumerate(outputs):
            name = self._add_output(
                function, place_of(tensor.name), tensor.dtype
            )
            if index not in flagged:
                # What waits for a call of this function waits for its control
                # outputs, not for its outputs.
                signature.control_output.append(name)
                function.control_ret[name] = name
        for index in flagged:
            fetched = function.node_def[len(definition.node) + index].name
            flag = function.node_def.add(
                name=f"{_OURS}ran_{index}", op="Const", input=[f"^{fetched}"]
            )
            flag.attr["dtype"].type = tf.int32.as_datatype_enum
            flag.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0))
            self._add_result(function, f"{flag.name}:output:0", tf.int32)
        for name in targets:
            signature.control_output.append(name)
            function.control_ret[name] = name
        known = _tf_private.eager_context()
        called = [one.signature.name for one in definition.library.function]
        self._bodies = {self._name, *called}
        with _lock:
            for one in definition.library.function:
                if not known.has_function(one.signature.name):
                    known.add_function_def(one)
                    _users[one.signature.name] = 0
            for name in called:
                if name in _users:  # others were not added here
                    _users[name] += 1
            known.add_function_def(function)
        self._attributes = _tf_private.call_attributes()
        self._dtypes = [tensor.dtype.base_dtype for tensor in outputs]
        weakref.finalize(self, _forget, self._name, called).atexit = False

    def __call__(self, values: list[Any]) -> list[Any]:
        """Calls the function with one tensor for each input."""
        found = _tf_private.execute(
            self._name, self._count, values, self._attributes
        )
        return list(found)

    def trace(self, values: list[Any]) -> list[tf.Tensor]:
        """Adds a call of the function to the graph that is being traced.

        Args:
            values: List of tensors, one for each input.

        Returns:
            List of symbolic tensors, one for each output.
        """
        return list(
            tf.raw_ops.StatefulPartitionedCall(
                args=values, Tout=self._dtypes, f=self._name, name=self._name
            )
        )

    def names_itself_in(self, error: tf.errors.OpError) -> bool:
        """Returns whether a node of this function raised an error.

        The node may be in a function that this one calls.

        Args:
            error: The error of a function that calls this function.
        """
        return not self._bodies.isdisjoint(_FUNCTION.findall(error.message))

    def _add_output(self, function: Any, place: str, dtype: tf.DType) -> str:
        # An identity is needed, because a function can't return a reference,
        # and because each of several outputs may have no value.
        node = function.node_def.add(
            name=f"{_OURS}fetched_{len(function.ret)}",
            op="Identity",
            input=[place],
        )
        node.attr["T"].type = dtype.base_dtype.as_datatype_enum
        self._add_result(function, f"{node.name}:output:0", dtype)
        return node.name

    @staticmethod
    def _add_result(function: Any, place: str, dtype: tf.DType) -> None:
        name = f"{_OURS}result_{len(function.ret)}"
        function.signature.output_arg.add(
            name=name, type=dtype.base_dtype.as_datatype_enum
        )
        function.ret[name] = place


class _Places:
    """Converts the inputs of nodes from a graph's notation to a function's."""

    def __init__(
        self, graph: tf.Graph, given: Mapping[str, str], definition: Any
    ) -> None:
        self._graph = graph
        self._given = given
        self._known = written(graph).places
        functions = {
            function.signature.name: function.signature
            for function in definition.library.function
        }
        # A node that calls a function may have replaced another node.
        self._calls = {
            node.name: functions[node.op]
            for node in definition.node
            if node.op in functions
        }

    def __call__(self, name: str) -> str:
        """Converts one input of a node."""
        if name.startswith("^"):
            return name
        if ":" not in name:
            name = f"{name}:0"
        if name in self._given:
            return self._given[name]
        operation, _, index = name.partition(":")
        if operation in self._calls:
            output = self._calls[operation].output_arg[int(index)]
            return f"{operation}:{output.name}:0"
        if name not in self._known:
            self._known[name] = self._place(operation, int(index))
        return self._known[name]

    def _place(self, name: str, index: int) -> str:
        operation = operation_of(self._graph, name)
        for argument in operation.op_def.output_arg:
            if argument.number_attr:
                count = operation.get_attr(argument.number_attr)
            elif argument.type_list_attr:
                count = len(operation.get_attr(argument.type_list_attr))
            else:
                count = 1
            if index < count:
                return f"{name}:{argument.name}:{index}"
            index -= count
        raise ValueError(f"{name!r} has fewer outputs")


def _forget(name: str, called: list[str]) -> None:
    """Removes a function, and the functions that only it called."""
    known = _tf_private.eager_context()
    with _lock:
        known.remove_function(name)
        for one in called:
            if one in _users:
                _users[one] -= 1
                if not _users[one]:
                    del _users[one]
                    known.remove_function(one)
