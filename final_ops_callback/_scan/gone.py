# SPDX-License-Identifier: Apache-2.0
"""Finds the names of a file that TensorFlow 2 has not, and how it dies of them.

A file that dies when it is imported takes its hooks with it, and so does a
file that it imports.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Import
from final_ops_callback._scan.facts import Use
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.known import exists
from final_ops_callback._scan.known import known
from final_ops_callback._scan.known import label
from final_ops_callback._scan.known import replacement
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.tree import Tree
from final_ops_callback._scan.v1_only import CHANGED

# Modules of Python 2, and where they are now.
_MODULES_OF_2 = {
    "ConfigParser": "configparser",
    "Queue": "queue",
    "StringIO": "io",
    "cPickle": "pickle",
    "cStringIO": "io",
    "__builtin__": "builtins",
    "commands": "subprocess",
    "urllib2": "urllib.request",
    "urlparse": "urllib.parse",
}


@dataclasses.dataclass(frozen=True, slots=True)
class GoneUse:
    """A dotted name that is used, and that TensorFlow 2 has not.

    Args:
        use: The `Use`.
        path: The dotted name from the root package on.
        new: The name that there is instead, or `()`.
        spelling: String. How to write it there, or the whole new name.
        edit: The `Edit` that does it, or `None` if it is not safe.
    """

    use: Use
    path: Dotted
    new: Dotted
    spelling: str
    edit: Edit | None

    @property
    def line(self) -> int:
        """The line of the name."""
        return self.use.nodes[0].start_pos[0]


@dataclasses.dataclass(frozen=True, slots=True)
class GoneImport:
    """An import of a module or name that TensorFlow 2 has not.

    Args:
        fact: The `Import`.
        path: The dotted name from the root package on.
        new: The name that there is instead, or `()`.
        write: String. The statement to write, or `""`.
        edit: The `Edit` that does it, or `None` if it is not safe.
    """

    fact: Import
    path: Dotted
    new: Dotted
    write: str
    edit: Edit | None

    @property
    def line(self) -> int:
        """The line of the import."""
        return self.fact.name_node.start_pos[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Trouble:
    """Why a file can't be imported.

    Args:
        path: String. The file, which may be one that is imported.
        line: Integer. The line, counted from 1.
        why: String. What stands there.
        write: String. The line to write.
    """

    path: str
    line: int
    why: str
    write: str


@dataclasses.dataclass(slots=True)
class Gone:
    """What of a file is gone.

    Args:
        uses: List of `GoneUse`.
        imports: List of `GoneImport`.
        changed: List of `GoneUse`: names that mean something else now.
    """

    uses: list[GoneUse] = dataclasses.field(default_factory=list)
    imports: list[GoneImport] = dataclasses.field(default_factory=list)
    changed: list[GoneUse] = dataclasses.field(default_factory=list)


class GoneNames:
    """Looks for gone names, once in each file.

    Args:
        tree: The `Tree`.
        resolver: The `Resolver` of the tree.
    """

    def __init__(self, tree: Tree, resolver: Resolver) -> None:
        self._tree = tree
        self._resolver = resolver
        self._gone: dict[str, Gone] = {}
        self._troubles: dict[str, list[Trouble]] = {}

    def of(self, facts: Facts) -> Gone:
        """Returns what of a file is gone."""
        if facts.path not in self._gone:
            gone = Gone()
            for use in facts.uses:
                self._look_at_use(use, gone)
            for fact in facts.imports:
                self._look_at_import(facts, fact, gone)
            self._gone[facts.path] = gone
        return self._gone[facts.path]

    def _look_at_use(self, use: Use, gone: Gone) -> None:
        if use.mode == "tried":
            return
        path = self._resolver.external(use.scope, use.path)
        if not path or path[0] not in ("tensorflow", "tensorflow_estimator"):
            return
        if path[:1] == ("tensorflow",) and path[1:] in CHANGED:
            new = ("tensorflow", "compat", "v1", *path[1:])
            gone.changed.append(self._gone_use(use, path, new))
        elif not exists(path):
            gone.uses.append(self._gone_use(use, path, replacement(path)))

    def _gone_use(self, use: Use, path: Dotted, new: Dotted) -> GoneUse:
        root = self._resolver.external(use.scope, use.path[:1])
        first, last = use.nodes[0], use.nodes[-1]
        spelling, edit = label(new), None
        is_plain = all(
            node.type == "trailer" and node.children[0].value == "."
            for node in use.nodes[1:]
        )
        if new and root and is_plain and new[: len(root)] == root:
            spelling = ".".join([first.value, *new[len(root) :]])
            edit = Edit(first.start_pos, last.end_pos, spelling)
        elif new and is_plain and new[0] == "final_ops_callback":
            edit = Edit(first.start_pos, last.end_pos, spelling)
        return GoneUse(use, path, new, spelling, edit)

    def _look_at_import(self, facts: Facts, fact: Import, gone: Gone) -> None:
        if fact.level or not fact.module:
            return
        if self._tree.find(facts.path, fact.module, 0) is not None:
            return
        path = fact.module
        if fact.name and fact.name != "*":
            path = (*path, fact.name)
        if path[0] not in ("tensorflow", "tensorflow_estimator"):
            return
        if exists(path) or fact.mode == "tried":
            return
        if fact.mode != "import" and _has_alternative(facts, fact):
            return
        new = replacement(path)
        gone.imports.append(
            GoneImport(fact, path, new, *_new_import(fact, new))
        )

    def troubles(self, facts: Facts) -> list[Trouble]:
        """Returns why a file, or one that it imports, can't be imported."""
        return self._troubles_of(facts, frozenset())

    def _troubles_of(
        self, facts: Facts, above: frozenset[str]
    ) -> list[Trouble]:
        if facts.path in self._troubles:
            return self._troubles[facts.path]
        if facts.path in above:
            return []
        found = self._own_troubles(facts)
        for fact in facts.imports:
            if fact.mode == "import":
                found += self._imported_troubles(
                    facts, fact, above | {facts.path}
                )
        if not above:
            self._troubles[facts.path] = found
        return found

    def _own_troubles(self, facts: Facts) -> list[Trouble]:
        path, parsed = facts.path, facts.parsed
        found = [
            Trouble(path, line, why, "mend the syntax")
            for line, why in parsed.errors
        ]
        if parsed.dialect != "3":
            why = "only Python 2 can parse it"
            found.append(Trouble(path, parsed.first_2, why, f"2to3 -w {path}"))
        gone = self.of(facts)
        found += [
            Trouble(path, one.line, _is_gone(one.path), one.write)
            for one in gone.imports
            if one.fact.mode == "import"
        ]
        found += [
            Trouble(path, use.line, _is_gone(use.path), use.spelling)
            for use in gone.uses
            if use.use.mode == "import"
        ]
        found += self._switches(facts)
        found += [
            Trouble(
                path,
                fact.node.start_pos[0],
                f"{fact.module[0]} is a module of Python 2",
                f"import {_MODULES_OF_2[fact.module[0]]}",
            )
            for fact in facts.imports
            if fact.mode == "import"
            and not fact.level
            and fact.module[0] in _MODULES_OF_2
            and self._tree.find(path, fact.module, 0) is None
        ]
        return found

    def _switches(self, facts: Facts) -> list[Trouble]:
        found = []
        for use in facts.uses:
            path = self._resolver.external(use.scope, use.path)
            what = known(path) if path else None
            if (
                use.mode == "import"
                and what is not None
                and what.kind == "switch"
            ):
                why = (
                    f"{what.label}() turns eager execution off, and Keras "
                    "can't train without it"
                )
                line = use.nodes[0].start_pos[0]
                found.append(Trouble(facts.path, line, why, "(leave it out)"))
        return found

    def _imported_troubles(
        self, facts: Facts, fact: Import, above: frozenset[str]
    ) -> list[Trouble]:
        names = (fact.name,) if fact.name not in ("", "*") else ()
        place = self._tree.find(facts.path, (*fact.module, *names), fact.level)
        if place is None or place[0] == facts.path:
            return []
        other = self._tree.facts(place[0])
        return [] if other is None else self._troubles_of(other, above)


def _has_alternative(facts: Facts, fact: Import) -> bool:
    """Returns whether another statement binds the same name, too."""
    node = fact.name_node
    if node.parent.type in ("import_as_name", "dotted_as_name"):
        node = node.parent.children[-1]
    name = node.get_first_leaf().value
    return len(facts.module.bindings.get(name, ())) > 1


def _is_gone(path: Dotted) -> str:
    return f"TensorFlow 2 has no {label(path)}"


def _new_import(fact: Import, new: Dotted) -> tuple[str, Edit | None]:
    """Returns the statement to write, and its edit if that is safe."""
    if (fact.module, fact.name) == (("tensorflow",), "estimator"):
        node = fact.node.children[1]
        edit = Edit(node.start_pos, node.end_pos, "final_ops_callback")
        return "import final_ops_callback.estimator as estimator", edit
    if not new or not fact.name:
        return "", None
    module = ".".join(new[:-1])
    write = f"from {module} import {new[-1]}"
    nodes = [n for n in fact.node.children if n.type in ("name", "dotted_name")]
    if not nodes or new[-1] != fact.name or fact.name == "*":
        return write, None
    first = nodes[0]
    return write, Edit(first.start_pos, first.end_pos, module)


def shared_edits(imports: list[GoneImport]) -> list[Edit]:
    """Returns the edits of the imports whose whole statement can be edited.

    A statement that takes several names is edited only if all of them are
    gone and are in one module now.
    """
    by_statement: dict[int, list[GoneImport]] = {}
    for one in imports:
        by_statement.setdefault(id(one.fact.node), []).append(one)
    found = []
    for group in by_statement.values():
        edits = {one.edit for one in group}
        names = _count_of_names(group[0].fact.node)
        edit = group[0].edit
        if len(edits) == 1 and edit is not None and len(group) == names:
            found.append(edit)
    return found


def _count_of_names(node: Any) -> int:
    items = [n for n in node.children if n.type == "import_as_names"]
    if not items:
        return 1
    return sum(getattr(n, "value", "") != "," for n in items[0].children)
