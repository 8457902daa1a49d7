# SPDX-License-Identifier: Apache-2.0
"""What the names of weights are made of.

The docstrings of the functions show the plain cases.
"""

import pytest

from final_ops_callback._checkpoints import name_parts
from final_ops_callback._names import unique


def test_numbers_sort_as_graphs_count_them() -> None:
    """Names that a graph makes unique keep their order."""
    names = unique(["dense/kernel"] * 1 + ["a1_b"] * 12)

    backwards = names[::-1]
    assert sorted(backwards, key=name_parts.natural) == [
        *names[1:],
        names[0],
    ]
    assert len(set(map(name_parts.family, names))) == 2


@pytest.mark.parametrize(
    ("name", "drop", "expected"),
    [
        ("W", 0, "kernel"),
        ("W", 1, ""),
        ("a/b/c/Biases", 2, "c/bias"),
        ("a/b/c", 2, ""),
        ("a/gamma", 0, "a/gamma"),
    ],
)
def test_scopes_are_left_out(name: str, drop: int, expected: str) -> None:
    """A layer stays with its weight, whatever is left out."""
    assert name_parts.reduced(name, drop) == expected


def test_the_outermost_scope() -> None:
    """A name without a scope is its own."""
    assert name_parts.scope("a/b/c") == "a"
    assert name_parts.scope("a") == "a"


@pytest.mark.parametrize("name", ["W", "layer/w", "conv/weights", "x/kernel"])
def test_the_words_for_a_kernel(name: str) -> None:
    """All that v1's programs called a kernel is one."""
    assert name_parts.kind(name) == "kernel"
