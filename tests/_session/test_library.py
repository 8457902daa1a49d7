# SPDX-License-Identifier: Apache-2.0
"""The functions that a graph calls, for the eager runtime."""

from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.framework import function as v1_function

from final_ops_callback._session import library
from final_ops_callback.errors import UnsupportedOpError

v1 = tf.compat.v1


def calling(*, deep: bool) -> tuple[tf.Graph, tf.Operation]:
    """Returns a graph with a call of a function, which may call another."""

    @v1_function.Defun(tf.float32, func_name="inner")
    def inner(x: tf.Tensor) -> tf.Tensor:
        return x * 2.0

    @v1_function.Defun(tf.float32, func_name="outer")
    def outer(x: tf.Tensor) -> tf.Tensor:
        return inner(x) + 1.0 if deep else x + 1.0

    with tf.Graph().as_default() as graph:
        result = outer(tf.constant(1.0))
    return graph, result.op


def definition_of(graph: tf.Graph) -> Any:
    """Returns the nodes of a graph, without its library."""
    definition = v1.GraphDef()
    definition.node.extend(graph.as_graph_def().node)
    return definition


@pytest.mark.parametrize("deep", [False, True])
def test_functions_are_found_that_a_node_calls(deep: bool) -> None:
    """Also those that its functions call."""
    graph, call = calling(deep=deep)
    known = library.library_of(graph)

    assert known.called(call.node_def) == {"outer"}
    assert known.needed([call.node_def]) == (
        {"outer", "inner"} if deep else {"outer"}
    )
    assert library.calls_a_function(call.node_def)
    assert not library.calls_a_function(call.inputs[0].op.node_def)


def test_functions_are_taken_under_a_name_of_their_body() -> None:
    """The same body has the same name, another body another one."""
    names = []
    for deep in (True, True, False):
        graph, _ = calling(deep=deep)
        definition = definition_of(graph)
        library.library_of(graph).take_along(definition)
        names.append({f.signature.name for f in definition.library.function})
        called = {node.op for node in definition.node} & names[-1]
        assert len(called) == 1

    assert names[0] == names[1]
    assert names[0].isdisjoint(names[2])
    assert len(names[0]) == 2


def test_what_was_taken_runs_as_in_the_original() -> None:
    """The graph with the copied functions gives what the graph gave."""
    graph, call = calling(deep=True)
    definition = definition_of(graph)
    library.library_of(graph).take_along(definition)
    with v1.Session(graph=graph) as session:
        expected = session.run(call.outputs[0])
    with tf.Graph().as_default(), v1.Session() as session:
        (copied,) = tf.import_graph_def(
            definition, return_elements=[call.outputs[0].name], name=""
        )
        assert session.run(copied) == expected


def test_nothing_is_taken_where_nothing_is_called() -> None:
    """A plain graph has no library afterwards."""
    with tf.Graph().as_default() as graph:
        tf.constant(1.0)
    definition = definition_of(graph)
    before = definition.SerializeToString()
    library.library_of(graph).take_along(definition)

    assert definition.SerializeToString() == before


def test_the_nodes_of_a_graph_are_written_out_once() -> None:
    """Until the graph has another operation."""
    with tf.Graph().as_default() as graph:
        op = tf.constant(1.0).op
        known = library.written(graph)
        assert library.written(graph) is known
        assert known.node(op) is known.node(op)
        tf.constant(2.0)

        assert library.written(graph) is not known


def test_an_operation_is_found_by_its_name() -> None:
    """Another name is a KeyError, as in v1."""
    graph, call = calling(deep=False)

    assert library.operation_of(graph, call.name) is call
    with pytest.raises(KeyError, match="nothing"):
        library.operation_of(graph, "nothing")


def test_a_gradient_that_would_be_lost_is_refused() -> None:
    """A function in a function may have a gradient made by hand."""

    @v1_function.Defun(tf.float32, tf.float32, func_name="by_hand")
    def by_hand(x: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        return gradient * 5.0

    @v1_function.Defun(tf.float32, grad_func=by_hand, func_name="special")
    def special(x: tf.Tensor) -> tf.Tensor:
        return x * 2.0

    @v1_function.Defun(tf.float32, func_name="around")
    def around(x: tf.Tensor) -> tf.Tensor:
        return special(x)

    with tf.Graph().as_default() as graph:
        x = tf.constant(1.0)
        v1.gradients(around(x), x)
    with pytest.raises(UnsupportedOpError, match="gradients of their own"):
        library.library_of(graph).take_along(definition_of(graph))
