# SPDX-License-Identifier: Apache-2.0
"""Rewrites what is safe to rewrite: as a diff, or into the files."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import os
import stat
import tempfile
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from parso.utils import split_lines

from final_ops_callback._scan import final_ops
from final_ops_callback._scan import grammar
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Unreadable
from final_ops_callback._scan.scan import Progress
from final_ops_callback._scan.scan import Scan
from final_ops_callback._scan.sources import Source

_ESTIMATOR = "import final_ops_callback.estimator"


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed:
    """A file that can be rewritten.

    Args:
        source: The `Source` as it was read.
        text: String. The new text.
    """

    source: Source
    text: str

    def diff(self) -> str:
        """Returns the difference as a unified diff."""
        path = self.source.path
        lines = difflib.unified_diff(
            _lines(self.source.text),
            _lines(self.text),
            f"a/{path.lstrip('/')}",
            f"b/{path.lstrip('/')}",
        )
        return "".join(
            line
            if line.endswith("\n")
            else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Fixes:
    """What can be rewritten.

    Args:
        fixed: Tuple of `Fixed`.
        notebooks: Tuple of strings: the notebooks in which something was
            found, which are left as they are.
        unreadable: Tuple of `Unreadable`.
    """

    fixed: tuple[Fixed, ...]
    notebooks: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]


def fix(paths: Sequence[str], progress: Progress | None = None) -> Fixes:
    """Returns what can be rewritten; no file is changed.

    Args:
        paths: Sequence of strings: files and folders.
        progress: As in `Scan`. Defaults to `None`.

    Returns:
        The `Fixes`. A file is among them only if its new text can be parsed
        as well as the old one.
    """
    scan = Scan(paths, progress)
    report = scan.run()
    edits: dict[str, list[Edit]] = {}
    notebooks = []
    for finding in report.findings:
        if finding.cell is None:
            edits.setdefault(finding.path, []).extend(finding.edits)
        elif finding.verdict != "unmodified":
            notebooks.append(finding.path)
    fixed = []
    for path, wanted in edits.items():
        facts = scan.facts(path)
        if facts is None or facts.parsed.errors or not wanted:
            continue
        source = scan.files[path].source
        text = edited(source.text, [*wanted, *_imports(facts, wanted)])
        if text != source.text and _is_good(facts, source, text):
            fixed.append(Fixed(source, text))
    return Fixes(
        tuple(fixed), tuple(dict.fromkeys(notebooks)), report.unreadable
    )


def edited(text: str, edits: Iterable[Edit]) -> str:
    r"""Returns a text with some edits made.

    Of edits that overlap, the first in the order of the list is made. What is
    inserted gets the ends of lines that the text has.

    Example:
    >>> change, comment = Edit((1, 4), (1, 5), "c"), Edit((1, 0), (1, 0), "#\n")
    >>> edited("a = b\r\n", [change, comment])
    '#\r\na = c\r\n'
    """
    starts = [0]
    for line in split_lines(text, keepends=True):
        starts.append(starts[-1] + len(line))
    newline = _newline(text)
    placed: list[tuple[int, int, str]] = []
    for edit in dict.fromkeys(edits):
        start = starts[edit.start[0] - 1] + edit.start[1]
        end = starts[edit.end[0] - 1] + edit.end[1]
        if all(
            end <= other[0] or other[1] <= start or start == end
            for other in placed
        ):
            placed.append((start, end, edit.text.replace("\n", newline)))
    # Backwards; of several at one place, the last one first.
    placed.reverse()
    for start, end, new in sorted(placed, key=lambda p: -p[0]):
        text = text[:start] + new + text[end:]
    return text


def _newline(text: str) -> str:
    for newline in ("\r\n", "\n", "\r"):
        if newline in text:
            return newline
    return "\n"


def _imports(facts: Facts, edits: Iterable[Edit]) -> list[Edit]:
    """Returns the edits that import what the others use."""
    texts = [edit.text for edit in edits]
    wanted = []
    bound = facts.module.bindings
    if "FinalOpsCallback" in texts and "FinalOpsCallback" not in bound:
        wanted.append(final_ops.IMPORT)
    uses_estimator = any(
        text.startswith("final_ops_callback.estimator.") for text in texts
    )
    has_it = any(
        fact.module[:2] == ("final_ops_callback", "estimator") and not fact.name
        for fact in facts.imports
    )
    if uses_estimator and not has_it:
        wanted.append(_ESTIMATOR)
    place = (_first_statement(facts.parsed.tree), 0)
    return [Edit(place, place, f"{line}\n") for line in wanted]


def _first_statement(tree: Any) -> int:
    """Returns the line before which an import goes.

    It is that of the first import, but that of `__future__`; without one, that
    of the first statement which is not the docstring.
    """
    first = 0
    for i, node in enumerate(tree.children):
        code = node.get_code(include_prefix=False)
        kinds = [getattr(n, "type", "") for n in getattr(node, "children", ())]
        is_docstring = i == 0 and kinds[:1] in (["string"], ["strings"])
        if is_docstring or code.startswith("from __future__"):
            continue
        if kinds[:1] in (["import_name"], ["import_from"]):
            return int(node.start_pos[0])
        if not first:
            first = node.start_pos[0]
    return first or 1


def _is_good(facts: Facts, source: Source, text: str) -> bool:
    """Returns whether a new text can be parsed and encoded as the old one."""
    try:
        data = text.encode(source.encoding)
    except UnicodeEncodeError:
        return False
    is_same = source.text.encode(source.encoding) == source.data
    was_python = grammar.is_python(source.text)
    return (
        is_same
        and bool(data)
        and grammar.fits(text, facts.parsed.dialect)
        and (not was_python or grammar.is_python(text))
    )


def write(fixed: Fixed) -> None:
    """Writes a file, whole or not at all, with the permissions that it has.

    Args:
        fixed: The `Fixed` file. If its path is a link, what it leads to is
            written.

    Raises:
        OSError: The file can't be written, or has changed since it was read.
    """
    path = os.path.realpath(fixed.source.path)
    with open(path, "rb") as file:
        if file.read() != fixed.source.data:
            raise OSError(0, "it has changed since it was read", path)
        status = os.fstat(file.fileno())
    data = fixed.text.encode(fixed.source.encoding)
    handle, temporary = tempfile.mkstemp(
        dir=os.path.dirname(path), prefix=".", suffix=".fix"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, stat.S_IMODE(status.st_mode))
        if hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):
                # Only root may give a file away; the others own it already.
                os.chown(temporary, status.st_uid, status.st_gid)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + list(filter(None, lines[-1:]))
