# SPDX-License-Identifier: Apache-2.0
"""Knows which functions are called inside the hook graph.

`SessionRunHookCallback(make_hooks)` calls `make_hooks` there: what it makes
may have tensors, writers and savers, as in v1.
"""

from __future__ import annotations

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.known import OURS
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import last_name


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
