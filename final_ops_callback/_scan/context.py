# SPDX-License-Identifier: Apache-2.0
"""What the judges share: the resolver, the gone names, how to say a place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from final_ops_callback._scan.factories import Factories
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.gone import GoneNames
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.tree import Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What the judges of one scan share.

    Args:
        tree: The `Tree`.
        resolver: The `Resolver` of the tree.
        gone: The `GoneNames` of the tree.
        factories: The `Factories` of the tree.
        place: Function from a path and a line of the text to how to say it.
    """

    tree: Tree
    resolver: Resolver
    gone: GoneNames
    factories: Factories
    place: Callable[[str, int], str]

    def code(
        self, facts: Facts, node: Any, instead: dict[int, str] | None = None
    ) -> str:
        """Returns code in one line, with the names that TensorFlow 2 has."""
        return one_line(node, 120, self._spelled(facts) | (instead or {}))

    def call_code(
        self,
        facts: Facts,
        call: Call,
        callee: str | None = None,
        instead: dict[int, str] | None = None,
    ) -> str:
        """Returns a call in one line, with another callee if one is given."""
        spelled = self._spelled(facts) | (instead or {})
        if callee is None:
            callee = "".join(one_line(n, 200, spelled) for n in call.callee)
        return callee + one_line(call.trailer, 160, spelled)

    def _spelled(self, facts: Facts) -> dict[int, str]:
        spelled: dict[int, str] = {}
        for use in self.gone.of(facts).uses:
            if use.edit is not None:
                first, *rest = use.use.nodes
                spelled[id(first)] = use.spelling
                spelled.update({id(node): "" for node in rest})
        return spelled

    def edit_at(self, facts: Facts, start: tuple[int, int]) -> Edit | None:
        """Returns the edit of the gone name that begins at a place."""
        for use in self.gone.of(facts).uses:
            if use.use.nodes[0].start_pos == start:
                return use.edit
        return None


def import_of(path: tuple[str, ...]) -> str:
    """Returns the statement that imports a name."""
    return f"from {'.'.join(path[:-1])} import {path[-1]}"


def is_gone(name: Known) -> str:
    """Returns the reason for a hook name that TensorFlow 2 has not."""
    back = ""
    if name.path[:2] in (("tensorflow", "train"), ("tensorflow", "estimator")):
        back = " (final_ops_callback.v1_names.install() puts it back)"
    return f"TensorFlow 2 has no {name.label}{back}"
