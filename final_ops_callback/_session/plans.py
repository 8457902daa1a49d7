# SPDX-License-Identifier: Apache-2.0
"""The plans of one session, each made once."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.resources import Resources

# A script that fetches something else each time would keep all of them.
_MOST = 512


class Plans:
    """Finds the plan of fetches and feeds, or makes it.

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
        """Returns the plan of a structure of fetches with some feeds.

        Args:
            fetches: The structure, as `Session.run` takes it.
            feeds: List of the tensors that are fed, sorted by name.
        """
        leaves: list[Any] = []
        key = structure_key(fetches, leaves), tuple(t.name for t in feeds)
        found = self._made.get(key)  # nearly always: no lock for it
        if found is None:
            found = self._add(key, fetches, feeds, leaves)
        return found[0]

    def clear(self) -> None:
        """Lets all plans go."""
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
                # With the leaves, which the key needs alive: the container
                # that they came in may get others.
                self._made[key] = plan, leaves
            return self._made[key]


def structure_key(fetches: Any, leaves: list[Any]) -> Any:
    """Returns a key under which a plan for the same fetches is found.

    Args:
        fetches: A structure of fetches.
        leaves: List. The leaves are appended to it. The key tells them apart
            by identity, so it holds only as long as they are kept alive.

    Returns:
        A hashable value, equal for structures of the same containers and the
        same leaves (strings are the same by value).
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
