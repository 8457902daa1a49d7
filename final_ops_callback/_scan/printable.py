# SPDX-License-Identifier: Apache-2.0
"""Makes text from files safe to show on a terminal or a page."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Returns a text in which what can't be printed is escaped.

    A file name or a piece of code may hold a line break, or a sequence that
    a terminal obeys.

    Example:
    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )
