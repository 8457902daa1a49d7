# SPDX-License-Identifier: Apache-2.0
"""What outlives a run of a session: variables, tables, iterators."""

import pytest
import tensorflow as tf

from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.resources import Resources
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import UnsupportedOpError

v1 = tf.compat.v1


def test_two_sessions_have_variables_of_their_own() -> None:
    """A write in one is not seen in the other."""
    with tf.Graph().as_default():
        variable = v1.get_variable("v", [], use_resource=True)
        write = variable.assign(5.0)
        first, second = EagerSession(), EagerSession()
        for session in (first, second):
            session.run(variable.initializer, {variable.initial_value: 1.0})
        first.run(write)

        assert (first.run(variable), second.run(variable)) == (5.0, 1.0)


def test_a_handle_is_that_of_the_live_variable() -> None:
    """Only a twin has one that is given."""
    weight = tf.Variable(1.0)
    graph = HookGraph([LiveVariable("w", weight)])
    resources = Resources(graph, graph.links)
    twin = graph.get_operation_by_name("w")
    step = graph.get_operation_by_name("global_step")

    assert resources.handle(twin) is weight.handle
    assert resources.handle(step) is None


def test_what_was_made_is_freed() -> None:
    """After it, the variable is not there any more."""
    with tf.Graph().as_default():
        variable = v1.get_variable("v", [], use_resource=True)
        is_there = v1.is_variable_initialized(variable)
        session = EagerSession()
        session.run(variable.initializer)
        assert session.run(is_there)
        session._resources.free()
        assert not session.run(is_there)
        session._resources.free()  # of nothing, it is no error
        session.close()


def test_a_node_is_put_into_the_container_of_the_session() -> None:
    """Two sessions have different ones; a plain operation has none."""
    with tf.Graph().as_default() as graph:
        variable = v1.get_variable("v", [], use_resource=True)
        constant = tf.constant(1.0)
    containers = set()
    for _ in range(2):
        resources = Resources(graph, ModelLinks())
        node = variable.handle.op.node_def
        resources.claim(variable.handle.op, node)
        containers.add(node.attr["container"].s)
        plain = constant.op.node_def
        resources.claim(constant.op, plain)
        assert plain == constant.op.node_def
        assert node.attr["shared_name"].s == b"v"

    assert len(containers) == 2


def test_replicas_are_gathered_and_spread() -> None:
    """What reads is gathered, what writes is spread; a plain one neither."""
    parts = tf.Variable(1.0), tf.Variable(1.0)
    graph = HookGraph(
        [
            LiveVariable("several", parts[0], components=parts),
            LiveVariable("plain", tf.Variable(1.0)),
        ]
    )
    resources = Resources(graph, graph.links)
    with graph.as_default():
        several, plain = (
            next(v for v in v1.global_variables() if v.op.name == name)
            for name in ("several", "plain")
        )
        read = several.read_value().op.inputs[0].op
        write = several.assign(2.0, read_value=False)
        other = plain.assign(2.0, read_value=False)

    def named(operations: list[tf.Operation]) -> list[list[str]]:
        found = resources.replicated(graph, operations)
        return [[live.name for live in some] for some in found]

    assert named([read]) == [["several"], []]
    assert named([write]) == [["several"], ["several"]]
    assert named([other]) == [[], []]


def test_a_read_only_variable_is_not_written() -> None:
    """The program that would is not made."""
    graph = HookGraph(
        [LiveVariable("w", tf.Variable(1.0), why_read_only=("it is so", ""))]
    )
    resources = Resources(graph, graph.links)
    with graph.as_default():
        write = v1.global_variables()[0].assign(2.0, read_value=False)
    with pytest.raises(UnsupportedOpError, match="'w' can't be written"):
        resources.replicated(graph, [write])
