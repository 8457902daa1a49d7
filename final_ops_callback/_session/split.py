# SPDX-License-Identifier: Apache-2.0
"""Splits operations into those that run before a step and those after it."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.library import library_of
from final_ops_callback._session.writes import CALLS
from final_ops_callback._session.writes import source
from final_ops_callback._session.writes import written_handles
from final_ops_callback.errors import UnsupportedOpError

# Stateful operations that only read, so that they can run again.
_PURE = (
    "Assert",
    "CheckNumerics",
    "ReadVariableOp",
    "ResourceGather",
    "VarHandleOp",
    "VarIsInitialized",
)
# The state of these is gone when the run is over.
_WITHIN_A_RUN = ("Stack", "TensorArray")


def dependent_on(
    flow: ControlFlow, step_ops: Collection[tf.Operation]
) -> set[tf.Operation]:
    """Returns the operations that depend on the training step.

    Args:
        flow: The `ControlFlow` of all operations.
        step_ops: Collection of the operations of the step tensors.
    """
    waiting, together = set(step_ops), flow.together() if step_ops else []
    while True:
        for op in flow.operations:
            if any(t.op in waiting for t in op.inputs) or not (
                waiting.isdisjoint(op.control_inputs)
            ):
                waiting.add(op)
        split = [
            group
            for group in together
            if not group.isdisjoint(waiting) and not group <= waiting
        ]
        if not split:
            return waiting.difference(step_ops)
        waiting.update(*split)


def frontier_of(
    dependent: Collection[tf.Operation],
    given: Collection[Any],
    flow: ControlFlow,
) -> tuple[list[tf.Tensor], set[tf.Operation]]:
    """Finds the values that the part after the step takes from the other part.

    Args:
        dependent: Collection of the operations that wait for the step.
        given: Collection of references of tensors whose values are known.
        flow: The `ControlFlow` of both parts.

    Returns:
        Pair of the tensors that are passed from the earlier to the later part,
        and the operations that both parts run, because their outputs can't be
        passed on.

    Raises:
        UnsupportedOpError: An operation in a branch would run twice, although
            it has side effects.
    """
    frontier: dict[Any, tf.Tensor] = {}
    remade: set[tf.Operation] = set()
    stack = list(dependent)
    while stack:
        op = stack.pop()
        again = [
            before for before in op.control_inputs if flow.condition(before)
        ]
        for tensor in op.inputs:
            if tensor.ref() in given or tensor.op in dependent:
                continue
            if _is_made_anew(tensor) or flow.may_be_dead(tensor):
                again.append(tensor.op)
            else:
                frontier[tensor.ref()] = tensor
        for before in again:
            if before not in remade and before not in dependent:
                _check_again(before, flow)
                remade.add(before)
                stack.append(before)
    return list(frontier.values()), remade


def touched_by_effects(
    graph: tf.Graph, operations: Iterable[tf.Operation]
) -> tuple[set[tf.Operation], set[str]]:
    """Finds what has to keep its value when the rest is computed again.

    Args:
        graph: The graph.
        operations: Iterable of operations, inputs before their consumers.

    Returns:
        Pair of the operations that have effects, need such an operation or
        take the handle of a variable that one has written; and the names of
        these handles.
    """
    operations = list(operations)
    acting = [op for op in operations if _acts(graph, op)]
    written = written_handles(graph, acting)
    touched = {
        op
        for op in operations
        if any(
            tensor.dtype == tf.resource and source(tensor).name in written
            for tensor in op.inputs
        )
    }.union(acting)
    return touched | dependent_on(ControlFlow(operations), touched), written


def _acts(graph: tf.Graph, op: tf.Operation) -> bool:
    """Returns whether an operation, or what it calls, has effects.

    A conditional, a loop or a call is stateful if it only reads a variable.
    """
    if not has_effects(op) or op.type.startswith(_WITHIN_A_RUN):
        return False
    library, node = library_of(graph), op.node_def
    is_call = op.type in CALLS or op.type in library.functions
    return not is_call or any(
        not one.startswith((*_PURE, *_WITHIN_A_RUN))
        and graph.op_def_for_type(one).is_stateful
        for name in library.needed([node])
        for inner in library.functions[name].node_def
        if (one := inner.op) not in CALLS and one not in library.functions
    )


def _check_again(op: tf.Operation, flow: ControlFlow) -> None:
    if flow.condition(op) and has_effects(op):
        raise UnsupportedOpError(
            f"{op.name!r} would run before the step and after it",
            f"operation {op.name!r} in a branch that needs a step tensor",
            "Run it outside of the branch, or build it with "
            "tf.compat.v1.enable_control_flow_v2().",
        )


def has_effects(op: tf.Operation) -> bool:
    """Returns whether running an operation a second time has an effect."""
    return op.op_def.is_stateful and not op.type.startswith(_PURE)


def _is_made_anew(tensor: tf.Tensor) -> bool:
    """Returns whether both parts compute a tensor, instead of passing it on.

    A handle is not a value that can be passed on, and a constant costs less
    than an input.
    """
    return tensor.dtype in (tf.resource, tf.variant) or (
        tensor.op.type == "Const" and not tensor.op.control_inputs
    )
