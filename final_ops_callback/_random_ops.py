# SPDX-License-Identifier: Apache-2.0
"""Finds random operations whose state is in their kernels."""

from __future__ import annotations

from typing import Any


def draws(definition: Any) -> bool:
    """Returns whether a graph has random operations that keep their own state.

    The state is in the kernel: the same operation in another function starts
    over. Only these operations have an attribute `seed`; those of
    `tf.random.stateless_uniform` or `tf.random.Generator` have an input.

    Args:
        definition: A `GraphDef` with the functions that it calls.

    Example:
    >>> import tensorflow as tf
    >>> with tf.Graph().as_default() as graph:
    ...     _ = tf.random.uniform([])
    >>> draws(graph.as_graph_def())
    True
    """
    called = (function.node_def for function in definition.library.function)
    bodies = [definition.node, *called]
    return any("seed" in node.attr for body in bodies for node in body)
