# SPDX-License-Identifier: Apache-2.0
"""Saves and restores the attributes of hooks that run in nested runs.

Under v1, each session had its own hooks. Here the same hook objects may run in
a fit and in the validation inside it: each run builds a graph, and the hooks
keep its tensors in their attributes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from final_ops_callback._tf_private import HookTimer

# The objects in which stock hooks and similar hooks keep the state of a run.
_HELPERS = (
    HookTimer,
    tf.compat.v1.train.SessionRunHook,
)


class HookAttributes:
    """A snapshot of the attributes of some hooks.

    Args:
        hooks: Iterable of hooks. Those without a `__dict__` are ignored.
    """

    def __init__(self, hooks: Iterable[Any]) -> None:
        self._of: dict[int, tuple[Any, dict[str, Any]]] = {}
        waiting = list(hooks)
        while waiting:
            owner = waiting.pop()
            if id(owner) in self._of or not hasattr(owner, "__dict__"):
                continue
            self._of[id(owner)] = owner, dict(vars(owner))
            waiting += [
                value
                for value in _parts(list(vars(owner).values()))
                if isinstance(value, _HELPERS)
            ]

    def put_back(self) -> None:
        """Restores all attributes, and removes those that were added."""
        for owner, attributes in self._of.values():
            vars(owner).clear()
            vars(owner).update(attributes)

    def return_to(self, began: HookAttributes) -> None:
        """Restores the state of the outer run when the inner run ends.

        Attributes that the outer run changed since it began (its tensors, its
        counters) are restored. Attributes that it did not change may hold a
        result of the inner run, which stays.

        Args:
            began: The attributes of the hooks when the outer run began.
        """
        for identity, (owner, attributes) in self._of.items():
            _, first = began._of.get(identity, (owner, {}))
            inner = vars(owner)
            if _is_stock(owner):
                inner.clear()
                inner.update(attributes)
                continue
            kept = {
                name: value
                for name, value in inner.items()
                if not _is_changed(name, attributes, first)
                and not _holds_graph(value)
            }
            inner.clear()
            inner.update(attributes | kept)
            # The next run inside the outer one begins with these, too.
            first.update(kept)


def _is_stock(owner: Any) -> bool:
    """Returns whether an object is a stock hook or helper without results."""
    kind = type(owner)
    return (
        kind.__module__.startswith("tensorflow.")
        and kind is not tf.compat.v1.train.FinalOpsHook
    )


def _is_changed(
    name: str, attributes: dict[str, Any], first: dict[str, Any]
) -> bool:
    missing = object()
    return attributes.get(name, missing) is not first.get(name, missing)


def _holds_graph(value: Any) -> bool:
    return any(
        isinstance(part, tf.Tensor | tf.Operation | tf.Variable)
        and not hasattr(part, "numpy")
        for part in _parts([value])
    )


def _parts(values: list[Any]) -> list[Any]:
    """Returns the values, and the values inside lists, tuples and dicts."""
    found: list[Any] = []
    seen: set[int] = set()
    while values:
        value = values.pop()
        found.append(value)
        if isinstance(value, list | tuple | dict) and id(value) not in seen:
            seen.add(id(value))
            inner = value.values() if isinstance(value, dict) else value
            values += list(inner)
    return found
