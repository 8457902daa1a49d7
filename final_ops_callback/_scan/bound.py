# SPDX-License-Identifier: Apache-2.0
"""Finds the values that a name is bound to, without judging which one it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.syntax import assignments
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import parts_of
from final_ops_callback._scan.syntax import walk


def values_of(scope: Scope, node: Any) -> Iterator[Any]:
    """Yields what is bound to a name, or to an attribute of `self`.

    Of a call whose result is taken apart it is the call.
    """
    path = dotted(node)
    around: Scope | None = scope
    while path is not None and around is not None:
        is_there = path[0] in around.bindings and around.kind != "class"
        if is_there or (path[0] == "self" and around.kind == "class"):
            yield from _bound(around, ".".join(path))
            return
        around = around.parent


def _bound(scope: Scope, name: str) -> Iterator[Any]:
    for target, value in assignments(walk(scope.node)):
        targets, values = parts_of(target), parts_of(value)
        for i, part in enumerate(targets):
            if "".join(part.get_code().split()) == name:
                is_same = len(values) == len(targets)
                yield values[i] if is_same else value
