# SPDX-License-Identifier: Apache-2.0
"""Takes the code out of a Jupyter notebook, and lines back to their cells."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

# The magics of a cell whose rest is Python.
_PYTHON_MAGICS = frozenset(["time", "timeit", "capture", "prun", "python3"])
_MAGIC = re.compile(r"(\s*)([%!?]|[\w.*]+\?{1,2}\s*$)")
_ASSIGNED_MAGIC = re.compile(r"(\s*[\w.,\s]+=\s*)[%!]")


@dataclasses.dataclass(frozen=True, slots=True)
class Cells:
    """The code of a notebook as one text.

    Args:
        text: String. The code cells, one after the other.
        starts: Tuple of integers: the lines of the text, counted from 1, at
            which the cells begin.
    """

    text: str
    starts: tuple[int, ...]

    def place(self, line: int) -> tuple[int, int]:
        r"""Returns the cell and the line in it of a line of the text.

        Example:
        >>> Cells("a\nb\nc\n", (1, 3)).place(3)
        (2, 1)
        """
        cell = sum(start <= line for start in self.starts) or 1
        first = self.starts[cell - 1] if self.starts else 1
        return cell, line - first + 1


def code_of(text: str) -> Cells:
    r"""Returns the code of a notebook, with its magics blanked.

    Args:
        text: String. The text of an `.ipynb` file of any version.

    Raises:
        ValueError: The text is no notebook. The message has one line.

    Example:
    >>> cell = {"cell_type": "code", "source": ["%pip list\n", "x = 1"]}
    >>> code_of(json.dumps({"cells": [cell]})).text
    'pass\nx = 1\n'
    """
    try:
        notebook = json.JSONDecoder().decode(text)
    except RecursionError:
        raise ValueError("not a notebook: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not a notebook: {error}") from error
    texts, starts, line = [], [], 1
    for cell in _cells(notebook):
        code = _without_magics(cell)
        texts.append(code)
        starts.append(line)
        line += code.count("\n")
    return Cells("".join(texts), tuple(starts))


def _cells(notebook: Any) -> list[str]:
    """Returns the sources of the code cells."""
    if not isinstance(notebook, dict):
        raise ValueError("not a notebook: no object")
    cells = notebook.get("cells")
    if cells is None:  # version 3
        sheets = notebook.get("worksheets")
        if not isinstance(sheets, list):
            raise ValueError("not a notebook: it has no cells")
        cells = [
            cell
            for sheet in sheets
            if isinstance(sheet, dict)
            for cell in sheet.get("cells") or ()
        ]
    if not isinstance(cells, list):
        raise ValueError("not a notebook: its cells are no list")
    return [
        _source(cell)
        for cell in cells
        if isinstance(cell, dict) and cell.get("cell_type") == "code"
    ]


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _without_magics(code: str) -> str:
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    lines = code.removesuffix("\n").split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = lines[first][2:].split()[:1]
        if not magic or magic[0] not in _PYTHON_MAGICS:
            return "\n" * len(lines)
    return "\n".join(map(_without_magic, lines)) + "\n"


def _without_magic(line: str) -> str:
    assigned = _ASSIGNED_MAGIC.match(line)
    if assigned:
        return f"{assigned[1]}None"
    magic = _MAGIC.match(line)
    return f"{magic[1]}pass" if magic else line
