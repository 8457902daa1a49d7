# SPDX-License-Identifier: Apache-2.0
"""Turns an error of a kernel into the error that a v1 session raised."""

from __future__ import annotations

import contextlib
import re

import tensorflow as tf

from final_ops_callback._session.function_def import NAME
from final_ops_callback._session.library import operation_of
from final_ops_callback._tf_private import interpolate_graph

# What the eager runtime adds about the function that holds the operation.
_OF_THE_FUNCTION = re.compile(
    r"^Graph execution error:\s+"
    r"|Detected at node \S+ defined at \(most recent call last\):\n"
    r"<stack traces unavailable>\n"
    rf"|\{{\{{function_node \w*{NAME}\w*\}}\}} ?"
    rf"| \[Op:\w*{NAME}\w*\]"
)
_NODE = re.compile(r"\{\{node ([^} ]+)\}\}")


def of_the_graph(
    error: tf.errors.OpError, graph: tf.Graph
) -> tf.errors.OpError:
    """Returns the error that a v1 session would have raised.

    Args:
        error: The error that the eager runtime raised.
        graph: The graph that the function was made from.

    Returns:
        An error of the same type. Its `op` is the operation in the graph, its
        `node_def` belongs to that operation, and its message says where the
        operation was built. `op` and `node_def` are `None` if the message does
        not name an operation of the graph.
    """
    message = _OF_THE_FUNCTION.sub("", error.message)
    operation = None
    named = _NODE.search(message)
    if named is not None:
        with contextlib.suppress(KeyError):  # it may be inside a function
            operation = operation_of(graph, named.group(1))
    node_def = None if operation is None else operation.node_def
    return type(error)(node_def, operation, interpolate_graph(message, graph))
