# SPDX-License-Identifier: Apache-2.0
"""Reads of live variables, without running the graph."""

import tensorflow as tf

from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.reads import plain_read
from final_ops_callback._session.reads import readable
from final_ops_callback._session.reads import shadows

v1 = tf.compat.v1


def hook_graph() -> tuple[HookGraph, tf.Variable, tf.Variable]:
    """Returns a graph with a weight and a step, and the two."""
    weight, step = tf.Variable(3.0), tf.Variable(7, dtype=tf.int64)
    graph = HookGraph(
        [
            LiveVariable("w", weight),
            LiveVariable("global_step", step, "global_step"),
        ]
    )
    return graph, weight, step


def test_a_read_of_a_twin_is_one_of_the_variable() -> None:
    """It gives what the variable is when it is called."""
    graph, weight, _ = hook_graph()
    tensor = graph.get_tensor_by_name("w/Read/ReadVariableOp:0")
    live = plain_read(graph, graph.links, tensor)
    assert live is not None
    weight.assign(4.0)

    assert float(live.read()) == 4.0


def test_the_step_that_stock_hooks_fetch_is_read() -> None:
    """They fetch a sum of the step and 0, if it is initialized."""
    graph, _, step = hook_graph()
    with graph.as_default():
        hook = v1.train.StopAtStepHook(last_step=1)
        hook.begin()
        fetched = hook.before_run(None).fetches
    live = plain_read(graph, graph.links, fetched)
    assert live is not None
    step.assign_add(1)

    assert int(live.read()) == 8


def test_what_is_computed_is_no_plain_read() -> None:
    """A sum, a read that waits, a variable of a hook: none is."""
    graph, _, _ = hook_graph()
    with graph.as_default():
        own = v1.get_variable("own", [])
        twin = next(v for v in v1.global_variables() if v.op.name == "w")
        with tf.control_dependencies([own.initializer]):
            waiting = twin.read_value()
        tensors = [twin + 1.0, waiting, own.read_value()]

    for tensor in tensors:
        assert plain_read(graph, graph.links, tensor) is None


def test_a_shadow_has_the_value_from_before() -> None:
    """What is written by the same operations has none."""
    graph, weight, _ = hook_graph()
    with graph.as_default():
        twin = next(v for v in v1.global_variables() if v.op.name == "w")
        read = twin.read_value().op.inputs[0]
        write = twin.assign(0.0, read_value=False)
    found = shadows(graph, graph.links, [read.op])
    ((name, (live, shadow)),) = found.items()
    weight.assign(9.0)

    assert (name, live.variable is weight) == ("w", True)
    assert float(shadow) == 3.0
    assert shadows(graph, graph.links, [read.op, write]) == {}


def test_a_handle_is_fetched_as_its_value() -> None:
    """In v1 the name of a variable was that of its value."""
    graph, _, _ = hook_graph()
    handle = graph.get_tensor_by_name("w:0")
    value = readable(graph, handle)

    assert handle.dtype == tf.resource
    assert value.dtype == tf.float32
    assert readable(graph, value) is value
