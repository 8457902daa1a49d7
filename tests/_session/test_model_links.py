# SPDX-License-Identifier: Apache-2.0
"""A graph may have links to a live model."""

import importlib

import pytest
import tensorflow as tf

from final_ops_callback import EagerSession
from final_ops_callback._names import step_specs_of
from final_ops_callback._session import hook_graph
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.model_links import is_linked
from final_ops_callback._session.model_links import links_of
from final_ops_callback.errors import HookUsageError


def test_a_plain_graph_knows_nothing() -> None:
    """A v1 graph that nobody tied to a model has no twins."""
    graph = tf.Graph()

    assert not is_linked(graph)
    assert links_of(graph) == ModelLinks()


def test_a_hook_graph_is_found_from_the_graph_alone() -> None:
    """A session that a hook makes of its default graph has the twins, too."""
    graph = HookGraph([LiveVariable("weight", tf.Variable(3.0))])

    with graph.as_default(), EagerSession() as session:
        assert session.run("weight:0") == 3.0

    assert is_linked(graph)
    assert links_of(graph) is graph.links
    assert list(graph.links.twins) == ["weight"]


def test_the_links_are_not_exported() -> None:
    """A meta graph, as each checkpoint has one, contains no links."""
    graph = HookGraph([LiveVariable("weight", tf.Variable(3.0))])

    with graph.as_default():
        exported = tf.compat.v1.train.export_meta_graph()

    assert set(exported.collection_def) == {
        "global_step",
        "trainable_variables",
        "variables",
    }


def test_the_module_of_the_hook_graph_can_be_reloaded() -> None:
    """The gradient that it registers is there already, and still refuses."""
    before = dict(vars(hook_graph))
    try:
        graph = importlib.reload(hook_graph).HookGraph(
            [LiveVariable("weight", tf.Variable(3.0))],
            step_specs_of({"loss": tf.TensorSpec([], tf.float32)}),
        )
    finally:
        vars(hook_graph).update(before)

    with graph.as_default(), pytest.raises(HookUsageError, match="not known"):
        tf.gradients(
            graph.get_tensor_by_name("loss:0"),
            tf.compat.v1.trainable_variables(),
        )
