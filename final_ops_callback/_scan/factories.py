# SPDX-License-Identifier: Apache-2.0
"""Knows which functions are called inside the hook graph.

`SessionRunHookCallback(make_hooks)` calls `make_hooks` there: what it makes
may have tensors, writers and savers, as in v1.
"""

from __future__ import annotations

from typing import Any

from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.known import OURS
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import walk


class Factories:
    """The functions that are given to what runs hooks under Keras.

    Args:
        resolver: The `Resolver` of the tree.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._nodes: set[int] = set()

    def add(self, facts: Facts) -> None:
        """Notes the functions that the calls of a file are given."""
        for fact in facts.calls:
            if last_name(fact.call) not in OURS:
                continue
            for argument in fact.call.arguments:
                self._nodes.add(id(argument.value))  # a lambda
                path = dotted(argument.value)
                if path is None:
                    continue
                for target in self._resolver.resolve(fact.scope, path):
                    if target.kind == "function":
                        self._nodes.add(id(target.target.node))

    def contain(self, scope: Scope) -> bool:
        """Returns whether code in a scope runs inside the hook graph."""
        around: Scope | None = scope
        while around is not None:
            if around.kind == "function" and id(around.node) in self._nodes:
                return True
            around = around.parent
        return False

    def fill(self, fact: ClassFact) -> bool:
        """Returns whether a class gets placeholders made in the hook graph.

        They are of the hook graph, and may be fed.
        """
        return any(
            last_name(one.call) == fact.name
            and self.contain(one.scope)
            and any(
                _placeholders(one.scope, a.value) for a in one.call.arguments
            )
            for one in fact.facts.calls
        )


def _placeholders(scope: Scope, node: Any) -> bool:
    """Returns whether an expression makes placeholders, or is their name."""
    return any(
        last_name(call).startswith("placeholder")
        for value in (node, *values_of(scope, node))
        for inner in walk(value)
        for call in calls_of(inner)
    )
