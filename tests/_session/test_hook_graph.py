# SPDX-License-Identifier: Apache-2.0
"""The graph in which hooks build."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._names import step_specs_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.hook_graph import graph_name
from final_ops_callback._session.hook_graph import unique_names
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import UnknownNameError

v1 = tf.compat.v1


def graph_with(**specs: Any) -> HookGraph:
    """Returns a graph with two weights, a metric and step tensors."""
    live = [
        LiveVariable("w", tf.Variable(1.0)),
        LiveVariable("frozen", tf.Variable(1.0), is_trained=False),
        LiveVariable("total", tf.Variable(0.0), "metric"),
    ]
    tensors = {name: tf.TensorSpec(shape) for name, shape in specs.items()}
    return HookGraph(live, step_specs_of(tensors))


def test_twins_are_in_the_collections_of_v1() -> None:
    """Weights and the step are saved, metrics are local."""
    with graph_with().as_default():
        saved = {v.op.name for v in v1.global_variables()}
        trained = {v.op.name for v in v1.trainable_variables()}
        local = {v.op.name for v in v1.local_variables()}

    assert saved == {"w", "frozen", "global_step"}
    assert trained == {"w"}
    assert local == {"total"}


def test_a_step_tensor_is_made_when_it_is_looked_for() -> None:
    """It has the shape that was declared, and takes no name of a hook."""
    graph = graph_with(loss=[])
    assert graph.links.step_tensors == {}
    tensor = graph.get_tensor_by_name("loss:0")

    assert graph.links.step_tensors == {"loss": tensor}
    assert graph.get_tensor_by_name("loss:0") is tensor
    with graph.as_default():
        assert tf.constant(1.0, name="loss").op.name == "loss"


def test_a_name_that_is_nothing_is_told_with_similar_ones() -> None:
    """It is a KeyError, as in v1."""
    graph = graph_with(accuracy=[])
    with pytest.raises(UnknownNameError, match=r"Did you mean 'accuracy'"):
        graph.get_tensor_by_name("acuracy:0")
    with pytest.raises(KeyError, match="nothing"):
        graph.get_operation_by_name("nothing")


def test_the_gradient_of_a_step_tensor_is_refused() -> None:
    """It would be None, or zero, without a word."""
    graph = graph_with(loss=[])
    loss = graph.get_tensor_by_name("loss:0")
    with graph.as_default():
        with pytest.raises(
            HookUsageError, match=r"gradient of 'loss'|gradient of a step"
        ):
            v1.gradients(loss, v1.trainable_variables())


def test_a_namesake_of_a_hook_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The name means the step; a feed by it would be ambiguous."""
    graph = graph_with(loss=[])
    with graph.as_default():
        tf.constant(1.0, name="loss")
    found = graph.as_graph_element("loss:0")

    assert found is graph.links.step_tensors["loss"]
    assert "A hook made an operation of the same name" in caplog.text
    with pytest.raises(HookUsageError, match="Feed the tensor itself"):
        graph.existing_element("loss:0")


def test_a_replaced_variable_is_the_one_that_is_read() -> None:
    """A twin can stand for another variable later."""
    graph, other = graph_with(), tf.Variable(8.0)
    graph.replace_live("w", other)

    assert graph.links.twins["w"].handle is other.handle


def test_an_initializer_that_was_replaced_is_known() -> None:
    """That is how init_from_checkpoint loads a value."""
    graph = graph_with()
    assert graph.replaced_initializers == []
    with graph.as_default():
        (twin,) = [v for v in v1.global_variables() if v.op.name == "w"]
        twin._initializer_op = twin.assign(5.0, read_value=False)

    assert graph.replaced_initializers == [twin.initializer]


@pytest.mark.parametrize(
    "path", ["a", "a b", "ü", "/x", "_x", "a:0", "", "-", "a\\b", "a>b"]
)
def test_any_path_becomes_a_name(path: str) -> None:
    """The original takes the name for an operation."""
    name = graph_name(path)
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name=f"{name}/")

    assert [op.name for op in graph.get_operations()] == [name]


def test_names_are_told_apart_as_in_a_graph() -> None:
    """Also those that differ in what is not allowed, or in case."""
    names = unique_names(["a b", "a:b", "A_b", "c"])

    assert len({name.lower() for name in names}) == 4
    assert (names[0], names[3]) == ("a_b", "c")
