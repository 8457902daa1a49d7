# SPDX-License-Identifier: Apache-2.0
"""Takes the facts out of the tree of one file: scopes, classes, calls, uses.

Nothing is judged here. A fact keeps the scope it stands in, so that
`resolve` can say what its names mean, and whether it runs when the file is
imported and fails with it.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from typing import Literal

from final_ops_callback._scan.grammar import Parsed
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import links

# When code runs: as the file is imported, which then fails with it; as it is
# imported, where an error means that there is another way, such as that of an
# older TensorFlow; or later.
Mode = Literal["import", "tried", "later"]


@dataclasses.dataclass(eq=False, slots=True)
class Scope:
    """A module, a class or a function, with the names that it binds."""

    kind: Literal["module", "class", "function"]
    name: str
    node: Any
    parent: Scope | None
    facts: Facts
    bindings: dict[str, list[Binding]] = dataclasses.field(default_factory=dict)
    stars: list[Import] = dataclasses.field(default_factory=list)

    def bind(self, name: str, binding: Binding) -> None:
        """Notes that a name may stand for something."""
        self.bindings.setdefault(name, []).append(binding)


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """What a name stands for.

    Args:
        kind: `"import"`: the dotted name `path`, relative to `level`;
            `"alias"`: the dotted name `path` of the same scope; `"class"` and
            `"function"`: the `target`; `"param"`; or another `"value"`.
        node: The node of the value, if there is one.
    """

    kind: Literal["import", "alias", "class", "function", "param", "value"]
    path: Dotted = ()
    level: int = 0
    target: Any = None
    node: Any = None


@dataclasses.dataclass(eq=False, slots=True)
class ClassFact:
    """A class: its name, bases, the scope around it and that of its body."""

    name: str
    node: Any
    bases: tuple[Any, ...]
    scope: Scope
    body: Scope
    facts: Facts


@dataclasses.dataclass(frozen=True, slots=True)
class CallFact:
    """A call, and the scope in which it stands."""

    call: Call
    scope: Scope


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """A dotted name that is used: its nodes, its scope.

    `mode` says when it runs.
    """

    path: Dotted
    nodes: tuple[Any, ...]
    scope: Scope
    mode: Mode


@dataclasses.dataclass(frozen=True, slots=True)
class Import:
    """A statement that imports one module or one name.

    Args:
        node: The statement.
        module: The dotted name of the module.
        level: How many dots stand before it.
        name: The name taken from the module, `"*"`, or `""` for the module.
        name_node: The node of the name or the module.
        mode: When it runs.
    """

    node: Any
    module: Dotted
    level: int
    name: str
    name_node: Any
    mode: Mode


@dataclasses.dataclass(eq=False, slots=True)
class Facts:
    """All facts of one file."""

    path: str
    parsed: Parsed
    module: Scope = dataclasses.field(init=False)
    classes: list[ClassFact] = dataclasses.field(default_factory=list)
    calls: list[CallFact] = dataclasses.field(default_factory=list)
    uses: list[Use] = dataclasses.field(default_factory=list)
    imports: list[Import] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        tree = self.parsed.tree
        self.module = Scope("module", "", tree, None, self)


def facts_of(path: str, parsed: Parsed) -> Facts:
    """Returns the facts of a parsed file.

    Raises:
        RecursionError: The text is nested too deeply.
    """
    facts = Facts(path, parsed)
    _Reader(facts).read(parsed.tree, facts.module, "import")
    return facts


_NOT_AT_IMPORT = (
    '__name__=="__main__"',
    '"__main__"==__name__',
    "TYPE_CHECKING",
    "typing.TYPE_CHECKING",
)


class _Reader:
    """Goes through a tree once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._readers = {
            "classdef": self._class,
            "funcdef": self._function,
            "lambdef": self._lambda,
            "import_name": self._import,
            "import_from": self._import_from,
            "expr_stmt": self._assign,
            "namedexpr_test": self._assign,
            "for_stmt": self._for,
            "with_item": self._with,
            "try_stmt": self._try,
            "if_stmt": self._if,
            "atom_expr": self._chain,
            "power": self._chain,
        }

    def read(self, node: Any, scope: Scope, mode: Mode) -> None:
        reader = self._readers.get(node.type)
        if reader is not None:
            reader(node, scope, mode)
        elif hasattr(node, "children"):
            for child in node.children:
                if hasattr(child, "children"):
                    self.read(child, scope, mode)

    def _all(self, nodes: Any, scope: Scope, mode: Mode) -> None:
        for node in nodes:
            self.read(node, scope, mode)

    def _class(self, node: Any, scope: Scope, mode: Mode) -> None:
        body = Scope("class", node.name.value, node, scope, self._facts)
        arguments = node.get_super_arglist()
        bases: tuple[Any, ...] = ()
        if arguments is not None:
            self.read(arguments, scope, mode)
            nodes = [arguments]
            if arguments.type == "arglist":
                nodes = arguments.children
            bases = tuple(
                n
                for n in nodes
                if n.type != "argument" and getattr(n, "value", "") != ","
            )
        fact = ClassFact(node.name.value, node, bases, scope, body, self._facts)
        self._facts.classes.append(fact)
        scope.bind(fact.name, Binding("class", target=fact))
        self.read(node.children[-1], body, mode)

    def _function(self, node: Any, scope: Scope, mode: Mode) -> None:
        body = Scope("function", node.name.value, node, scope, self._facts)
        scope.bind(node.name.value, Binding("function", target=body))
        self._parameters(node, body)
        # Defaults and annotations run with the definition.
        self._all(node.children[2:-1], scope, mode)
        self.read(node.children[-1], body, "later")

    def _lambda(self, node: Any, scope: Scope, mode: Mode) -> None:
        body = Scope("function", "<lambda>", node, scope, self._facts)
        self._parameters(node, body)
        self._all(node.children[1:-2], scope, mode)
        self.read(node.children[-1], body, "later")

    def _parameters(self, node: Any, body: Scope) -> None:
        for parameter in node.get_params():
            for name in _names(parameter.children[0]) or _names(parameter):
                body.bind(name, Binding("param", node=parameter))

    def _import(self, node: Any, scope: Scope, mode: Mode) -> None:
        for item in _items(node.children[1], "dotted_as_names"):
            name_node, alias = item, None
            if item.type == "dotted_as_name":
                name_node, alias = item.children[0], item.children[2]
            path = _dotted_name(name_node)
            self._facts.imports.append(
                Import(node, path, 0, "", name_node, mode)
            )
            if alias is not None:
                scope.bind(alias.value, Binding("import", path, node=node))
            else:
                scope.bind(path[0], Binding("import", path[:1], node=node))

    def _import_from(self, node: Any, scope: Scope, mode: Mode) -> None:
        level = 0
        module: Dotted = ()
        for child in node.children[1:]:
            if child.type == "keyword":
                break
            if child.type == "operator":
                level += len(child.value)
            else:
                module = _dotted_name(child)
        for item in _imported_items(node):
            name_node, bound = item, item.value if item.type == "name" else ""
            if item.type == "import_as_name":
                name_node, bound = item.children[0], item.children[2].value
            name = name_node.value
            fact = Import(node, module, level, name, name_node, mode)
            self._facts.imports.append(fact)
            if name == "*":
                scope.stars.append(fact)
            else:
                path = (*module, name)
                scope.bind(bound, Binding("import", path, level, node=node))

    def _assign(self, node: Any, scope: Scope, mode: Mode) -> None:
        children = node.children
        self._all(children, scope, mode)
        marks = [getattr(child, "value", "") for child in children]
        if children[1].type == "annassign":
            inner = children[1].children
            value = inner[3] if len(inner) > 3 else None
            self._bind_target(children[0], value, scope)
        elif marks[1] in ("=", ":="):
            for target in children[:-1:2]:
                self._bind_target(target, children[-1], scope)

    def _bind_target(self, target: Any, value: Any, scope: Scope) -> None:
        if target.type == "atom" and target.children[1].type == "name":
            target = target.children[1]  # of parentheses
        if target.type != "name":
            for i, name in enumerate(_names(target)):
                part = _part(target, value, i)
                scope.bind(name, _binding(part))
            return
        scope.bind(target.value, _binding(value))

    def _for(self, node: Any, scope: Scope, mode: Mode) -> None:
        for name in _names(node.children[1]):
            scope.bind(name, Binding("value"))
        self._all(node.children, scope, mode)

    def _with(self, node: Any, scope: Scope, mode: Mode) -> None:
        for name in _names(node.children[-1]):
            scope.bind(name, Binding("value", node=node.children[0]))
        self.read(node.children[0], scope, mode)

    def _try(self, node: Any, scope: Scope, mode: Mode) -> None:
        inner = mode
        if mode == "import":
            clauses = [n for n in node.children if _catches(n)]
            code = " ".join(clause.get_code() for clause in clauses)
            if re.search(r"\b(Import|Attribute|ModuleNotFound)Error\b", code):
                inner = "tried"
            elif clauses:
                inner = "later"
        self._all(node.children, scope, inner)

    def _if(self, node: Any, scope: Scope, mode: Mode) -> None:
        condition = "".join(node.children[1].get_code().split())
        inner = mode
        if mode == "import":
            if condition.replace("'", '"') in _NOT_AT_IMPORT:
                inner = "later"
            elif "version" in condition.lower():
                inner = "tried"
        self._all(node.children, scope, inner)

    def _chain(self, node: Any, scope: Scope, mode: Mode) -> None:
        nodes = links(node)
        for call in calls_of(node):
            self._facts.calls.append(CallFact(call, scope))
        longest = _longest_name(nodes)
        if longest > 1:
            path = chain(nodes[:longest])
            if path is not None:
                self._facts.uses.append(
                    Use(path, tuple(nodes[:longest]), scope, mode)
                )
        self._all((n for n in nodes if hasattr(n, "children")), scope, mode)


def _longest_name(nodes: list[Any]) -> int:
    """Returns how many of the first nodes of a chain are a dotted name."""
    first = 1
    for i in (2, 3):  # behind getattr(...) and importlib.import_module(...)
        if len(nodes) >= i and _is_call(nodes[i - 1]):
            first = i if chain(nodes[:i]) is not None else 1
            break
    for i, node in enumerate(nodes[first:], start=first):
        if node.type != "trailer" or node.children[0].value != ".":
            return i
    return len(nodes)


def _catches(node: Any) -> bool:
    is_bare = getattr(node, "value", "") == "except"
    return is_bare or node.type == "except_clause"


def _is_call(node: Any) -> bool:
    return bool(node.type == "trailer" and node.children[0].value == "(")


def _items(node: Any, many: str) -> list[Any]:
    if node.type != many:
        return [node]
    return [n for n in node.children if getattr(n, "value", "") != ","]


def _imported_items(node: Any) -> list[Any]:
    """Returns the nodes of the names that a from-import takes."""
    marks = [getattr(child, "value", "") for child in node.children]
    rest = node.children[marks.index("import") + 1 :]
    inner = [n for n in rest if getattr(n, "value", "") not in ("(", ")")]
    return _items(inner[0], "import_as_names") if inner else []


def _dotted_name(node: Any) -> Dotted:
    if node.type == "name":
        return (node.value,)
    return tuple(n.value for n in node.children if n.type == "name")


def _names(node: Any) -> list[str]:
    """Returns the names that a target of an assignment binds."""
    if node.type == "name":
        return [node.value]
    if node.type in ("atom_expr", "power", "trailer", "subscriptlist"):
        return []
    found = []
    for child in getattr(node, "children", ()):
        found += _names(child)
    return found


def _part(target: Any, value: Any, index: int) -> Any:
    """Returns the part of a value that a part of its target gets."""
    kinds = ("testlist_star_expr", "testlist", "testlist_comp", "exprlist")
    if value is None or target.type not in kinds or value.type not in kinds:
        return None
    parts = [n for n in value.children if getattr(n, "value", "") != ","]
    return parts[index] if index < len(parts) else None


def _binding(value: Any) -> Binding:
    path = None if value is None else dotted(value)
    if path is not None:
        return Binding("alias", path, node=value)
    return Binding("value", node=value)
