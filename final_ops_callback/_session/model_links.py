# SPDX-License-Identifier: Apache-2.0
"""Links a graph to a live model: its twins and its step tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback._names import StepSpecs
from final_ops_callback._session.live_variable import LiveVariable

# TensorFlow does not list or export a collection whose key is a tuple.
_KEY = ("final_ops_callback", "model_links")


@dataclasses.dataclass
class ModelLinks:
    """What a graph knows of a live model and of the steps that train it.

    For a plain v1 graph, everything is empty.

    Attributes:
        twins: Dict from the name of a twin's handle operation to its
            `LiveVariable`.
        twin_initializers: Set of the names of the initializers of twins.
        step_tensors: Dict from the name of a step tensor to the tensor that
            stands for it. It has only the names that were asked for.
        step_inputs: Dict from the name of a tensor to the `LiveVariable`
            that is set for one step when the tensor is fed.
        step_specs: What the training step delivers by name.
        find_fed: Function that finds the element that a feed names, called
            as `tf.Graph.as_graph_element`. `None`: that method of the graph.
    """

    twins: dict[str, LiveVariable] = dataclasses.field(default_factory=dict)
    twin_initializers: set[str] = dataclasses.field(default_factory=set)
    step_tensors: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    step_inputs: dict[str, LiveVariable] = dataclasses.field(
        default_factory=dict
    )
    step_specs: StepSpecs = dataclasses.field(default_factory=StepSpecs)
    find_fed: Callable[..., Any] | None = None


def link(graph: tf.Graph, links: ModelLinks) -> None:
    """Attaches its links to a graph, for `links_of`."""
    graph.add_to_collection(_KEY, links)


def is_linked(graph: tf.Graph) -> bool:
    """Returns whether a graph is linked to a model, as a hook graph is."""
    return bool(graph.get_collection(_KEY))


def links_of(graph: tf.Graph) -> ModelLinks:
    """Returns the links of a graph, which are empty for a plain graph."""
    found = graph.get_collection(_KEY)
    return found[0] if found else ModelLinks()
