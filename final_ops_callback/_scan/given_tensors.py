# SPDX-License-Identifier: Apache-2.0
"""Knows what of a class of hooks was given to it: what it did not make."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from final_ops_callback._scan.body import Body
from final_ops_callback._scan.body import is_read
from final_ops_callback._scan.body import self_attribute
from final_ops_callback._scan.syntax import assignments
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import parts_of
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.syntax import words

_MAKERS = words(
    """
    placeholder placeholder_with_default get_variable Variable constant
    identity
    """
)


class GivenTensors:
    """The names in a class that stand for what its constructor was given.

    Args:
        body: The `Body` of the class.
        is_around: Function that says of a name that no method binds whether
            it may be a tensor of the code around the class.

    Attributes:
        own: Set of strings: the attributes that the class makes itself.
    """

    def __init__(
        self,
        body: Body,
        is_around: Callable[[str], bool],
        with_constructor: bool = True,
    ) -> None:
        self._is_around = is_around
        self._attributes: set[str] = set()
        self._locals = _parameters(body) if with_constructor else set()
        pairs = list(_assigned(body))
        self.own = {
            path[-1]
            for target, value in pairs
            if (path := dotted(target)) is not None
            and path[0] == "self"
            and _makes(value)
        }
        self._bound = {n for scope in body.scopes for n in scope.bindings}
        size = -1
        while size != len(self._attributes) + len(self._locals):
            size = len(self._attributes) + len(self._locals)
            for target, value in pairs:
                self._follow(target, value)

    def _follow(self, target: Any, value: Any) -> None:
        """Notes the target of an assignment if its value was given."""
        if _makes(value) or not self.reads(value):
            return
        for node in walk(target):
            attribute = self_attribute(node)
            if attribute is not None:
                self._attributes.add(attribute[1])
            elif _is_local(node):
                self._locals.add(node.value)

    def is_own(self, node: Any) -> bool:
        """Returns whether a node is an attribute that the class has made."""
        attribute = self_attribute(node)
        return attribute is not None and attribute[1] in self.own

    def reads(self, node: Any) -> bool:
        """Returns whether an expression has something that was given."""
        for inner in walk(node):
            if _attribute(inner) in self._attributes:
                return True
            if not _is_local(inner):
                continue
            if inner.value in self._locals:
                return True
            if inner.value not in self._bound and self._is_around(inner.value):
                return True
        return False

    def makes(self, node: Any) -> bool:
        """Returns whether an expression has something of the class's own."""
        return any(self.is_own(inner) for inner in walk(node))


def _attribute(node: Any) -> str:
    """Returns the first attribute of `self` in a chain, or `""`."""
    if node.type not in ("atom_expr", "power"):
        return ""
    first, trailer = node.children[:2]
    if getattr(first, "value", "") != "self" or trailer.type != "trailer":
        return ""
    is_name = trailer.children[0].value == "."
    return str(trailer.children[1].value) if is_name else ""


def _is_local(node: Any) -> bool:
    return bool(node.type == "name" and node.value != "self" and is_read(node))


def _parameters(body: Body) -> set[str]:
    """Returns the parameters of the constructor, without `self`."""
    for scope in body.scopes:
        if scope.name == "__init__":
            found = [
                name
                for name, bindings in scope.bindings.items()
                if bindings[0].kind == "param"
            ]
            return set(found[1:])
    return set()


def _assigned(body: Body) -> Iterator[tuple[Any, Any]]:
    """Yields the targets of the assignments in a class, with their values."""
    for target, value in assignments(body.nodes):
        targets, values = parts_of(target), parts_of(value)
        if len(targets) == len(values):
            yield from zip(targets, values, strict=True)
        else:
            yield target, value


def _makes(node: Any) -> bool:
    """Returns whether an expression makes a tensor that can be fed."""
    calls = [call for inner in walk(node) for call in calls_of(inner)]
    return any((chain(call.callee) or ("",))[-1] in _MAKERS for call in calls)
