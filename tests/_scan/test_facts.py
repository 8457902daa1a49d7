# SPDX-License-Identifier: Apache-2.0
"""What is taken out of a file."""

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.grammar import parse


def facts(text: str) -> Facts:
    return facts_of("a.py", parse(text))


def kinds(found: Facts) -> dict[str, list[str]]:
    return {
        name: [binding.kind for binding in bindings]
        for name, bindings in found.module.bindings.items()
    }


def test_what_names_stand_for() -> None:
    """Each way to bind a name is known."""
    found = facts(
        "import a, b.c, d as e\n"
        "from f import (g, h as i,)\n"
        "from . import j\n"
        "k, l = a.b, 3\n"
        "m: int = e\n"
        "(n) = o = g\n"
        "for p, (q, r) in s: pass\n"
        "with t() as u, v as w: pass\n"
        "def x(): pass\n"
        "class Y: pass\n"
        "if (z := g): pass\n"
    )

    assert kinds(found) == {
        **{name: ["import"] for name in "abegij"},
        **{name: ["alias"] for name in "kmnoz"},
        **{name: ["value"] for name in "lpqruw"},
        "x": ["function"],
        "Y": ["class"],
    }


def test_relative_imports_have_a_level() -> None:
    """The dots before a module are counted, an ellipsis as three."""
    found = facts("from ...a import b\nfrom . import c\nfrom d import *\n")

    assert [(i.level, i.module, i.name) for i in found.imports] == [
        (3, ("a",), "b"),
        (1, (), "c"),
        (0, ("d",), "*"),
    ]
    assert len(found.module.stars) == 1


def test_classes_have_bases_without_keywords() -> None:
    """The bases of a class are nodes; a metaclass is none of them."""
    found = facts("class A(b.C, D, metaclass=E):\n    class F: pass\n")

    assert [(c.name, len(c.bases)) for c in found.classes] == [
        ("A", 2),
        ("F", 0),
    ]


def test_when_code_runs() -> None:
    """Each use knows whether the import of the file fails with it."""
    found = facts(
        "a.one\n"
        "def f(x=a.two):\n    a.three\n"
        "class A(a.four):\n    b = a.five\n"
        "try:\n    a.six\nexcept ImportError:\n    a.seven\n"
        "try:\n    a.eight\nexcept ValueError: pass\n"
        "try:\n    a.nine\nfinally: pass\n"
        "if __name__ == '__main__':\n    a.ten\n"
        "if a.VERSION > 1:\n    a.eleven\n"
        "lambda: a.twelve\n"
    )
    modes: dict[str, list[str]] = {}
    for use in found.uses:
        modes.setdefault(use.mode, []).append(use.path[1])

    assert modes == {
        "import": ["one", "two", "four", "five", "nine"],
        "later": ["three", "eight", "ten", "twelve"],
        "tried": ["six", "seven", "VERSION", "eleven"],
    }


def test_the_longest_name_is_a_use() -> None:
    """A use is the whole dotted name, up to a call."""
    found = facts("a.b.c(d.e)[0].f\ngetattr(g.h, 'i').j\n")

    assert [use.path for use in found.uses] == [
        ("a", "b", "c"),
        ("d", "e"),
        ("g", "h", "i", "j"),
        ("g", "h"),
    ]
    assert len(found.calls) == 2
