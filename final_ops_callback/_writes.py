# SPDX-License-Identifier: Apache-2.0
"""Which variables the operations of a graph write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")
_WRITES = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter")
# They hand on what they get.
_FORWARDS = ("Identity", "Switch", "RefSwitch", "Enter", "RefEnter")
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


def writes(op: tf.Operation) -> bool:
    """Says whether an operation writes the variable that it is given."""
    return (
        len(op.inputs) > 0
        and op.inputs[0].dtype == tf.resource
        and op.type.startswith(_WRITES)
    )


def calls_a_function(node: Any) -> bool:
    """Says whether a node calls a function of the graph's library."""
    return node.op in ("PartitionedCall", "SymbolicGradient") or any(
        value.HasField("func") or value.list.func
        for value in node.attr.values()
    )


def written_handles(
    graph: tf.Graph, operations: Iterable[tf.Operation]
) -> set[str]:
    """Returns the names of the handles that operations write to.

    Args:
        graph: The graph.
        operations: Iterable of its operations. The functions that they call
            count, too.
    """
    library: _Library | None = None
    found: set[str] = set()
    for op in operations:
        if not any(tensor.dtype == tf.resource for tensor in op.inputs):
            continue
        indices = {0} if writes(op) else set()
        if not indices and calls_a_function(op.node_def):
            library = library or _Library(graph)  # long to write
            indices = library.written_inputs(op.node_def)
        found |= {_source(op.inputs[index]) for index in indices}
    return found


def _source(tensor: tf.Tensor) -> str:
    while tensor.op.type in _FORWARDS:
        tensor = tensor.op.inputs[0]
    return str(tensor.op.name)


class _Library:
    """The functions of a graph, and which of their arguments they write."""

    def __init__(self, graph: tf.Graph) -> None:
        self._functions = {
            function.signature.name: function
            for function in graph.as_graph_def().library.function
        }
        self._written: dict[str, set[int]] = {}

    def written_inputs(self, node: Any) -> set[int]:
        """Returns the places of the inputs of a node that it writes."""
        if node.op.startswith(_WRITES):
            return {0}
        called = _called_functions(node) & self._functions.keys()
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


def _called_functions(node: Any) -> set[str]:
    names = {node.op}
    for value in node.attr.values():
        names.add(value.func.name)
        names.update(function.name for function in value.list.func)
    return names - {""}
