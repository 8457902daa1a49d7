# SPDX-License-Identifier: Apache-2.0
"""Checks the feeds of a session and converts them to arrays."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._tf_private import FEED_EXPANSIONS
from final_ops_callback.errors import FinalOpsCallbackError


def fed_arrays(
    graph: tf.Graph, links: ModelLinks, feed_dict: Mapping[Any, Any]
) -> dict[tf.Tensor, np.ndarray]:
    """Returns the value of each fed tensor as an array.

    Args:
        graph: The graph of the session.
        links: The `ModelLinks` of the graph.
        feed_dict: Mapping from a tensor (or its name) to a value.

    Raises:
        TypeError: A key is not a tensor of the graph, or a value has the wrong
            type.
        ValueError: A value does not fit the shape of its tensor.
    """
    return dict(_feeds(graph, links, feed_dict))


def _feeds(
    graph: tf.Graph, links: ModelLinks, feed_dict: Mapping[Any, Any]
) -> Iterator[tuple[tf.Tensor, Any]]:
    # Looking up a feed must not make a step tensor.
    find = links.find_fed or graph.as_graph_element
    for key, value in _flat_items(feed_dict):
        for part, part_value in _parts(key, value):
            try:
                tensor = find(part, allow_tensor=True, allow_operation=False)
            except FinalOpsCallbackError:
                raise
            except Exception as error:
                raise TypeError(
                    f"Cannot interpret feed_dict key as Tensor: {error.args[0]}"
                ) from error
            yield tensor, _fed_array(graph, tensor, part_value)


def _flat_items(feed_dict: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in feed_dict.items():
        if isinstance(key, list | tuple) and not hasattr(key, "graph"):
            tf.nest.assert_same_structure(key, value, check_types=False)
            yield from zip(
                tf.nest.flatten(key), tf.nest.flatten(value), strict=True
            )
        else:
            yield key, value


def _parts(key: Any, value: Any) -> Any:
    for kind, _, feed, _ in FEED_EXPANSIONS:
        if isinstance(key, kind) and feed is not None:
            return feed(key, value)
    raise TypeError(
        f"{key} in argument `feed_dict` has invalid type {type(key).__name__!r}"
    )


def _fed_array(graph: tf.Graph, tensor: tf.Tensor, value: Any) -> np.ndarray:
    if isinstance(value, tf.Tensor):
        raise TypeError(
            "The value of a feed cannot be a tf.Tensor object. Acceptable "
            "feed values include Python scalars, strings, lists and numpy "
            f"ndarrays. The tensor was {value}, fed to {tensor.name}."
        )
    dtype = tensor.dtype.as_numpy_dtype
    if isinstance(value, int) and np.asarray(value).astype(dtype) != value:
        raise TypeError(
            f"Type of feed value {value} with type {type(value)} is not "
            f"compatible with Tensor type {dtype}. Try explicitly setting the "
            "type of the feed tensor to a larger type (e.g. int64)."
        )
    array = np.asarray(value, dtype)
    if not tensor.shape.is_compatible_with(array.shape):
        raise ValueError(
            f"Cannot feed value of shape {array.shape} for Tensor "
            f"{tensor.name}, which has shape {tensor.shape}"
        )
    if not graph.is_feedable(tensor):
        raise ValueError(f"Tensor {tensor.name} may not be fed.")
    return array
