# SPDX-License-Identifier: Apache-2.0
"""Reads single expressions of a tree: dotted names, calls, strings."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

Dotted = tuple[str, ...]


def words(text: str) -> frozenset[str]:
    """Returns the words of a text, for tables of names."""
    return frozenset(text.split())


# Stands before a name that an expression imports, as import_module does.
IMPORTED = "import:"
_IMPORTERS = (
    ("importlib", "import_module"),
    ("import_module",),
    ("__import__",),
)
_CHAINS = ("atom_expr", "power")


class Argument(NamedTuple):
    """An argument of a call: its stars, its keyword, its value."""

    star: str
    keyword: str
    value: Any


class Call(NamedTuple):
    """A call, as it stands in a tree.

    Args:
        node: The whole expression of which the call is a part.
        callee: List of nodes: what stands before the parentheses.
        trailer: The node with the parentheses.
        arguments: Tuple of `Argument`.
    """

    node: Any
    callee: list[Any]
    trailer: Any
    arguments: tuple[Argument, ...]

    def argument(self, position: int, keyword: str) -> Any:
        """Returns the value of an argument, or `None` if it is not there."""
        for argument in self.arguments:
            if keyword and argument.keyword == keyword:
                return argument.value
        plain = [a.value for a in self.arguments if not a.keyword]
        stars = [a for a in self.arguments if a.star]
        if 0 <= position < len(plain) and not stars:
            return plain[position]
        return None

    @property
    def start(self) -> tuple[int, int]:
        """The line and the column at which the callee begins."""
        return self.callee[0].start_pos

    @property
    def end(self) -> tuple[int, int]:
        """The line and the column at which the parentheses end."""
        return self.trailer.end_pos


def dotted(node: Any) -> Dotted | None:
    """Returns the parts of a dotted name; `None` if a node is none.

    `getattr(tf.train, "Saver")` and `importlib.import_module("tensorflow")`
    count as dotted names, because old code has them.
    """
    if node.type == "name":
        return (node.value,)
    if node.type == "atom" and len(node.children) == 3:
        is_paren = node.children[0].value == "("
        return dotted(node.children[1]) if is_paren else None
    if node.type in _CHAINS:
        return chain(links(node))
    return None


def links(node: Any) -> list[Any]:
    """Returns the atom and the trailers of a chain, without its `await`."""
    nodes: list[Any] = node.children
    return nodes[1:] if getattr(nodes[0], "value", "") == "await" else nodes


def chain(nodes: list[Any]) -> Dotted | None:
    """Returns the dotted name that a list of an atom and trailers is."""
    parts = dotted(nodes[0])
    for trailer in nodes[1:]:
        if parts is None or trailer.type != "trailer":
            return None
        mark = trailer.children[0].value
        if mark == ".":
            parts = (*parts, trailer.children[1].value)
        elif mark == "(":
            parts = _looked_up(parts, arguments_of(trailer))
        else:
            return None
    return parts


def _looked_up(callee: Dotted, given: tuple[Argument, ...]) -> Dotted | None:
    if callee == ("getattr",) and len(given) >= 2:
        owner, name = dotted(given[0].value), string(given[1].value)
        if owner is not None and name is not None and name.isidentifier():
            return (*owner, name)
    if callee in _IMPORTERS and given:
        name = string(given[0].value)
        if name and callee == ("__import__",):
            name = name.partition(".")[0]
        if name:
            return (IMPORTED, *name.split("."))
    return None


def calls_of(node: Any) -> Iterator[Call]:
    """Yields the calls of a chain of trailers, from left to right."""
    if node.type not in _CHAINS:
        return
    nodes = links(node)
    for i, trailer in enumerate(nodes):
        if i and trailer.type == "trailer" and trailer.children[0].value == "(":
            yield Call(node, nodes[:i], trailer, arguments_of(trailer))


def last_name(call: Call) -> str:
    """Returns the last name of what is called, or `""`."""
    last = call.callee[-1]
    if last.type == "name":
        return str(last.value)
    if last.type == "trailer" and last.children[0].value == ".":
        return str(last.children[1].value)
    return ""


def arguments_of(trailer: Any) -> tuple[Argument, ...]:
    """Returns the arguments in the parentheses of a call."""
    inner = trailer.children[1:-1]
    if not inner:
        return ()
    nodes = inner[0].children if inner[0].type == "arglist" else inner
    return tuple(
        _argument(node) for node in nodes if getattr(node, "value", "") != ","
    )


def _argument(node: Any) -> Argument:
    if node.type != "argument":
        return Argument("", "", node)
    first, *rest = node.children
    if getattr(first, "value", "") in ("*", "**"):
        return Argument(first.value, "", rest[-1])
    is_keyword = first.type == "name" and len(rest) == 2
    if is_keyword and getattr(rest[0], "value", "") == "=":
        return Argument("", first.value, rest[1])
    return Argument("", "", node)  # a generator


def string(node: Any) -> str | None:
    """Returns the value of a string literal; `None` if a node is none."""
    if node.type == "atom" and len(node.children) == 3:
        if node.children[0].value != "(":
            return None
        return string(node.children[1])
    if node.type not in ("string", "strings"):
        return None
    leaves = [node] if node.type == "string" else node.children
    if any(leaf.type != "string" for leaf in leaves):
        return None
    values = [_literal(leaf.value) for leaf in leaves]
    return "".join(values) if all(isinstance(v, str) for v in values) else None


def _literal(text: str) -> Any:
    prefix = text[: min(text.find('"') % 9, text.find("'") % 9)].lower()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on escapes such as "\d"
        try:
            return ast.literal_eval(
                text[1:] if prefix.startswith("ur") else text
            )
        except (SyntaxError, ValueError):
            return None


def elements(node: Any) -> list[Any] | None:
    """Returns the elements of a list, tuple or dict display.

    Of a dict these are its values. `None` if the node is no display, or one
    with stars or a comprehension.
    """
    if node.type != "atom" or node.children[0].value not in ("(", "[", "{"):
        return None
    inner = node.children[1:-1]
    if not inner:
        return []
    if inner[0].type not in ("testlist_comp", "dictorsetmaker"):
        return None if node.children[0].value == "(" else [inner[0]]
    nodes = inner[0].children
    if any(
        n.type in ("comp_for", "sync_comp_for", "star_expr")
        or getattr(n, "value", "") == "**"
        for n in nodes
    ):
        return None
    if ":" not in [getattr(n, "value", "") for n in nodes]:
        return [n for n in nodes if getattr(n, "value", "") != ","]
    return [
        nodes[i + 1]
        for i, n in enumerate(nodes)
        if getattr(n, "value", "") == ":"
    ]


_TUPLES = ("testlist_star_expr", "testlist", "testlist_comp", "exprlist")


def assignments(nodes: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields each target of the assignments among nodes, with its value.

    Of `a = b = c`, both; an assignment with another operator is left out.
    """
    for node in nodes:
        if node.type != "expr_stmt" or len(node.children) < 3:
            continue
        if getattr(node.children[1], "value", "") == "=":
            for target in node.children[:-1:2]:
                yield target, node.children[-1]


def parts_of(node: Any) -> list[Any]:
    """Returns the parts of a target or value: of `a, b`, both; else itself."""
    if node.type in _TUPLES:
        return [n for n in node.children if getattr(n, "value", "") != ","]
    is_tuple = node.type == "atom" and node.children[0].value == "("
    return (elements(node) if is_tuple else None) or [node]


def leaves_of(node: Any) -> list[Any] | None:
    """Returns what stands in a nest of displays; `None` if not all is known."""
    inner = elements(node)
    if inner is None:
        return [node]
    found: list[Any] = []
    for element in inner:
        leaves = leaves_of(element)
        if leaves is None:
            return None
        found += leaves
    return found


def walk(node: Any) -> Iterator[Any]:
    """Yields a node and all nodes below it, without recursion."""
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(reversed(getattr(one, "children", ())))


def one_line(
    node: Any, most: int = 100, instead: Mapping[int, str] | None = None
) -> str:
    """Returns the code of a node in one line; `...` stands for a long end.

    Args:
        node: The node.
        most: Integer. How many characters there may be. Defaults to 100.
        instead: Mapping from the `id` of a node below it to the text that
            stands in its place. Defaults to `None`: none.
    """
    parts: list[str] = []
    for prefix, value in _pieces(node, instead or {}):
        inside = bool(parts) and parts[-1] not in ("(", "[", "{", "")
        if prefix and inside and value not in (")", "]", "}", ""):
            parts.append(" ")
        parts.append(" ".join(value.split("\n")))
    text = "".join(parts).replace(",]", "]")
    return text if len(text) <= most else text[: most - 3] + "..."


def _pieces(node: Any, instead: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Yields what stands before a leaf, and the leaf."""
    stack = [node]
    while stack:
        one = stack.pop()
        text = instead.get(id(one))
        if text is not None:
            yield one.get_first_leaf().prefix, text
        elif hasattr(one, "children"):
            stack.extend(reversed(one.children))
        else:
            yield one.prefix, one.value


def is_inside(inner: Any, outer: Any) -> bool:
    """Returns whether a node of a file stands in another one of that file."""
    return bool(
        outer.start_pos <= inner.start_pos and inner.end_pos <= outer.end_pos
    )


def statement_of(node: Any) -> Any:
    """Returns the statement around a node that begins its line."""
    while node.parent is not None and node.parent.type != "file_input":
        kind = node.parent.type
        if kind == "suite" and node.parent.children[0].type == "newline":
            break
        node = node.parent
    return node
