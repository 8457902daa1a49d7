# SPDX-License-Identifier: Apache-2.0
"""Says what a dotted name means, through aliases, imports and other files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any
from typing import Literal

from final_ops_callback._scan.facts import Binding
from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.known import ROOTS
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.known import exists
from final_ops_callback._scan.known import known
from final_ops_callback._scan.known import replacement
from final_ops_callback._scan.syntax import IMPORTED
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.tree import Tree


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a name may mean.

    Args:
        kind: `"external"`: the dotted name `path` of another package;
            `"class"`: the `ClassFact` in `target`; `"function"`: its `Scope`;
            `"module"`: the `Facts`; `"param"` and `"value"`: a value that only
            a run knows.
        path: The dotted name, or what follows a value.
        target: See `kind`.
        scope: The scope in which a value is bound.
        node: The node of a value, if there is one.
    """

    kind: Literal["external", "class", "function", "module", "param", "value"]
    path: Dotted = ()
    target: Any = None
    scope: Scope | None = None
    node: Any = None


_Seen = frozenset[tuple[int, Dotted]]


class Resolver:
    """Looks names up in the scopes and files of a tree.

    Args:
        tree: The `Tree`.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._cache: dict[tuple[int, Dotted], tuple[Target, ...]] = {}
        self._descents: dict[int, Descent | None] = {}

    def resolve(self, scope: Scope, path: Dotted) -> tuple[Target, ...]:
        """Returns all that a dotted name may mean in a scope.

        It is more than one thing if several statements bind the name, such as
        those of an import that is tried in two ways.
        """
        key = (id(scope), path)
        if key not in self._cache:
            found = self._resolve(scope, path, frozenset())
            self._cache[key] = tuple(dict.fromkeys(found))
        return self._cache[key]

    def _resolve(self, scope: Scope, path: Dotted, seen: _Seen) -> list[Target]:
        if path[0] == IMPORTED:
            return self._imported(scope.facts, path[1:], 0, seen)
        around: Scope | None = scope
        while around is not None:
            # The names of a class are not those of its methods.
            if around is scope or around.kind != "class":
                if path[0] in around.bindings:
                    return self._bound(around, path, seen)
                found = self._from_stars(around, path, seen)
                if found:
                    return found
            around = around.parent
        return _as_usual(path)

    def _bound(self, scope: Scope, path: Dotted, seen: _Seen) -> list[Target]:
        found = []
        for binding in scope.bindings[path[0]]:
            step = (id(binding), path)
            if step not in seen and len(seen) < 50:
                found += self._behind(binding, scope, path[1:], seen | {step})
        return found

    def _behind(
        self, binding: Binding, scope: Scope, rest: Dotted, seen: _Seen
    ) -> list[Target]:
        if binding.kind == "import":
            path = (*binding.path, *rest)
            return self._imported(scope.facts, path, binding.level, seen)
        if binding.kind == "alias":
            return self._resolve(scope, (*binding.path, *rest), seen)
        if binding.kind == "class":
            if not rest:
                return [Target("class", target=binding.target)]
            if rest[0] in binding.target.body.bindings:
                return self._bound(binding.target.body, rest, seen)
            return []
        if binding.kind == "function":
            if rest:
                return []
            return [Target("function", target=binding.target)]
        found = []
        for node in _alternatives(binding.node):
            path_of_value = dotted(node)
            if path_of_value is not None:
                found += self._resolve(scope, (*path_of_value, *rest), seen)
        kind: Literal["param", "value"] = (
            "param" if binding.kind == "param" else "value"
        )
        if kind == "param" and _is_usual(scope, binding):
            found += _as_usual(("tf", *rest))
        return found or [Target(kind, rest, scope=scope, node=binding.node)]

    def _imported(
        self, facts: Facts, path: Dotted, level: int, seen: _Seen
    ) -> list[Target]:
        place = self._tree.find(facts.path, path, level)
        if place is None:
            return [] if level else [Target("external", path)]
        other = self._tree.facts(place[0])
        if other is None:
            return []
        if not place[1]:
            return [Target("module", target=other)]
        return self._resolve(other.module, place[1], seen)

    def _from_stars(
        self, scope: Scope, path: Dotted, seen: _Seen
    ) -> list[Target]:
        found = []
        for star in scope.stars:
            step = (id(star), path)
            if step in seen or len(seen) >= 50:
                continue
            full = (*star.module, *path)
            place = self._tree.find(scope.facts.path, star.module, star.level)
            if place is not None:
                found += self._imported(
                    scope.facts, full, star.level, seen | {step}
                )
            elif star.module and star.module[0] in ROOTS and _is_name(full):
                found.append(Target("external", full))
        return found

    def external(self, scope: Scope, path: Dotted) -> Dotted:
        """Returns the dotted name of another package that a name means.

        If there are several, one that TensorFlow 2.21 has is preferred: the
        others are for older versions. Empty if there is none.
        """
        found = [
            target.path
            for target in self.resolve(scope, path)
            if target.kind == "external" and target.path
        ]
        return next(filter(exists, found), found[0] if found else ())

    def known(self, scope: Scope, path: Dotted) -> Known | None:
        """Returns what a name of TensorFlow 1 is, or `None`."""
        found = self.external(scope, path)
        return known(found) if found else None

    def classes(self, scope: Scope, path: Dotted) -> list[ClassFact]:
        """Returns the classes of the tree that a name may mean."""
        return [
            target.target
            for target in self.resolve(scope, path)
            if target.kind == "class"
        ]

    def descent(self, fact: ClassFact) -> Descent | None:
        """Returns how a class descends from a hook; `None` if it does not."""
        return self._descent(fact, frozenset())

    def _descent(
        self, fact: ClassFact, above: frozenset[int]
    ) -> Descent | None:
        key = id(fact)
        if key in self._descents:
            return self._descents[key]
        if key in above:  # a class that is its own base
            return None
        found = None
        for node in _base_nodes(fact.bases):
            for scope, path in self._named(fact.scope, node):
                found = found or self._through(
                    fact, scope, node, path, above | {key}
                )
        if not above:
            self._descents[key] = found
        return found

    def _named(self, scope: Scope, node: Any) -> Iterable[tuple[Scope, Dotted]]:
        """Yields the names of a base, and those that a function returns."""
        path = dotted(node)
        if path is not None:
            yield scope, path
            return
        for call in calls_of(node):
            for target in self.resolve(scope, chain(call.callee) or ("",)):
                if target.kind != "function":
                    continue
                for inner in walk(target.target.node):
                    if inner.type == "return_stmt":
                        path = dotted(inner.children[1])
                        if path is not None:
                            yield target.target, path

    def _through(
        self,
        fact: ClassFact,
        scope: Scope,
        node: Any,
        path: Dotted,
        above: frozenset[int],
    ) -> Descent | None:
        base = self.known(scope, path)
        if base is not None:
            return Descent(base, node, None) if base.kind == "hook" else None
        for parent in self.classes(scope, path):
            if parent is fact:
                continue
            further = self._descent(parent, above)
            if further is not None:
                return Descent(further.root, node, parent)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class Descent:
    """How a class descends from a hook.

    Args:
        root: The `Known` hook of TensorFlow.
        node: The node of the base through which it descends.
        parent: The `ClassFact` of that base, or `None` if it is `root`.
    """

    root: Known
    node: Any
    parent: ClassFact | None


def _as_usual(path: Dotted) -> list[Target]:
    """Returns what a name means that nothing binds: `tf` is TensorFlow.

    It may come from an import of everything, or from a cell of a notebook
    that is not there any more.
    """
    if path[0] != "tf":
        return []
    return [Target("external", ("tensorflow", *path[1:]))]


def _is_usual(scope: Scope, binding: Binding) -> bool:
    """Returns whether a binding is that of a parameter called `tf`."""
    return binding in scope.bindings.get("tf", ())


def _is_name(path: Dotted) -> bool:
    """Returns whether an import of everything is known to bring a name."""
    return known(path) is not None or bool(replacement(path))


def _base_nodes(nodes: Iterable[Any]) -> Iterable[Any]:
    """Yields the bases; those of `six.with_metaclass(M, B)`, too."""
    for node in nodes:
        calls = list(calls_of(node))
        if calls and dotted(node) is None:
            yield from (argument.value for argument in calls[-1].arguments)
            yield node
        else:
            yield from _alternatives(node)


def _alternatives(node: Any) -> list[Any]:
    """Returns what a conditional expression may be."""
    if node is None:
        return []
    if node.type in ("test", "ternary") and len(node.children) == 5:
        return [node.children[0], *_alternatives(node.children[4])]
    if node.type in ("or_test", "and_test"):
        return list(node.children[::2])
    return [node]
