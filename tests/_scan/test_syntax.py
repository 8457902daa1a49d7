# SPDX-License-Identifier: Apache-2.0
"""Single expressions of a tree."""

from typing import Any

import pytest

from final_ops_callback._scan import syntax
from final_ops_callback._scan.grammar import parse


def expression(text: str) -> Any:
    """The node of an expression."""
    return parse(f"{text}\n").tree.children[0].children[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a", "a"),
        ("a.b.c", "a.b.c"),
        ("(a.b)", "a.b"),
        ("(a.b).c", "a.b.c"),
        ("a\\\n .b", "a.b"),
        ("await a.b", "a.b"),
        ("getattr(a.b, 'c')", "a.b.c"),
        ("getattr(a, 'b', None).c", "a.b.c"),
        ("__import__('a.b').c", "import:.a.c"),
        ("importlib.import_module('a.b').c", "import:.a.b.c"),
        ("a()", None),
        ("a[0].b", None),
        ("getattr(a, b)", None),
        ("getattr(a, 'not a name')", None),
        ("1", None),
        ("a + b", None),
    ],
)
def test_dotted_names(text: str, name: str | None) -> None:
    """A dotted name is known in each way to write it, and nothing else is."""
    found = syntax.dotted(expression(text))

    assert (found and ".".join(found)) == name


@pytest.mark.parametrize(
    "text",
    [
        "'a'",
        '"a" "b"',
        "('a')",
        "r'\\d'",
        "b'a'",
        "u'a'",
        "'''a\nb'''",
        "'\\x41'",
    ],
)
def test_strings(text: str) -> None:
    """A string literal has the value that Python gives it; bytes have none."""
    value = eval(text)

    found = syntax.string(expression(text))

    assert found == (value if isinstance(value, str) else None)


@pytest.mark.parametrize("text", ["f'{a}'", "a", "1", "('a', 'b')", "()"])
def test_no_strings(text: str) -> None:
    """What only a run knows is no string."""
    assert syntax.string(expression(text)) is None


def test_a_string_of_python_2() -> None:
    """A string with the prefix ur has its value."""
    assert syntax.string(expression("ur'a'")) == "a"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[a, b]", ["a", "b"]),
        ("(a, b,)", ["a", "b"]),
        ("{'x': a, 'y': b}", ["a", "b"]),
        ("{a, b}", ["a", "b"]),
        ("[a]", ["a"]),
        ("[]", []),
        ("(a)", None),
        ("[*a, b]", None),
        ("{**a, 'b': c}", None),
        ("[a for a in b]", None),
        ("a", None),
    ],
)
def test_elements(text: str, parts: list[str] | None) -> None:
    """A display gives its elements, if all of them are known."""
    found = syntax.elements(expression(text))

    assert (found and [n.get_code().strip() for n in found]) == (parts or found)
    assert (found is None) == (parts is None)


def test_leaves() -> None:
    """A nest of displays gives what stands in it."""
    found = syntax.leaves_of(expression("{'a': [b, (c, d)], 'e': f}"))

    assert [n.value for n in found or ()] == ["b", "c", "d", "f"]


def test_calls() -> None:
    """Each call of a chain is found, with its callee and arguments."""
    calls = list(syntax.calls_of(expression("a.b(1, c=2, *d)(**e)")))
    first, second = calls

    assert len(calls) == 2
    assert syntax.chain(first.callee) == ("a", "b")
    assert first.argument(5, "c").value == "2"
    assert first.argument(0, "x") is None  # behind a star, no place is sure
    assert [a.star for a in second.arguments] == ["**"]


def test_a_call_without_stars_has_places() -> None:
    """An argument is found by its place or by its name."""
    (call,) = syntax.calls_of(expression("f(a, k=b)"))

    assert call.argument(0, "x").value == "a"
    assert call.argument(1, "k").value == "b"
    assert call.argument(1, "x") is None


def test_code_in_one_line() -> None:
    """Line breaks and comments go, and what is too long is cut."""
    node = expression("f(\n    a,  # why\n    'b',\n    [c,\n     d],\n)")

    assert syntax.one_line(node) == "f(a, 'b', [c, d],)"
    assert syntax.one_line(node, 10) == "f(a, 'b..."


def test_code_with_something_else_in_it() -> None:
    """A node can be shown as another text."""
    node = expression("f(a.b, c)")
    inner = syntax.arguments_of(node.children[1])[0].value

    assert syntax.one_line(node, instead={id(inner): "x"}) == "f(x, c)"


def test_the_statement_around_a_node() -> None:
    """A comment goes above the statement that begins the line."""
    tree = parse("def f():\n    if a: b(c)\n    d\n").tree
    name = next(n for n in syntax.walk(tree) if getattr(n, "value", "") == "c")

    statement = syntax.statement_of(name)

    assert statement.start_pos == (2, 4)
    assert syntax.is_inside(name, statement)
    assert not syntax.is_inside(statement, name)


def test_each_target_of_an_assignment_has_its_value() -> None:
    """Both of `a = b = c`; another operator and an annotation assign not so."""
    tree = parse("a = b = c\nd, e = f, g\nh += i\nj: k = l\n").tree

    found = [
        (target.get_code().strip(), value.get_code().strip())
        for target, value in syntax.assignments(syntax.walk(tree))
    ]

    assert found == [("a", "c"), ("b", "c"), ("d, e", "f, g")]
