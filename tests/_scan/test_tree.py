# SPDX-License-Identifier: Apache-2.0
"""Which file an import means."""

import pytest

from final_ops_callback._scan.neighbours import neighbours
from final_ops_callback._scan.tree import Tree
from tests._scan.contexts import context_of

FILES = [
    "/w/main.py",
    "/w/util.py",
    "/w/pkg/__init__.py",
    "/w/pkg/base.py",
    "/w/pkg/util.py",
    "/w/pkg/deep/hooks.py",
    "/w/pkg/deep/script.py",
    "/w/src/lib/one.py",
    "/w/src/lib/two.py",
    "/w/tensorflow/train.py",
    "/w/notes.ipynb",
]
TREE = Tree(FILES, lambda path: None)


@pytest.mark.parametrize(
    ("path", "module", "level", "found"),
    [
        ("/w/main.py", "pkg.base", 0, ("/w/pkg/base.py", "")),
        ("/w/main.py", "pkg.base.Hook", 0, ("/w/pkg/base.py", "Hook")),
        ("/w/main.py", "pkg.Hook", 0, ("/w/pkg/__init__.py", "Hook")),
        ("/w/main.py", "util", 0, ("/w/util.py", "")),
        ("/w/pkg/base.py", "util", 0, ("/w/pkg/util.py", "")),
        ("/w/pkg/base.py", "base", 0, None),
        ("/w/pkg/base.py", "util.x", 1, ("/w/pkg/util.py", "x")),
        ("/w/pkg/base.py", "x", 1, ("/w/pkg/__init__.py", "x")),
        ("/w/pkg/base.py", "util", 2, ("/w/util.py", "")),
        ("/w/pkg/base.py", "util", 99, None),
        ("/w/pkg/deep/script.py", "hooks", 0, ("/w/pkg/deep/hooks.py", "")),
        ("/w/pkg/deep/script.py", "util", 0, ("/w/pkg/util.py", "")),
        ("/w/main.py", "lib.one", 0, ("/w/src/lib/one.py", "")),
        ("/w/main.py", "two", 0, ("/w/src/lib/two.py", "")),
        ("/w/notes.ipynb", "util", 0, ("/w/util.py", "")),
        ("/w/main.py", "tensorflow.train", 0, None),
        ("/w/main.py", "numpy", 0, None),
        ("/w/main.py", "json", 0, None),
        ("/w/main.py", "nothing", 0, None),
    ],
)
def test_the_nearest_file_is_meant(
    path: str, module: str, level: int, found: tuple[str, str] | None
) -> None:
    """An import means a file beside it, above it, or the only one elsewhere."""
    place = TREE.find(path, tuple(module.split(".")), level)

    assert (place and (place[0], ".".join(place[1]))) == found


def test_a_file_is_read_once() -> None:
    """The facts of a file are asked for when they are needed, and kept."""
    asked: list[str] = []
    tree = Tree(["/w/a.py"], asked.append)

    assert asked == []
    tree.facts("/w/a.py")
    tree.facts("/w/a.py")
    assert asked == ["/w/a.py"]


def test_the_modules_that_a_file_needs() -> None:
    """Files of the tree are told, and what is not to be found anywhere."""
    context, facts = context_of(
        a="import b, os, numpy, tensorflow.contrib\n"
        "from . import c\nfrom .gone import d\nimport not_installed.x as y\n"
        "def f():\n    import not_needed_at_import\n"
        "try:\n    import tried\nexcept ImportError:\n    pass",
        b="",
        c="",
    )

    assert neighbours(facts, context.tree) == (
        ["b", "."],
        [".gone", "not_installed.x"],
    )
