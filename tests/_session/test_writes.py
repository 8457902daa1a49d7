# SPDX-License-Identifier: Apache-2.0
"""Which variables operations read and write."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.writes import Accesses
from final_ops_callback._session.writes import source
from final_ops_callback._session.writes import written_handles

v1 = tf.compat.v1


def graph_of(build: Callable[[Any], Any]) -> tuple[tf.Graph, Any]:
    """Returns a graph with two variables, and what was built of the first."""
    with tf.Graph().as_default() as graph:
        variable = v1.get_variable("v", [3], use_resource=True)
        v1.get_variable("other", [3], use_resource=True)
        before = set(graph.get_operations())
        build(variable)
        added = [op for op in graph.get_operations() if op not in before]
    return graph, added


@pytest.mark.parametrize(
    "build",
    [
        lambda v: v.assign(tf.zeros([3])),
        lambda v: v.assign_sub(tf.ones([3])),
        lambda v: v.scatter_add(
            tf.IndexedSlices(tf.ones([1]), tf.constant([0]))
        ),
        lambda v: tf.raw_ops.ResourceApplyGradientDescent(
            var=v.handle, alpha=0.1, delta=tf.ones([3])
        ),
        lambda v: tf.cond(
            tf.constant(True),
            lambda: v.assign(tf.zeros([3])),
            lambda: v.read_value(),
        ),
        lambda v: tf.while_loop(
            lambda i: i < 2,
            lambda i: [i + tf.cast(v.assign_add(tf.ones([3]))[0], tf.int32)],
            [tf.constant(0)],
        ),
    ],
    ids=["assign", "sub", "scatter", "apply", "cond", "while"],
)
def test_a_write_is_found(build: Callable[[Any], Any]) -> None:
    """Also in a branch, a loop, and by an optimizer; of this variable alone."""
    graph, added = graph_of(build)

    assert written_handles(graph, added) == {"v"}


@pytest.mark.parametrize(
    "build",
    [
        lambda v: v.read_value(),
        lambda v: tf.gather(v, [0]),
        lambda v: tf.cond(
            tf.constant(True), lambda: v.read_value(), lambda: tf.zeros([3])
        ),
    ],
    ids=["read", "gather", "cond"],
)
def test_a_read_is_no_write(build: Callable[[Any], Any]) -> None:
    """It is found as a read."""
    graph, added = graph_of(build)
    accesses = Accesses(graph)
    read = {source(t).name for op in added for t in accesses.read(op)}

    assert written_handles(graph, added) == set()
    assert read == {"v"}


def test_what_a_function_writes_is_known_by_argument() -> None:
    """Of two handles that a function gets, it writes one."""

    @tf.function
    def move(first: Any, second: Any) -> None:
        first.assign(second.read_value())

    with tf.Graph().as_default() as graph:
        a = v1.get_variable("a", [], use_resource=True)
        b = v1.get_variable("b", [], use_resource=True)
        move(a, b)
        calls = [op for op in graph.get_operations() if "Call" in op.type]
    accesses = Accesses(graph)
    (call,) = calls

    assert [source(t).name for t in accesses.written(call)] == ["a"]
    assert [source(t).name for t in accesses.read(call)] == ["b"]


def test_the_source_of_a_handle_is_its_variable() -> None:
    """Also where the handle was passed on."""
    with tf.Graph().as_default():
        variable = v1.get_variable("v", [], use_resource=True)
        passed = tf.identity(tf.identity(variable.handle))

    assert source(passed) is variable.handle.op


def test_an_operation_without_handles_does_neither() -> None:
    """A sum writes nothing and reads nothing."""
    with tf.Graph().as_default() as graph:
        total = tf.constant(1.0) + 1.0
    accesses = Accesses(graph)

    assert accesses.written(total.op) == accesses.read(total.op) == []
