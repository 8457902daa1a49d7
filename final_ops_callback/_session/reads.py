# SPDX-License-Identifier: Apache-2.0
"""Reads live variables without running the graph."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.writes import source
from final_ops_callback._session.writes import written_handles
from final_ops_callback._tf_private import GLOBAL_STEP_READ_KEY


def plain_read(
    graph: tf.Graph, links: ModelLinks, tensor: tf.Tensor
) -> LiveVariable | None:
    """Returns the live variable of which a tensor is only the value.

    Args:
        graph: The graph.
        links: The `ModelLinks` of the graph.
        tensor: A tensor that does not depend on a step tensor.

    Returns:
        The live variable, or `None` if the tensor is not simply its value.
    """
    op = tensor.op
    if op.type == "ReadVariableOp" and not op.control_inputs:
        return links.twins.get(op.inputs[0].op.name)
    if tensor in graph.get_collection(GLOBAL_STEP_READ_KEY):
        # The stock hooks fetch this tensor: the step (if it is initialized, as
        # a twin always is) plus 0.
        step = tf.compat.v1.train.get_global_step(graph)
        return links.twins.get(step.op.name)
    return None


def shadows(
    graph: tf.Graph, links: ModelLinks, dependent: Collection[tf.Operation]
) -> dict[str, tuple[LiveVariable, tf.Variable]]:
    """Makes copies of the variables that operations read after the step.

    An operation that depends on the step and reads a variable by its handle
    (in a branch of a conditional, for example) would see the updated value. It
    reads a copy from before the step instead, unless these operations write
    the variable.
    """
    twins = links.twins
    read: dict[str, LiveVariable] = {}
    written = written_handles(graph, dependent)
    for op in dependent:
        handles = [t for t in op.inputs if t.dtype == tf.resource]
        names = {source(handle).name for handle in handles} & twins.keys()
        read |= {name: twins[name] for name in names}
    with eager_mode():
        return {
            name: (
                live,
                tf.Variable(
                    live.read(), trainable=False, shape=live.variable.shape
                ),
            )
            for name, live in read.items()
            if name not in written
        }


def readable(graph: tf.Graph, tensor: tf.Tensor) -> tf.Tensor:
    """Returns the value tensor of a variable's handle; else the tensor."""
    if tensor.dtype != tf.resource or tensor.op.type != "VarHandleOp":
        return tensor
    # In v1 the name of a variable was the name of its value.
    keys = tf.compat.v1.GraphKeys
    for key in (keys.GLOBAL_VARIABLES, keys.LOCAL_VARIABLES):
        for variable in graph.get_collection(key):
            if getattr(variable, "handle", None) is tensor:
                return graph.as_graph_element(variable)
    return tensor
