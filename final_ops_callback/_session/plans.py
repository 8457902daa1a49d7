# SPDX-License-Identifier: Apache-2.0
"""Caches the plans of one session, so that each is made once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.resources import Resources

# Without a limit, a script whose fetches differ each time would keep them all.
_MOST = 512


class Plans:
    """Finds the plan of some fetches and feeds, or makes it.

    Args:
        graph: The graph.
        resources: The `Resources` of the session.
        links: The `ModelLinks` of the graph.
    """

    def __init__(
        self, graph: tf.Graph, resources: Resources, links: ModelLinks
    ) -> None:
        self._graph = graph
        self._resources = resources
        self._links = links
        self._made: dict[Any, tuple[Plan, list[Any]]] = {}
        self._lock = threading.RLock()

    def plan(self, fetches: Any, feeds: list[tf.Tensor]) -> Plan:
        """Returns the plan for a structure of fetches and some feeds.

        Args:
            fetches: The structure, as `Session.run` takes it.
            feeds: List of the tensors that are fed, sorted by name.
        """
        leaves: list[Any] = []
        key = structure_key(fetches, leaves), tuple(t.name for t in feeds)
        found = self._made.get(key)  # nearly always there, so no lock is taken
        if found is None:
            found = self._add(key, fetches, feeds, leaves)
        return found[0]

    def clear(self) -> None:
        """Discards all plans."""
        with self._lock:
            self._made.clear()

    def _add(
        self, key: Any, fetches: Any, feeds: list[tf.Tensor], leaves: list[Any]
    ) -> tuple[Plan, list[Any]]:
        with self._lock:
            if key not in self._made:
                while len(self._made) >= _MOST:
                    self._made.pop(next(iter(self._made)))
                with self._graph.as_default():
                    plan = Plan(
                        self._graph,
                        fetches,
                        feeds,
                        self._resources,
                        self._links,
                    )
                # The leaves are kept, because the key holds only while they
                # are alive, and their container may change.
                self._made[key] = plan, leaves
            return self._made[key]


def structure_key(fetches: Any, leaves: list[Any]) -> Any:
    """Returns the key under which the plan for some fetches is cached.

    Args:
        fetches: A structure of fetches.
        leaves: List to which the leaves are appended. The key identifies them
            by their ids, so it is valid only while they are alive.

    Returns:
        A hashable value. It is equal for structures with the same containers
        and the same leaves; strings are compared by value.
    """
    if isinstance(fetches, str):
        return fetches
    if isinstance(fetches, list | tuple):
        parts = [structure_key(part, leaves) for part in fetches]
        return type(fetches), tuple(parts)
    if isinstance(fetches, Mapping):
        parts = [structure_key(part, leaves) for part in fetches.values()]
        return type(fetches), tuple(fetches), tuple(parts)
    leaves.append(fetches)
    return id(fetches)
