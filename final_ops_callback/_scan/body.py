# SPDX-License-Identifier: Apache-2.0
"""The body of a class of hooks: its nodes, calls and methods."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import walk

_SESSION = re.compile(r"sess(ion)?\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """The body of a class.

    Args:
        fact: The `ClassFact`.
        nodes: List of all nodes in it.
        calls: List of all calls in it.
        scopes: List of the scopes of its methods.
    """

    fact: ClassFact
    nodes: list[Any]
    calls: list[Call]
    scopes: list[Scope]

    @property
    def methods(self) -> dict[str, Any]:
        """The nodes of the methods by their names."""
        return {method.name: method.node for method in self.scopes}


def body_of(fact: ClassFact) -> Body:
    """Returns the body of a class."""
    nodes = list(walk(fact.node.children[-1]))
    calls = [call for node in nodes for call in calls_of(node)]
    scopes = [
        binding.target
        for bindings in fact.body.bindings.values()
        for binding in bindings
        if binding.kind == "function"
    ]
    return Body(fact, nodes, calls, scopes)


def is_session_run(call: Call) -> bool:
    """Returns whether a call runs a session, as `context.session.run(x)`."""
    last = call.callee[-1]
    if last.type != "trailer" or last.children[0].value != ".":
        return False
    if last.children[1].value != "run":
        return False
    owner = "".join(node.get_code() for node in call.callee[:-1])
    return _SESSION.search(owner) is not None


def self_attribute(node: Any) -> tuple[str, str] | None:
    """Returns `("self", name)` for `self.name`, and `None` for all else."""
    path = dotted(node) if node.type in ("atom_expr", "power") else None
    if path is not None and len(path) == 2 and path[0] == "self":
        return path[0], path[1]
    return None


def is_read(node: Any) -> bool:
    """Returns whether a name is not the name of an attribute or keyword."""
    parent = node.parent
    if parent.type == "trailer" and parent.children[0].value == ".":
        return False
    return not (parent.type == "argument" and parent.children[0] is node)
