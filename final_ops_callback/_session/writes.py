# SPDX-License-Identifier: Apache-2.0
"""Which variables the operations of a graph write."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._session.library import called_functions
from final_ops_callback._session.library import library_of
from final_ops_callback._session.library import written as written_out

READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")
_WRITES = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter")
# They hand on what they get.
_FORWARDS = ("Identity", "Switch", "Enter")
# Which input of an operation is the first argument of the function it calls.
_FIRST_ARGUMENT = {
    "Case": 1,
    "If": 1,
    "PartitionedCall": 0,
    "StatefulPartitionedCall": 0,
    "StatelessCase": 1,
    "StatelessIf": 1,
    "StatelessWhile": 0,
    "While": 0,
}


class Accesses:
    """Which variables each operation of a graph reads and writes.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._written_out = written_out(graph)
        self._functions: _Functions | None = None

    def written(self, op: tf.Operation) -> list[tf.Tensor]:
        """Returns the handles that an operation writes to."""
        taken = self._written_out.handles(op)
        if not taken:
            return []
        if op.type.startswith(_WRITES):
            return taken
        if not self._written_out.may_call(op):
            return []
        if self._functions is None:  # long to write out
            self._functions = _Functions(library_of(self._graph).functions)
        indices = self._functions.written_inputs(self._written_out.node(op))
        inputs = [op.inputs[index] for index in indices]
        return [tensor for tensor in inputs if tensor.dtype == tf.resource]

    def read(self, op: tf.Operation) -> list[tf.Tensor]:
        """Returns the handles of the variables whose values one takes.

        What writes a variable is not said to read it, too.
        """
        if op.type in READS:
            return [op.inputs[0]]
        taken = self._written_out.handles(op)
        if not taken or not self._written_out.may_call(op):
            return []
        written = {tensor.ref() for tensor in self.written(op)}
        return [tensor for tensor in taken if tensor.ref() not in written]


def written_handles(
    graph: tf.Graph, operations: Iterable[tf.Operation]
) -> set[str]:
    """Returns the names of the handles that operations write to.

    Args:
        graph: The graph.
        operations: Iterable of its operations. The functions that they call
            count, too.
    """
    accesses = Accesses(graph)
    return {
        source(tensor).name
        for op in operations
        for tensor in accesses.written(op)
    }


def source(tensor: tf.Tensor) -> tf.Operation:
    """Returns the operation that made the variable behind a tensor.

    Args:
        tensor: A handle, maybe one that was handed on.
    """
    while tensor.op.type in _FORWARDS:
        tensor = tensor.op.inputs[0]
    return tensor.op


class _Functions:
    """Which of their arguments functions write."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._written: dict[str, set[int]] = {}

    def written_inputs(self, node: Any) -> set[int]:
        """Returns the places of the inputs of a node that it writes."""
        if node.op.startswith(_WRITES):
            return {0}
        called = called_functions(node) & self._functions.keys()
        written = {i for name in called for i in self._written_arguments(name)}
        first = 0 if node.op in called else _FIRST_ARGUMENT.get(node.op)
        if first is not None:
            return {first + index for index in written}
        # Nothing says which input is which argument: it may be any.
        inputs = [name for name in node.input if not name.startswith("^")]
        return set(range(len(inputs))) if written else set()

    def _written_arguments(self, name: str) -> set[int]:
        if name not in self._written:
            self._written[name] = set()  # a function may call itself
            function = self._functions[name]
            nodes = {node.name: node for node in function.node_def}
            places = {
                argument.name: index
                for index, argument in enumerate(function.signature.input_arg)
            }
            for node in function.node_def:
                for index in self.written_inputs(node):
                    source = node.input[index].partition(":")[0]
                    while source in nodes and nodes[source].op in _FORWARDS:
                        source = nodes[source].input[0].partition(":")[0]
                    if source in places:
                        self._written[name].add(places[source])
        return self._written[name]
