# SPDX-License-Identifier: Apache-2.0
"""Analyzes the conditionals and loops of v1 graphs.

With `disable_control_flow_v2`, and in old meta graphs, a conditional is made of
`Switch` and `Merge` operations, and a loop is a frame between `Enter` and
`Exit`, with an edge that leads back. The meaning of such a graph can't be seen
from single operations.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_SWITCHES = ("Switch", "RefSwitch", "_SwitchN")
_MERGES = ("Merge", "RefMerge")
_ENTERS = ("Enter", "RefEnter")
_EXITS = ("Exit", "RefExit")
BACK_EDGES = ("NextIteration", "RefNextIteration")
# These operations make a handle of an object that lives as long as one run.
_OF_ONE_RUN = re.compile(r"Stack(V2)?|TensorArray(Grad|GradWithShape)?V3")

# The conditions under which an operation runs: values of predicates.
Condition = frozenset[Any]
_ALWAYS: Condition = frozenset()


class ControlFlow:
    """The conditionals and loops among some operations of a graph.

    Args:
        operations: Iterable of operations, inputs before their consumers,
            except for edges that lead back to the start of a loop.

    Attributes:
        operations: List of the operations, in an order in which all edges go
            forward, except for those that lead back.
    """

    def __init__(self, operations: Iterable[tf.Operation]) -> None:
        self.operations = list(operations)
        kinds = {op.type for op in self.operations}
        self._branches = not kinds.isdisjoint(_SWITCHES)
        self._loops = not kinds.isdisjoint(_ENTERS)
        if self._loops:
            self.operations = _forward(self.operations)
        self._conditions: dict[tf.Operation, Condition] = {}
        if self._branches:
            self._find_conditions()
        self._frames: dict[tf.Operation, frozenset[str]] = {}
        self._members: dict[str, set[tf.Operation]] = {}
        self._ways_in: dict[str, set[tf.Operation]] = {}
        if self._loops:
            self._find_frames()

    def condition(self, op: tf.Operation) -> Condition:
        """Returns the condition under which an operation runs."""
        return self._conditions.get(op, _ALWAYS)

    def may_be_dead(self, tensor: tf.Tensor) -> bool:
        """Returns whether a tensor may have no value after a run."""
        return self._branches and bool(self._of_tensor(tensor))

    def frames(self, op: tf.Operation) -> frozenset[str]:
        """Returns the names of the loops in which an operation runs."""
        return self._frames.get(op, frozenset())

    def exits_of_loops_with(
        self, operations: Collection[tf.Operation]
    ) -> set[tf.Operation]:
        """Returns the `Exit` operations of the loops of some operations."""
        return {
            op
            for members in self._members.values()
            if not members.isdisjoint(operations)
            for op in members
            if op.type in _EXITS
        }

    def way_out(
        self, op: tf.Operation, to: frozenset[str]
    ) -> tuple[tf.Operation, set[tf.Operation]] | None:
        """Returns an operation that runs once the loop of another has ended.

        Args:
            op: An operation inside the loop.
            to: The names of the loops around that loop.

        Returns:
            Pair of the `Exit` operation and all operations of the loop; `None`
            if the loop has no `Exit`.
        """
        for name in self.frames(op) - to:
            members = self._members[name]
            for other in self.operations:
                if (
                    other in members
                    and other.type in _EXITS
                    and self.frames(other) == to | {name}
                ):
                    return other, members
        return None

    def together(self) -> list[set[tf.Operation]]:
        """Returns the sets of operations that must be in the same run.

        The operations of one loop are such a set, and so are those that use
        one stack or one tensor array, which lives as long as a run.
        """
        groups = [
            members | self._ways_in[name]
            for name, members in self._members.items()
        ]
        makers = [op for op in self.operations if _is_of_one_run(op)]
        if not makers:
            return groups
        consumers = _consumers(self.operations)
        for maker in makers:
            group, stack = {maker}, [maker]
            while stack:
                for tensor in stack.pop().outputs:
                    if tensor.dtype.base_dtype not in (tf.resource, tf.string):
                        continue
                    for op in consumers[tensor.op]:
                        if op not in group and any(
                            given is tensor for given in op.inputs
                        ):
                            group.add(op)
                            stack.append(op)
            groups.append(group)
        return groups

    def _find_conditions(self) -> None:
        for op in self.operations:
            data = [
                self._of_tensor(tensor)
                for tensor in op.inputs
                if tensor.op.type not in BACK_EDGES
            ]
            if op.type in _MERGES and data:
                # It runs if one of its inputs has a value.
                known = frozenset.intersection(*data)
            elif op.type in _EXITS:
                # A loop always comes to its last iteration.
                known = self.condition(op.inputs[0].op)
            else:
                known = _ALWAYS.union(*data)
            known = known.union(*map(self.condition, op.control_inputs))
            if known:
                self._conditions[op] = known

    def _of_tensor(self, tensor: tf.Tensor) -> Condition:
        known = self.condition(tensor.op)
        if tensor.op.type in _SWITCHES:
            predicate = _original(tensor.op.inputs[1])
            known |= {(predicate.ref(), tensor.value_index)}
        return known

    def _find_frames(self) -> None:
        consumers = _consumers(self.operations)
        members: dict[str, set[tf.Operation]] = collections.defaultdict(set)
        ways_in: dict[str, set[tf.Operation]] = collections.defaultdict(set)
        for enter in self.operations:
            if enter.type not in _ENTERS:
                continue
            name = enter.get_attr("frame_name").decode()
            stack, depths = [(enter, 1)], {enter: 1}
            while stack:
                op, depth = stack.pop()
                if op.type in _EXITS:
                    depth -= 1
                for consumer in consumers[op] if depth else ():
                    if consumer not in depths:
                        inner = depth + (consumer.type in _ENTERS)
                        depths[consumer] = inner
                        stack.append((consumer, inner))
            members[name] |= depths.keys() - {enter}
            ways_in[name].add(enter)
        self._members, self._ways_in = members, ways_in
        frames: dict[tf.Operation, set[str]] = collections.defaultdict(set)
        for name, operations in members.items():
            for op in operations:
                frames[op].add(name)
        self._frames = {op: frozenset(names) for op, names in frames.items()}


def _original(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the tensor that a chain of `Identity` operations passes on.

    `tf.cond` guards the inputs of a branch by `pred_id`, which is such a copy,
    and `switch_t` by the predicate itself: they are one condition. The chain
    ends at a reference variable, of which each read may give another value.
    """
    while tensor.op.type == "Identity":
        before = tensor.op.inputs[0]
        if before.dtype != before.dtype.base_dtype:
            break
        tensor = before
    return tensor


def _is_of_one_run(op: tf.Operation) -> bool:
    return _OF_ONE_RUN.fullmatch(op.type) is not None


def _consumers(
    operations: Iterable[tf.Operation],
) -> Mapping[tf.Operation, list[tf.Operation]]:
    found = collections.defaultdict(list)
    for op in operations:
        for before in (*(t.op for t in op.inputs), *op.control_inputs):
            found[before].append(op)
    return found


def _forward(operations: list[tf.Operation]) -> list[tf.Operation]:
    """Sorts operations so that only the edges of `NextIteration` go back."""
    among = set(operations)
    waits: dict[tf.Operation, set[tf.Operation]] = {}
    for op in operations:
        before = {t.op for t in op.inputs if t.op.type not in BACK_EDGES}
        waits[op] = (before | set(op.control_inputs)) & among
    consumers = collections.defaultdict(list)
    for op, before in waits.items():
        for other in before:
            consumers[other].append(op)
    ready = collections.deque(op for op in operations if not waits[op])
    order = []
    while ready:
        op = ready.popleft()
        order.append(op)
        for consumer in consumers[op]:
            waits[consumer].discard(op)
            if not waits[consumer]:
                ready.append(consumer)
    return order
