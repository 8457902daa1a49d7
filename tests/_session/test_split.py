# SPDX-License-Identifier: Apache-2.0
"""Operations before the step, and after it."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.split import dependent_on
from final_ops_callback._session.split import frontier_of
from final_ops_callback._session.split import has_effects
from final_ops_callback._session.split import touched_by_effects
from final_ops_callback._session.subgraph import needed_operations
from final_ops_callback.errors import UnsupportedOpError

v1 = tf.compat.v1


def flow_of(*tensors: Any) -> ControlFlow:
    """Returns the flow of all that some tensors need."""
    return ControlFlow(needed_operations(tensors, [], ()))


def test_what_uses_the_step_waits_for_it() -> None:
    """Through inputs and through control dependencies, not otherwise."""
    with tf.Graph().as_default():
        step, other = tf.constant(1.0), v1.placeholder(tf.float32, [])
        used, apart = step + 1.0, other + 1.0
        with tf.control_dependencies([used]):
            later = tf.identity(apart)
    found = dependent_on(flow_of(used, apart, later), [step.op])

    assert found == {used.op, later.op}


def test_nothing_waits_for_no_step() -> None:
    """Without a step tensor all runs at once."""
    with tf.Graph().as_default():
        total = tf.constant(1.0) + 1.0

    assert dependent_on(flow_of(total), []) == set()


def test_a_loop_waits_as_a_whole() -> None:
    """If one iteration needs the step, all do."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            step = tf.constant(1.0)
            counted, summed = tf.while_loop(
                lambda i, s: i < 3,
                lambda i, s: [i + 1, s + step],
                [tf.constant(0), tf.constant(0.0)],
            )
    finally:
        v1.enable_control_flow_v2()
    flow = flow_of(counted, summed)
    found = dependent_on(flow, [step.op])

    assert {counted.op, summed.op} <= found


def test_the_frontier_is_what_is_passed_on() -> None:
    """Values are, but constants and handles are made anew."""
    with tf.Graph().as_default():
        step, given = tf.constant(1.0), v1.placeholder(tf.float32, [])
        early = tf.negative(given)
        result = step * early + tf.constant(2.0)
    flow = flow_of(result)
    dependent = dependent_on(flow, [step.op])
    frontier, remade = frontier_of(dependent, {step.ref(), given.ref()}, flow)

    assert [id(tensor) for tensor in frontier] == [id(early)]
    assert {op.type for op in remade} == {"Const"}


def test_a_branch_with_effects_is_not_run_twice() -> None:
    """It would be, if it has to run before the step and after it."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default():
            variable = v1.get_variable("v", [], use_resource=True)
            step = tf.constant(1.0)

            def branch() -> tf.Tensor:
                with tf.control_dependencies([variable.assign_add(1.0)]):
                    early = tf.identity(variable.read_value())
                return early + step

            result = tf.cond(v1.placeholder(tf.bool, []), branch, lambda: step)
    finally:
        v1.enable_control_flow_v2()
    flow = flow_of(result)
    dependent = dependent_on(flow, [step.op])
    with pytest.raises(UnsupportedOpError, match="outside of the branch"):
        frontier_of(dependent, {step.ref()}, flow)


def test_effects_are_those_of_a_second_run() -> None:
    """A write has one, and random numbers; a read has none."""
    with tf.Graph().as_default():
        variable = v1.get_variable("v", [], use_resource=True)
        write = variable.assign(1.0, read_value=False)
        read = variable.read_value()
        random = tf.random.uniform([])
    drawn = next(
        op for op in needed_operations([random], [], ()) if "Random" in op.type
    )

    assert has_effects(write)
    assert has_effects(drawn)
    assert not has_effects(read.op)
    assert not has_effects(variable.handle.op)


def test_what_an_effect_touches_would_differ() -> None:
    """What needs it, what waits for it, and the variable that it writes."""
    with tf.Graph().as_default() as graph:
        one, other = (
            v1.get_variable(name, [], use_resource=True) for name in "ab"
        )
        added = one.assign_add(1.0)
        with tf.control_dependencies([added]):
            later = tf.constant(1.0) + 1.0
        reads = one.read_value(), other.read_value()
    roots = [added, later, *reads]
    touched, written = touched_by_effects(
        graph, needed_operations(roots, [], ())
    )

    assert written == {one.handle.op.name}
    assert {root.op in touched for root in roots[:3]} == {True}
    assert other.handle.op not in touched
    assert reads[1].op not in touched


# What a called function does beside its result, and whether that is an effect.
ACTS: dict[str, tuple[Any, bool]] = {
    "nothing": (lambda v: None, False),
    "assert": (lambda v: tf.debugging.assert_positive(v), False),
    "write": (lambda v: v.assign_add(1.0), True),
    "random": (lambda v: tf.random.uniform([]), True),
    "inner random": (
        lambda v: tf.function(lambda: tf.random.uniform([]))(),
        True,
    ),
}


@pytest.mark.parametrize(
    ("name", "control_flow_v2"),
    # A loop of v1 is no call: what it computes needs no effect beside it.
    [*((name, True) for name in ACTS), ("nothing", False), ("assert", False)],
)
def test_a_call_has_the_effects_of_its_function(
    name: str, control_flow_v2: bool
) -> None:
    """One that reads is stateful for TensorFlow, too."""
    act, expected = ACTS[name]

    def body(index: Any, total: Any) -> Any:
        act(variable)
        return index + 1, total + variable

    switch = (
        v1.enable_control_flow_v2
        if control_flow_v2
        else v1.disable_control_flow_v2
    )
    was_on = v1.control_flow_v2_enabled()
    switch()
    try:
        with tf.Graph().as_default() as graph:
            variable = v1.get_variable("v", [], use_resource=True)
            before = graph.get_operations()
            loop = tf.while_loop(lambda i, t: i < 2, body, [0, 0.0])[1]
            branch = tf.cond(
                variable > 0.0, lambda: body(0, 0.0)[1], lambda: variable + 0.0
            )
            call = tf.function(lambda: body(0, 0.0)[1])()
            many = tf.map_fn(lambda x: body(0, x)[1], tf.ones([2]))
            found = [loop, branch, call, many]
    finally:
        (v1.enable_control_flow_v2 if was_on else v1.disable_control_flow_v2)()
    # Also what nothing fetches, but without the initializer of the variable.
    added = [op for op in graph.get_operations() if op not in before]
    touched, _ = touched_by_effects(graph, needed_operations(found, added, ()))

    assert {tensor.op in touched for tensor in found} == {expected}
