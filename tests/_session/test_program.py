# SPDX-License-Identifier: Apache-2.0
"""A part of a graph as one function."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import links_of
from final_ops_callback._session.program import Program
from final_ops_callback._session.resources import Resources

v1 = tf.compat.v1


def program(
    graph: tf.Graph, fetches: Any, targets: Any = (), inputs: Any = ()
) -> Program:
    """Returns the program of some fetches."""
    links = links_of(graph)
    resources = Resources(graph, links)
    return Program(
        graph, fetches, list(targets), list(inputs), (), resources, links
    )


def test_it_gives_what_the_original_gave() -> None:
    """The values of the inputs are arrays or tensors."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None])
        fetches = [tf.nn.softmax(x), tf.reduce_sum(x)]
        values = np.array([1.0, 2.0, 3.0], "float32")
        with v1.Session() as session:
            expected = session.run(fetches, {x: values})
    made = program(graph, fetches, inputs=[x])

    for given in (values, tf.constant(values)):
        for found, wanted in zip(made([given]), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_twin_is_the_variable_of_the_model() -> None:
    """A write of the program is there at once."""
    weight = tf.Variable(1.0)
    graph = HookGraph([LiveVariable("w", weight)])
    with graph.as_default():
        (twin,) = [v for v in v1.global_variables() if v.op.name == "w"]
        write = twin.assign_add(2.0, read_value=False)
    program(graph, [], [write])([])

    assert float(weight) == 3.0


def test_the_initializer_of_a_twin_is_left_out() -> None:
    """The model has its value already."""
    weight = tf.Variable(1.0)
    graph = HookGraph([LiveVariable("w", weight)])
    with graph.as_default():
        init = v1.global_variables_initializer()
    program(graph, [], [init])([])

    assert float(weight) == 1.0


def test_a_dead_fetch_is_the_error_of_the_original() -> None:
    """A value of a branch that did not run is none."""
    with tf.Graph().as_default() as graph:
        chosen = v1.placeholder(tf.bool, [])
        _, inside = tf.raw_ops.Switch(data=tf.constant(-1.0), pred=chosen)
        with v1.Session() as session:
            with pytest.raises(tf.errors.InvalidArgumentError) as expected:
                session.run(inside, {chosen: False})
    made = program(graph, [inside], inputs=[chosen])

    assert float(made([True])[0]) == -1.0
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="does not have value"
    ):
        made([False])
    assert "does not have value" in str(expected.value)


def test_the_graph_of_the_function_can_be_read() -> None:
    """It has the operations that run."""
    with tf.Graph().as_default() as graph:
        total = tf.add(tf.constant(1.0), 2.0, name="total")
    nodes = {node.name for node in program(graph, [total]).graph_def.node}

    assert "total" in nodes
