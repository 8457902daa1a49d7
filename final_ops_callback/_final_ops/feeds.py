# SPDX-License-Identifier: Apache-2.0
"""A feed dict, looked up by name or by symbolic tensor."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import GraphTensorError

_ROOT = "final_ops_feed_dict"


class Feeds:
    """The feed dict of the final ops, checked and sorted by kind of key.

    Args:
        feed_dict: Mapping or `None`. Keys are parameter names of callables,
            names of symbolic inputs, symbolic tensors (of Keras 3) or their
            `.ref()` (in Keras 2, whose tensors can't be hashed).

    Raises:
        FeedError: A key is none of these, or `feed_dict` is not a mapping.
        GraphTensorError: A value is a tensor of a v1 graph.
    """

    def __init__(self, feed_dict: Mapping[Any, Any] | None) -> None:
        self._by_name: dict[str, Any] = {}
        # Keys are ids; keeping the tensor keeps its id from being reused.
        self._by_tensor: dict[int, tuple[Any, Any]] = {}
        feed_dict = {} if feed_dict is None else feed_dict
        if not isinstance(feed_dict, Mapping):
            raise FeedError(
                f"a {type(feed_dict).__name__} is not a mapping of feeds",
                _ROOT,
                "Use a dict from names or symbolic inputs to their values.",
            )
        for key, value in feed_dict.items():
            if compat.is_graph_element(value):
                raise GraphTensorError(
                    f"{value.name!r} belongs to a graph and has no value to "
                    "feed",
                    f"{_ROOT}[{key!r}]",
                    "Feed an array or an eager tensor.",
                )
            # Symbolic tensors of Keras 2 are unhashable: their `.ref()` is
            # the key there. Those of Keras 3 have no `.ref()`.
            tensor = key.deref() if hasattr(key, "deref") else key
            if isinstance(tensor, str):
                self._by_name[tensor] = value
            elif compat.is_symbolic(tensor):
                self._by_tensor[id(tensor)] = tensor, value
            else:
                raise FeedError(
                    f"{tensor!r} is not a key that a feed can have",
                    _ROOT,
                    "Use the name of a parameter, the name of a symbolic Keras "
                    "input, or that input itself (in Keras 2 its `.ref()`).",
                )

    def has_name(self, name: str) -> bool:
        """Returns whether a parameter of this name is fed."""
        return name in self._by_name

    def by_name(self, name: str) -> Any:
        """Returns the value that is fed under a name."""
        return self._by_name[name]

    def has_tensor(self, tensor: Any) -> bool:
        """Returns whether a symbolic tensor is fed, directly or by name."""
        return self._is_key(tensor) or tensor.name in self._by_name

    def by_tensor(self, tensor: Any) -> Any:
        """Returns the value that is fed for a symbolic tensor."""
        if self._is_key(tensor):
            return self._by_tensor[id(tensor)][1]
        return self._by_name[tensor.name]

    def check(self, tensor: Any) -> None:
        """Checks the value that is fed for a symbolic tensor, before any run.

        Args:
            tensor: A symbolic Keras tensor that is fed.

        Raises:
            FeedError: The fed object has no value, or it can't be converted
                to the dtype and shape of the tensor.
        """
        where = f"{_ROOT}[{tensor.name!r}]"
        value = self.by_tensor(tensor)
        if compat.is_symbolic(value):
            raise FeedError(
                f"the symbolic tensor {value.name!r} has no value to feed",
                where,
                "Feed a batch: an array.",
            )
        try:
            shape = symbolic.as_fed(value, tensor).shape
        except Exception as error:
            raise FeedError(
                f"a {type(value).__name__} does not convert to "
                f"{getattr(tensor.dtype, 'name', tensor.dtype)} ({error})",
                where,
                "Feed an array of that dtype.",
            ) from error
        if not _fits(shape, tensor.shape):
            raise FeedError(
                f"a value of shape {tuple(shape)} does not fit into "
                f"{tuple(tensor.shape)}",
                where,
                "Feed a batch of that shape.",
            )

    def without(self, used: Iterable[Any]) -> list[str]:
        """Returns the names of the feeds that nothing uses."""
        used = list(used)
        names = {key for key in used if isinstance(key, str)}
        tensors = {id(key): key for key in used if not isinstance(key, str)}
        names |= {t.name for t in tensors.values() if not self._is_key(t)}
        unused = [name for name in self._by_name if name not in names]
        return unused + [
            key.name
            for identity, (key, _) in self._by_tensor.items()
            if identity not in tensors
        ]

    def _is_key(self, tensor: Any) -> bool:
        return id(tensor) in self._by_tensor


def _fits(shape: Any, of_input: Any) -> bool:
    # The rules are those of calling a model: the batch may have any size, and
    # a last axis of size 1 may be missing or superfluous.
    shape, wanted = tf.TensorShape(shape), tf.TensorShape(of_input)
    if wanted.rank:
        wanted = tf.TensorShape([None]).concatenate(wanted[1:])
    candidates = [shape, shape.concatenate(1)]
    if shape.rank and shape[-1] == 1:
        candidates.append(shape[:-1])
    return any(wanted.is_compatible_with(one) for one in candidates)
