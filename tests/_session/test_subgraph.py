# SPDX-License-Identifier: Apache-2.0
"""Which part of a graph some fetches need."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.subgraph import definition_of
from final_ops_callback._session.subgraph import needed_operations
from final_ops_callback._session.subgraph import predecessors
from final_ops_callback.errors import UnsupportedOpError

v1 = tf.compat.v1


def chain() -> Any:
    """Returns a graph of a sum of two constants, and the sum."""
    with tf.Graph().as_default() as graph:
        a, b = tf.constant(1.0, name="a"), tf.constant(2.0, name="b")
        total = tf.add(a, b, name="total")
        tf.negative(total, name="unused")
    return graph, a, b, total


def names(operations: Any) -> list[str]:
    """Returns the names of operations."""
    return [op.name for op in operations]


def test_inputs_come_before_their_consumers() -> None:
    """And what nobody needs does not come."""
    _, _, _, total = chain()

    *inputs, last = names(needed_operations([total], [], ()))

    assert (set(inputs), last) == ({"a", "b"}, "total")


def test_what_is_known_is_not_needed() -> None:
    """Neither is what only it needs."""
    _, _, b, total = chain()

    assert names(needed_operations([total], [], {b.ref()})) == ["a", "total"]
    assert needed_operations([total], [], {total.ref()}) == []


def test_a_target_runs_with_what_it_waits_for() -> None:
    """Unless that has run already; a fed operation runs nevertheless."""
    with tf.Graph().as_default():
        first = tf.constant(1.0, name="first")
        with tf.control_dependencies([first]):
            then = tf.no_op(name="then")

    assert names(needed_operations([], [then], ())) == ["first", "then"]
    assert names(needed_operations([], [then], {first.ref()})) == [
        "first",
        "then",
    ]
    assert names(needed_operations([], [then], (), [first.op])) == ["then"]
    assert list(predecessors(then, (), ())) == [first.op]


def test_a_fed_placeholder_is_not_waited_for() -> None:
    """As in v1, which replaces the operation."""
    with tf.Graph().as_default():
        fed = v1.placeholder(tf.float32, [])
        with tf.control_dependencies([fed]):
            then = tf.no_op(name="then")

    assert names(needed_operations([], [then], {fed.ref()})) == ["then"]


def test_a_deep_graph_is_searched_without_recursion() -> None:
    """A chain of any length is searched."""
    with tf.Graph().as_default():
        tensor = tf.constant(1.0)
        for _ in range(3000):
            tensor = tf.identity(tensor)

    assert len(needed_operations([tensor], [], ())) == 3001


def test_a_definition_gives_the_value_of_the_graph() -> None:
    """Each node was claimed, and another graph can import them."""
    graph, _, _, total = chain()
    operations = needed_operations([total], [], ())
    claimed: list[str] = []
    definition = definition_of(
        graph,
        operations,
        lambda op, node: claimed.append(op.name),
        ModelLinks(),
    )
    with v1.Session(graph=graph) as session:
        expected = session.run(total)
    with tf.Graph().as_default(), v1.Session() as session:
        (copied,) = tf.import_graph_def(
            definition, return_elements=["total:0"], name=""
        )
        assert session.run(copied) == expected

    assert claimed == names(operations)


def test_a_read_waits_for_no_write() -> None:
    """A write without an order gets one: after the read."""
    with tf.Graph().as_default() as graph:
        variable = v1.get_variable("v", [], use_resource=True)
        read = variable.read_value()
        write = variable.assign_add(1.0, read_value=False)
    operations = needed_operations([read], [write], ())
    definition = definition_of(
        graph, operations, lambda op, node: None, ModelLinks()
    )
    (written,) = [n for n in definition.node if n.name == write.name]

    assert f"^{read.op.inputs[0].op.name}" in written.input or (
        f"^{read.op.name}" in written.input
    )


def test_the_initializer_of_a_twin_does_nothing() -> None:
    """Unless its value is fed."""
    with tf.Graph().as_default() as graph:
        variable = v1.get_variable("v", [], use_resource=True)
    init = variable.initializer
    links = ModelLinks(twin_initializers={init.name})
    value = init.inputs[1].ref()
    kinds = []
    for given in ((), {value}):
        operations = needed_operations([], [init], given)
        definition = definition_of(
            graph, operations, lambda op, node: None, links, given
        )
        kinds.append(definition.node[-1].op)

    assert kinds == ["NoOp", "AssignVariableOp"]


def test_a_queue_is_refused() -> None:
    """Its state belongs to one kernel; the error says what to use."""
    with tf.Graph().as_default() as graph:
        queue = v1.FIFOQueue(1, [tf.float32], name="queue")
        size = queue.size()
    operations = needed_operations([size], [], ())
    with pytest.raises(UnsupportedOpError, match=r"'queue'.*variable or table"):
        definition_of(graph, operations, lambda op, node: None, ModelLinks())
