# SPDX-License-Identifier: Apache-2.0
"""The part of a v1 graph that some fetches need, as a `GraphDef`."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._writes import READS
from final_ops_callback._writes import calls_a_function
from final_ops_callback._writes import writes
from final_ops_callback.errors import UnsupportedOpError

# Their state belongs to one kernel. Each set of fetches is a function with
# kernels of its own, so what one puts in, another would never see.
_PRIVATE_TO_A_KERNEL = re.compile(
    r"(\w*Queue(V2)?|Barrier|Stack(V2)?|\w*Reader(V2)?"
    r"|(Sparse|Resource)?ConditionalAccumulator|TemporaryVariable"
    r"|RecordInput|(Ordered|Unordered)?Map(Stage|Unstage\w*)"
    r"|(Ordered|Unordered)?MapPeek|Stage|Unstage|StagePeek)"
)
_REFERENCE_VARIABLES = ("Variable", "VariableV2")


def needed_operations(
    fetches: Iterable[tf.Tensor],
    targets: Iterable[tf.Operation],
    given: Collection[Any],
    done: Collection[tf.Operation] = (),
) -> list[tf.Operation]:
    """Returns the operations that must run, inputs before their consumers.

    Args:
        fetches: Iterable of tensors.
        targets: Iterable of operations.
        given: Collection of references of tensors whose values are known.
        done: Collection of operations that have run already.

    Returns:
        List of operations in an order in which they can run.
    """
    order: dict[tf.Operation, None] = {}
    roots = [t.op for t in fetches if t.ref() not in given] + list(targets)
    # Depth first without recursion, because graphs are deep: an operation is
    # pushed a second time to be noted after its inputs.
    stack = [(op, False) for op in reversed(roots)]
    visited: set[tf.Operation] = set()
    while stack:
        op, inputs_noted = stack.pop()
        if inputs_noted:
            order[op] = None
            continue
        if op in visited:
            continue
        visited.add(op)
        stack.append((op, True))
        stack += [
            (before, False)
            for before in predecessors(op, given, done)
            if before not in visited
        ]
    return list(order)


def predecessors(
    op: tf.Operation, given: Collection[Any], done: Collection[tf.Operation]
) -> Iterator[tf.Operation]:
    """Yields the operations that an operation has to wait for."""
    for tensor in op.inputs:
        if tensor.ref() not in given:
            yield tensor.op
    for before in op.control_inputs:
        if before not in done and not _is_given(before, given):
            yield before


def _is_given(op: tf.Operation, given: Collection[Any]) -> bool:
    return bool(op.outputs) and all(t.ref() in given for t in op.outputs)


def definition_of(
    graph: tf.Graph,
    operations: list[tf.Operation],
    claim: Callable[[tf.Operation, Any], None],
    given: Collection[Any] = (),
) -> Any:
    """Writes operations as a `GraphDef` that another graph can import.

    Args:
        graph: The graph that the operations are in.
        operations: List of operations, inputs before their consumers.
        claim: Called with each operation and its `NodeDef`, which it may
            change.
        given: Collection of references of tensors whose values are known.

    Returns:
        The `GraphDef`. Its nodes have the names of the operations.

    Raises:
        UnsupportedOpError: An operation can't run outside of a v1 session.
    """
    skipped = getattr(graph, "twin_initializers", ())
    definition = tf.compat.v1.GraphDef()
    definition.versions.CopyFrom(graph.graph_def_versions)
    names = {op.name for op in operations}
    for op in operations:
        _check(op)
        node = definition.node.add()
        node.CopyFrom(op.node_def)
        # Colocation names operations that may be left out here.
        node.attr.pop("_class", None)
        kept = [
            name
            for name in node.input
            if not name.startswith("^") or name[1:] in names
        ]
        if op.name in skipped and op.inputs[1].ref() not in given:
            # Keras owns the initial values of its variables: initializing a
            # twin does nothing, unless it is fed (Variable.load).
            node.op = "NoOp"
            node.attr.clear()
            kept = [name for name in kept if name.startswith("^")]
        node.input[:] = kept
        claim(op, node)
    if any(calls_a_function(node) for node in definition.node):
        definition.library.CopyFrom(graph.as_graph_def().library)
    _read_first(operations, definition)
    return definition


def _read_first(operations: list[tf.Operation], definition: Any) -> None:
    """Lets a run read a variable before it writes it.

    v1 left the order of the two open, and in practice the read came first,
    because it waits for nothing. Here it always does, unless it waits for a
    write itself.
    """
    after_a_write: set[tf.Operation] = set()
    reads: dict[Any, list[str]] = {}
    for op in operations:
        if writes(op) or any(
            before in after_a_write for before in predecessors(op, (), ())
        ):
            after_a_write.add(op)
        elif op.type in READS:
            reads.setdefault(op.inputs[0].ref(), []).append(op.name)
    for op, node in zip(operations, definition.node, strict=True):
        if node.op != "NoOp" and writes(op):
            node.input.extend(
                f"^{name}" for name in reads.get(op.inputs[0].ref(), ())
            )


def _check(op: tf.Operation) -> None:
    if op.type in _REFERENCE_VARIABLES:
        raise UnsupportedOpError(
            f"{op.name!r} is a reference variable, which only a v1 session has",
            f"operation {op.name!r} of type {op.type}",
            "Make it a resource variable: use_resource=True.",
        )
    if _PRIVATE_TO_A_KERNEL.fullmatch(op.type):
        raise UnsupportedOpError(
            f"{op.name!r} keeps its state in a kernel of a v1 session",
            f"operation {op.name!r} of type {op.type}",
            "Feed the values, use a tf.data iterator, or keep them in a "
            "variable or table.",
        )
