# SPDX-License-Identifier: Apache-2.0
"""A feed dict, looked up by name or by symbolic tensor."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from final_ops_callback import _stack
from final_ops_callback.errors import FeedError


class Feeds:
    """What the user feeds to the final ops.

    Args:
        feed_dict: Mapping or `None`. Keys are parameter names of callables,
            names of symbolic inputs, symbolic tensors or their `.ref()`.

    Raises:
        FeedError: A key is none of these, or it is no mapping.
    """

    def __init__(self, feed_dict: Mapping[Any, Any] | None) -> None:
        self._by_name: dict[str, Any] = {}
        self._by_tensor: list[tuple[Any, Any]] = []
        feed_dict = {} if feed_dict is None else feed_dict
        if not isinstance(feed_dict, Mapping):
            raise FeedError(
                f"a {type(feed_dict).__name__} is no mapping of feeds",
                "final_ops_feed_dict",
                "Use a dict from names or symbolic inputs to their values.",
            )
        for key, value in feed_dict.items():
            # Symbolic tensors of Keras 2 are unhashable: their `.ref()` is
            # the key there.
            tensor = key.deref() if hasattr(key, "deref") else key
            if isinstance(tensor, str):
                self._by_name[tensor] = value
            elif _stack.is_symbolic(tensor):
                self._by_tensor.append((tensor, value))
            else:
                raise FeedError(
                    f"{tensor!r} is no key that a feed can have",
                    "final_ops_feed_dict",
                    "Use the name of a parameter, a symbolic Keras input, its "
                    "`.ref()` or its name.",
                )

    def names(self) -> list[str]:
        """Returns the key of each feed as a string."""
        return [*self._by_name, *(tensor.name for tensor, _ in self._by_tensor)]

    def has_name(self, name: str) -> bool:
        """Says whether a parameter of this name is fed."""
        return name in self._by_name

    def by_name(self, name: str) -> Any:
        """Returns what is fed under a name."""
        return self._by_name[name]

    def has_tensor(self, tensor: Any) -> bool:
        """Says whether a symbolic tensor is fed, by itself or by its name."""
        return self._is_key(tensor) or tensor.name in self._by_name

    def by_tensor(self, tensor: Any) -> Any:
        """Returns what is fed for a symbolic tensor."""
        for key, value in self._by_tensor:
            if key is tensor:
                return value
        return self._by_name[tensor.name]

    def without(self, used: Iterable[Any]) -> list[str]:
        """Returns the keys of the feeds that are not among the used ones."""
        used = list(used)
        names = [key for key in used if isinstance(key, str)]
        tensors = [key for key in used if not isinstance(key, str)]
        names += [t.name for t in tensors if not self._is_key(t)]
        unused = [name for name in self._by_name if name not in names]
        for key, _ in self._by_tensor:
            if not any(key is tensor for tensor in tensors):
                unused.append(key.name)
        return unused

    def _is_key(self, tensor: Any) -> bool:
        return any(key is tensor for key, _ in self._by_tensor)
