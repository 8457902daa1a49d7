# SPDX-License-Identifier: Apache-2.0
"""Defines what a scan reports: findings, unreadable files, and the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any
from typing import Literal

Kind = Literal[
    "hook_class", "hook_made", "hooks_passed", "session", "removed_name"
]
Verdict = Literal["unmodified", "change", "replace", "none"]

# From the best to the worst: what is said of a whole is its worst part.
VERDICTS: tuple[Verdict, ...] = ("unmodified", "change", "replace", "none")


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """A place of a text, and what to write there.

    Args:
        start: Pair of integers: the line, counted from 1, and the column,
            counted from 0, of the first character.
        end: The same of the first character that stays.
        text: String. What stands there afterwards.
    """

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a scan has found.

    Args:
        path: String. The file.
        line: Integer. The first line, counted from 1; in a notebook, within
            the cell.
        end_line: Integer. The last line.
        kind: What it is: a class of hooks, a hook that is made, hooks that
            are passed, a session, or a name that TensorFlow 2 has not.
        name: String. What it is called: the class, the keyword, the name.
        base: String. Whose it is: the base class, the class of the hook, the
            function that gets the hooks. Empty if there is none.
        verdict: What has to be done: nothing (`"unmodified"`), the edit in
            `write` (`"change"`), something else in its place (`"replace"`),
            or that there is no way (`"none"`).
        why: String. The reasons, and what it needs.
        write: String. The line to write, or several.
        cell: Integer. The code cell of a notebook, counted from 1, or `None`.
        edits: Tuple of `Edit`: what `fix` would do.
    """

    path: str
    line: int
    end_line: int
    kind: Kind
    name: str
    base: str
    verdict: Verdict
    why: str
    write: str
    cell: int | None = None
    edits: tuple[Edit, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the fields that `--json` prints, in their order."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = (
    "path",
    "line",
    "end_line",
    "kind",
    "name",
    "base",
    "verdict",
    "why",
    "write",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a part of one, that could not be read.

    Args:
        path: String. The file.
        line: Integer. The line, counted from 1; 0 if it is the whole file.
        why: String. The reason, in one line.
    """

    path: str
    line: int
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What a scan has found.

    Args:
        files: Integer. How many files were read.
        unreadable: Tuple of `Unreadable`.
        findings: Tuple of `Finding`, in the order of the files and lines.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns the object that `--json` prints.

        Example:
        >>> report = Report(1, (Unreadable("a.py", 0, "broken"),), ())
        >>> report.as_json()["unreadable"]
        [{'path': 'a.py', 'line': 0, 'why': 'broken'}]
        """
        return {
            "files": self.files,
            "unreadable": [dataclasses.asdict(u) for u in self.unreadable],
            "findings": [finding.as_json() for finding in self.findings],
        }

    def count(self, verdict: Verdict) -> int:
        """Returns how many findings have a verdict."""
        return sum(finding.verdict == verdict for finding in self.findings)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Returns the worst of some verdicts; that of none is `"unmodified"`.

    Example:
    >>> worst(["change", "unmodified"])
    'change'
    """
    return max(verdicts, key=VERDICTS.index, default="unmodified")
