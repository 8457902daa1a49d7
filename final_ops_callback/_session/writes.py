# SPDX-License-Identifier: Apache-2.0
"""Finds which variables the operations of a graph read and write."""

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
# These operations pass their input on.
_FORWARDS = ("Identity", "Switch", "Enter")
# The index of the input that is the first argument of the called function.
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
# The operations that do nothing but call functions.
CALLS = frozenset(_FIRST_ARGUMENT)


class Accesses:
    """Finds which variables each operation of a graph reads and writes.

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
        if self._functions is None:  # serializing them takes long
            self._functions = _Functions(library_of(self._graph).functions)
        indices = self._functions.written_inputs(self._written_out.node(op))
        inputs = [op.inputs[index] for index in indices]
        return [tensor for tensor in inputs if tensor.dtype == tf.resource]

    def read(self, op: tf.Operation) -> list[tf.Tensor]:
        """Returns the handles of the variables that an operation only reads.

        A variable that the operation also writes is not among them.
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
        operations: Iterable of its operations. What the functions that they
            call write is included.
    """
    accesses = Accesses(graph)
    return {
        source(tensor).name
        for op in operations
        for tensor in accesses.written(op)
    }


def source(tensor: tf.Tensor) -> tf.Operation:
    """Returns the operation that made the variable of a handle.

    Args:
        tensor: A handle, which other operations may have passed on.
    """
    while tensor.op.type in _FORWARDS:
        tensor = tensor.op.inputs[0]
    return tensor.op


class _Functions:
    """Finds which of their arguments the functions of a graph write."""

    def __init__(self, functions: Mapping[str, Any]) -> None:
        self._functions = functions
        self._written: dict[str, set[int]] = {}

    def written_inputs(self, node: Any) -> set[int]:
        """Returns the indices of the inputs that a node writes."""
        if node.op.startswith(_WRITES):
            return {0}
        called = called_functions(node) & self._functions.keys()
        written = {i for name in called for i in self._written_arguments(name)}
        first = 0 if node.op in called else _FIRST_ARGUMENT.get(node.op)
        if first is not None:
            return {first + index for index in written}
        # It is not known which input is which argument, so all may be written.
        inputs = [name for name in node.input if not name.startswith("^")]
        return set(range(len(inputs))) if written else set()

    def _written_arguments(self, name: str) -> set[int]:
        if name not in self._written:
            self._written[name] = set()  # because a function may call itself
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
