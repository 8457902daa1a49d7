# SPDX-License-Identifier: Apache-2.0
"""The conditionals and loops of v1 graphs."""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.subgraph import needed_operations

v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def _old_control_flow() -> Iterator[None]:
    """Builds with Switch and Merge, as v1 did."""
    was_on = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    yield
    if was_on:
        v1.enable_control_flow_v2()


def flow_of(build: Callable[[], Any]) -> tuple[ControlFlow, Any]:
    """Returns the flow of a graph, and what was built."""
    with tf.Graph().as_default() as graph:
        built = build()
    # v1 gives an operation its inputs after it was made.
    in_order = needed_operations((), graph.get_operations(), ())
    return ControlFlow(in_order), built


def test_a_branch_has_its_condition() -> None:
    """What is in a branch may be dead; what is after it never is."""

    def build() -> Any:
        inside = []

        def of(value: float) -> tf.Tensor:
            inside.append(tf.negative(tf.constant(value)))
            return inside[-1]

        after = tf.cond(
            v1.placeholder(tf.bool, []), lambda: of(1.0), lambda: of(2.0)
        )
        return inside, tf.identity(after)

    flow, ((yes, no), after) = flow_of(build)

    assert flow.may_be_dead(yes)
    assert flow.condition(yes.op) != flow.condition(no.op)
    assert not flow.may_be_dead(after)
    assert flow.condition(after.op) == frozenset()


def test_a_branch_in_a_branch_has_both_conditions() -> None:
    """After the inner one, the outer condition is left."""

    def build() -> Any:
        outer, inner = (v1.placeholder(tf.bool, []) for _ in range(2))
        found = {}

        def deep() -> tf.Tensor:
            found["deep"] = tf.negative(tf.constant(1.0))
            return found["deep"]

        def high() -> tf.Tensor:
            found["high"] = tf.negative(tf.constant(1.0))
            found["after"] = tf.cond(inner, deep, lambda: tf.constant(0.0))
            return found["after"] + found["high"]

        tf.cond(outer, high, lambda: tf.constant(0.0))
        return found

    flow, found = flow_of(build)
    deep, high = (flow.condition(found[name].op) for name in ("deep", "high"))

    assert (len(high), len(deep)) == (1, 2)
    assert len(flow.condition(found["after"].op)) == 1


def test_what_a_branch_makes_and_what_it_takes_have_one_condition() -> None:
    """v1 guards them by the predicate and by its `pred_id`: one value."""

    def build() -> Any:
        given = v1.placeholder(tf.float32, [])
        made, taken = [], []

        def inside() -> tf.Tensor:
            made.append(tf.constant(1.0))
            taken.append(tf.negative(given))
            return taken[0]

        tf.cond(v1.placeholder(tf.bool, []), inside, lambda: tf.constant(0.0))
        return made[0].op, taken[0].op

    flow, (made, taken) = flow_of(build)

    assert len(flow.condition(made)) == 1
    assert flow.condition(made) == flow.condition(taken)


@pytest.mark.parametrize("resource", [True, False])
def test_two_reads_of_a_predicate_are_two_conditions(resource: bool) -> None:
    """A write between them may change a variable, of either kind."""

    def build() -> Any:
        variable = v1.get_variable("flag", [], tf.bool, use_resource=resource)
        inside = []

        def of() -> tf.Tensor:
            inside.append(tf.constant(1.0))
            return inside[-1]

        for _ in range(2):
            stored = variable if resource else variable.op.outputs[0]
            read = tf.identity(stored)
            tf.cond(read, of, lambda: tf.constant(0.0))
        return inside[0].op, inside[1].op

    flow, (first, second) = flow_of(build)

    assert len(flow.condition(first)) == len(flow.condition(second)) == 1
    assert flow.condition(first) != flow.condition(second)


def test_a_loop_has_a_frame_and_a_way_out() -> None:
    """What is in it runs together, and the value after it is not in it."""

    def build() -> Any:
        inside = []

        def body(i: tf.Tensor) -> tf.Tensor:
            inside.append(i + 1)
            return inside[0]

        out = tf.while_loop(lambda i: i < 3, body, [tf.constant(0)])
        return inside[0], tf.identity(out[0] if type(out) is list else out)

    flow, (inside, after) = flow_of(build)
    frames = flow.frames(inside.op)
    assert len(frames) == 1
    assert flow.frames(after.op) == frozenset()
    (group,) = flow.together()
    assert inside.op in group
    assert after.op not in group
    found = flow.way_out(inside.op, frozenset())
    assert found is not None
    exit_, members = found
    assert exit_.type == "Exit"
    assert inside.op in members

    assert flow.exits_of_loops_with([inside.op]) == {exit_}
    assert flow.exits_of_loops_with([after.op]) == set()
    assert flow.way_out(after.op, frozenset()) is None


def test_operations_of_a_loop_are_put_in_order() -> None:
    """Only the edge that leads back goes against the order."""
    flow, _ = flow_of(
        lambda: tf.while_loop(lambda i: i < 3, lambda i: [i + 1], [0])
    )
    place = {op: index for index, op in enumerate(flow.operations)}

    for op in flow.operations:
        for tensor in op.inputs:
            is_back = tensor.op.type == "NextIteration"
            assert is_back or place[tensor.op] < place[op]
    assert any(op.type == "NextIteration" for op in flow.operations)


def test_a_tensor_array_is_of_one_run() -> None:
    """All that use it have to run together."""

    def build() -> Any:
        array = tf.TensorArray(tf.float32, 2)
        written = array.write(0, 1.0)
        return written.flow, written.read(0), tf.constant(5.0)

    flow, (written, read, other) = flow_of(build)
    (group,) = flow.together()

    assert read.op in group
    assert other.op not in group
    assert {op.type for op in group} >= {"TensorArrayV3", "TensorArrayWriteV3"}
    assert written.op in group


def test_a_plain_graph_has_no_flow() -> None:
    """Nothing is dead, in a frame, or has to run together."""
    flow, tensor = flow_of(lambda: tf.constant(1.0) + 1.0)

    assert not flow.may_be_dead(tensor)
    assert flow.frames(tensor.op) == frozenset()
    assert flow.together() == []
