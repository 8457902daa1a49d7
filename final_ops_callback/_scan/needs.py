# SPDX-License-Identifier: Apache-2.0
"""Reads the body of a hook class: what it asks of the graph and the session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.body import body_of
from final_ops_callback._scan.body import is_read
from final_ops_callback._scan.body import is_session_run
from final_ops_callback._scan.body import self_attribute
from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.feeds import add_feeds
from final_ops_callback._scan.old_calls import add_old_calls
from final_ops_callback._scan.old_calls import add_python_2
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import is_inside
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import walk

_LOOKUPS = (
    "get_tensor_by_name",
    "get_operation_by_name",
    "as_graph_element",
)


class Needs:
    """What the body of a hook class needs.

    Args:
        fact: The `ClassFact`.
        resolver: The `Resolver`.
        is_inside: Boolean. Whether the class is made in a function that runs
            in the hook graph. Defaults to `False`.
        may_feed: Boolean. Whether its constructor gets placeholders of the
            hook graph. Defaults to `False`.

    Attributes:
        tensors: List of strings: the parameters of the constructor that are
            fetched, which may be tensors or their names.
        parameters: List of strings: all parameters of the constructor.
    """

    def __init__(
        self,
        fact: ClassFact,
        resolver: Resolver,
        is_inside: bool = False,
        may_feed: bool = False,
    ) -> None:
        self._is_inside = is_inside
        self._may_feed = may_feed
        self._fact = fact
        self._resolver = resolver
        self._body = body_of(fact)
        self._calls = self._body.calls
        self._methods = self._body.methods
        self._fetches = list(self._fetch_nodes())
        self.parameters = _parameters(self._methods.get("__init__"))
        self.tensors = self._tensor_parameters()

    def add_to(self, reasons: Reasons) -> None:
        """Adds what the class needs to the reasons of its verdict."""
        if self.tensors:
            names = ", ".join(self.tensors)
            reasons.note(
                f"takes tensors in its constructor ({names}): give their "
                'names, such as "loss:0", or make it in a function that '
                "returns the hooks"
            )
        if not self._is_inside:
            self._add_closure(reasons)
        self._add_names(reasons)
        self._add_session(reasons)
        add_feeds(self._body, reasons, self._is_given_around, self._may_feed)
        add_old_calls(self._body, self._resolver, reasons)
        add_python_2(self._body, self._resolver, reasons)

    def _fetch_nodes(self) -> Iterator[Any]:
        """Yields what is asked of a session."""
        for call in self._calls:
            path = chain(call.callee) or ("",)
            if path[-1] == "SessionRunArgs" or is_session_run(call):
                value = call.argument(0, "fetches")
            else:
                continue
            if value is not None:
                yield value

    def _attributes_fetched(self) -> set[str]:
        return {
            path[1]
            for node in self._fetches
            for inner in walk(node)
            if (path := self_attribute(inner)) is not None
        }

    def _tensor_parameters(self) -> list[str]:
        init = self._methods.get("__init__")
        if init is None:
            return []
        fetched = self._attributes_fetched()
        assigned: dict[str, set[str]] = {}
        for node in walk(init):
            if node.type != "expr_stmt" or len(node.children) < 3:
                continue
            path = dotted(node.children[0])
            if path is None or len(path) != 2 or path[0] != "self":
                continue
            used = {
                n.value
                for n in walk(node.children[-1])
                if n.type == "name" and is_read(n)
            }
            assigned.setdefault(path[1], set()).update(used)
        names = {n for a in fetched for n in assigned.get(a, ())}
        return [p for p in self.parameters if p in names]

    def _add_closure(self, reasons: Reasons) -> None:
        """Adds the tensors that a class takes from around it."""
        for code, name in dict.fromkeys(
            found for node in self._fetches for found in _free_names(node)
        ):
            if not self._is_tensor_around(name):
                continue
            known = graph_names.guess(code) or "NAME:0"
            write = f'{name} = "{known}"'
            if code != name:
                write = f'return tf.compat.v1.train.SessionRunArgs("{known}")'
            reasons.add(
                "change",
                f"fetches {code} of the code around it, a tensor of the v1 "
                "graph",
                write,
            )

    def _is_tensor_around(self, name: str) -> bool:
        scope: Scope | None = self._fact.scope
        if name in self._fact.body.bindings:
            return False
        if any(name in method.bindings for method in self._body.scopes):
            return False
        while scope is not None:
            for binding in scope.bindings.get(name, ()):
                if binding.kind == "param":
                    return scope.kind == "function"
                if binding.kind == "value":
                    node = binding.node
                    return node is not None and _has_call(node)
                return False
            scope = scope.parent
        return False

    def _is_given_around(self, name: str) -> bool:
        return not self._is_inside and self._is_tensor_around(name)

    def _add_names(self, reasons: Reasons) -> None:
        """Adds the names that the class looks up in the graph."""
        own = {
            name
            for call in self._calls
            if (value := call.argument(-1, "name")) is not None
            and (name := string(value)) is not None
        }
        names = self._names()
        unknown = [
            name
            for name in names
            if not graph_names.is_there(name)
            and graph_names.operation(name) not in own
        ]
        if names and not unknown:
            reasons.note(f"looks up {', '.join(names)} in the graph")
        for name in unknown:
            reasons.add(
                "change",
                f"looks up {name!r}, which is there only if a layer or metric "
                "of the Keras model is called so",
                graph_names.renamed(name),
            )

    def _names(self) -> list[str]:
        found: list[str] = []
        places = list(self._fetches)
        for call in self._calls:
            if last_name(call) in _LOOKUPS and call.arguments:
                places.append(call.arguments[0].value)
        for place in places:
            for node in walk(place):
                name = string(node) if node.type == "string" else None
                if name and node.parent.type != "strings":
                    is_name = (
                        graph_names.looks_like_tensor(name) or node is place
                    )
                    if is_name and not _is_key(node) and name not in found:
                        found.append(name)
        return found

    def _add_session(self, reasons: Reasons) -> None:
        """Adds where a session is run, and of a step that has not run yet."""
        where = []
        for name, method in self._methods.items():
            calls = [
                call
                for call in self._calls
                if is_session_run(call) and is_inside(call.node, method)
            ]
            if calls and name not in where:
                where.append(name)
            if name != "before_run":
                continue
            for call in calls:
                value = call.argument(0, "fetches")
                text = None if value is None else string(value)
                if text and _belongs_to_step(text):
                    reasons.add(
                        "change",
                        f"runs {text!r} in before_run, before the step has "
                        "computed it",
                        f'return tf.compat.v1.train.SessionRunArgs("{text}")',
                    )
        if where:
            reasons.note(f"session.run in {', '.join(where)}")


def _parameters(init: Any) -> list[str]:
    if init is None:
        return []
    names = [
        parameter.name.value
        for parameter in init.get_params()
        if parameter.star_count == 0 and parameter.name.type == "name"
    ]
    return names[1:]


def _belongs_to_step(name: str) -> bool:
    first = graph_names.operation(name).partition("/")[0]
    return first in ("loss", "predictions", "gradients", "features", "labels")


def _free_names(node: Any) -> Iterator[tuple[str, str]]:
    """Yields the names in an expression, each with the dotted one it begins."""
    for inner in walk(node):
        if inner.type != "name" or not is_read(inner):
            continue
        if inner.value == "self":
            continue
        path = dotted(inner.parent)
        is_first = path is not None and inner.parent.children[0] is inner
        yield ".".join(path) if path and is_first else inner.value, inner.value


def _has_call(node: Any) -> bool:
    return any(True for inner in walk(node) for _ in calls_of(inner))


def _is_key(node: Any) -> bool:
    """Returns whether a string is a key of a dict."""
    parent = node.parent
    if parent.type == "trailer":
        return bool(parent.children[0].value == "[")
    if parent.type not in ("dictorsetmaker", "atom"):
        return False
    index = parent.children.index(node)
    after = parent.children[index + 1 : index + 2]
    return bool(after) and getattr(after[0], "value", "") == ":"
