# SPDX-License-Identifier: Apache-2.0
"""Parts of a graph as functions of the eager runtime."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._session.function_def import Function

v1 = tf.compat.v1


def function_of(
    graph: tf.Graph,
    inputs: list[tf.Tensor],
    outputs: list[tf.Tensor],
    targets: Any = (),
    flagged: Any = (),
) -> Function:
    """Returns the function of a whole graph, but for its inputs."""
    definition = graph.as_graph_def()
    given = {tensor.op.name for tensor in inputs}
    kept = [n for n in definition.node if n.name not in given]
    del definition.node[:]
    definition.node.extend(kept)
    dtypes = {tensor.name: tensor.dtype for tensor in inputs}
    return Function(graph, definition, dtypes, outputs, targets, flagged)


def test_several_outputs_are_given_in_order() -> None:
    """Also those of one operation, by their index."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [4], "x")
        first, second = tf.split(x, 2)
        values, indices = tf.nn.top_k(x, 1)
    outputs = [second, first, indices, values]
    function = function_of(graph, [x], outputs)
    given = np.array([1.0, 4.0, 2.0, 3.0], "float32")
    with v1.Session(graph=graph) as session:
        expected = session.run(outputs, {x: given})

    for found, wanted in zip(
        function([tf.constant(given)]), expected, strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_an_input_may_be_an_output() -> None:
    """It is what was given."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], "x")
    (found,) = function_of(graph, [x], [x])([tf.constant(3.0)])

    assert float(found) == 3.0


def test_targets_run_for_their_effect() -> None:
    """A write that nothing fetches is made."""
    variable = tf.Variable(1.0)
    with tf.Graph().as_default() as graph:
        handle = v1.placeholder(tf.resource, [], "handle")
        write = tf.raw_ops.AssignVariableOp(
            resource=handle, value=tf.constant(9.0)
        )
    function = function_of(graph, [handle], [], [write.name])

    assert function([variable.handle]) == []
    assert float(variable) == 9.0


def test_a_flag_says_that_an_output_has_a_value() -> None:
    """It is a scalar behind the outputs."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], "x")
        total = x + 1.0
    found = function_of(graph, [x], [total], flagged=[0])([tf.constant(1.0)])

    assert [value.shape.rank for value in found] == [0, 0]
    assert float(found[0]) == 2.0


def test_two_functions_share_what_they_call() -> None:
    """It goes with the last of them."""

    @tf.function
    def called(x: tf.Tensor) -> tf.Tensor:
        return x * 2.0

    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], "x")
        result = called(x)
    first, second = (function_of(graph, [x], [result]) for _ in range(2))
    del first

    assert float(second([tf.constant(4.0)])[0]) == 8.0


def test_an_output_that_is_not_there_is_refused() -> None:
    """A wrong input of a node is an error when the function is made."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [], "x")
        total = tf.add(x, tf.constant(1.0, name="one"), name="total")
    definition = graph.as_graph_def()
    del definition.node[0]
    (node,) = [n for n in definition.node if n.name == "total"]
    node.input[1] = "one:1"
    with pytest.raises(ValueError, match="'one' has fewer outputs"):
        Function(graph, definition, {"x:0": tf.float32}, [total], [], [])
