# SPDX-License-Identifier: Apache-2.0
"""Extracts the part of a v1 graph that some fetches need."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._session.control_flow import BACK_EDGES
from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.library import library_of
from final_ops_callback._session.library import written
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.writes import Accesses
from final_ops_callback._session.writes import source
from final_ops_callback.errors import UnsupportedOpError

# The state of these operations belongs to one kernel. Each set of fetches is a
# function with its own kernels, so one would not see what another has put in.
_PRIVATE_TO_A_KERNEL = re.compile(
    r"(\w*Queue(V2)?|Barrier|\w*Reader(V2)?"
    r"|(Sparse|Resource)?ConditionalAccumulator"
    r"|RecordInput|(Ordered|Unordered)?Map(Stage|Unstage\w*)"
    r"|(Ordered|Unordered)?MapPeek|Stage|Unstage|StagePeek)"
)
# In v1, feeding one of these replaces the whole operation.
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2")


def needed_operations(
    fetches: Iterable[tf.Tensor],
    targets: Iterable[tf.Operation],
    given: Collection[Any],
    done: Collection[tf.Operation] = (),
) -> list[tf.Operation]:
    """Returns the operations that must run, each after its inputs.

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
    # The search is depth first, without recursion because graphs are deep. An
    # operation is pushed a second time, to be added after its inputs.
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
    """Yields the operations that must run before an operation."""
    for tensor in op.inputs:
        if tensor.ref() not in given:
            yield tensor.op
    for before in op.control_inputs:
        if before not in done and not _is_given(before, given):
            yield before


def _is_given(op: tf.Operation, given: Collection[Any]) -> bool:
    # As in v1, a fed operation still runs if another one has a control
    # dependency on it; its value is not used.
    return op.type in _PLACEHOLDERS and op.outputs[0].ref() in given


def definition_of(
    graph: tf.Graph,
    operations: list[tf.Operation],
    claim: Callable[[tf.Operation, Any], None],
    links: ModelLinks,
    given: Collection[Any] = (),
) -> Any:
    """Returns operations as a `GraphDef` that another graph can import.

    Args:
        graph: The graph that the operations are in.
        operations: List of operations, inputs before their consumers.
        claim: Function that is called with each operation and its `NodeDef`,
            which it may change.
        links: The `ModelLinks` of the graph.
        given: Collection of references of tensors whose values are known.

    Returns:
        The `GraphDef`. Its nodes have the names of the operations.

    Raises:
        UnsupportedOpError: An operation can run only in a v1 session.
    """
    definition = tf.compat.v1.GraphDef()
    definition.versions.CopyFrom(graph.graph_def_versions)
    names = {op.name for op in operations}
    known = written(graph)
    for op in operations:
        _check(op)
        node = definition.node.add()
        node.CopyFrom(known.node(op))
        # Colocation constraints may name operations that are left out here.
        node.attr.pop("_class", None)
        kept = [
            name
            for name in node.input
            if not name.startswith("^") or name[1:] in names
        ]
        if (
            op.name in links.twin_initializers
            and op.inputs[1].ref() not in given
        ):
            # Keras owns the initial values of its variables, so initializing a
            # twin does nothing unless the value is fed, as by Variable.load.
            node.op = "NoOp"
            node.attr.clear()
            kept = [name for name in kept if name.startswith("^")]
        node.input[:] = kept
        claim(op, node)
    _read_first(graph, operations, definition)
    if any(map(known.may_call, operations)):
        library_of(graph).take_along(definition)
    return definition


def _read_first(
    graph: tf.Graph, operations: list[tf.Operation], definition: Any
) -> None:
    """Adds control dependencies, so that reads come before writes.

    v1 did not define the order. In practice the read came first, because it
    does not wait for anything. Here it always comes first, unless the read
    itself depends on a write, or runs under other conditions than the write.
    """
    accesses = Accesses(graph)
    nodes = dict(zip(operations, definition.node, strict=True))
    writes = {
        op: {source(tensor) for tensor in written}
        for op in operations
        if nodes[op].op != "NoOp" and (written := accesses.written(op))
    }
    if not writes:
        return
    flow = ControlFlow(operations)
    after_a_write = _after_a_write(writes, flow)
    reads: dict[tf.Operation, list[tf.Operation]] = {}
    for op in operations:
        for tensor in accesses.read(op):
            reads.setdefault(source(tensor), []).append(op)
    for op, variables in writes.items():
        among = [read for v in variables for read in reads.get(v, ())]
        for read in dict.fromkeys(among):
            edge = _edge(op, read, flow, after_a_write)
            if edge is not None:
                first, then = edge
                nodes[then].input.append(f"^{first.name}")


def _after_a_write(
    writes: Collection[tf.Operation], flow: ControlFlow
) -> set[tf.Operation]:
    after = flow.exits_of_loops_with(writes)
    for op in flow.operations:
        if op in writes or any(
            before in after
            for before in predecessors(op, (), ())
            if before.type not in BACK_EDGES
        ):
            after.add(op)
    return after


def _edge(
    write: tf.Operation,
    read: tf.Operation,
    flow: ControlFlow,
    after_a_write: Collection[tf.Operation],
) -> tuple[tf.Operation, tf.Operation] | None:
    """Returns the two operations to connect, so that a read comes first."""
    first, then, after = read, write, {read}
    if flow.frames(first) > flow.frames(then):
        # An operation outside a loop can't wait for one inside.
        way_out = flow.way_out(first, flow.frames(then))
        if way_out is None:
            return None
        first, after = way_out
    else:
        # Only the operations that enter a loop can wait for one outside.
        while flow.frames(then) > flow.frames(first) and then.inputs:
            then = then.inputs[0].op
        if flow.frames(then) != flow.frames(first):
            return None
    if not after.isdisjoint(after_a_write):
        return None
    # An operation does not run if it waits for one that does not run.
    runs = flow.condition(first) <= flow.condition(then)
    return (first, then) if runs else None


def _check(op: tf.Operation) -> None:
    if _PRIVATE_TO_A_KERNEL.fullmatch(op.type):
        raise UnsupportedOpError(
            f"{op.name!r} keeps its state in a kernel of a v1 session",
            f"operation {op.name!r} of type {op.type}",
            "Feed the values, use a tf.data iterator, or keep them in a "
            "variable or table.",
        )
