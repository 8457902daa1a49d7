# SPDX-License-Identifier: Apache-2.0
"""The code in notebooks."""

import ast
import json
from typing import Any

import pytest

from final_ops_callback._scan import notebooks


def cells_of(*codes: str) -> notebooks.Cells:
    cells = [{"cell_type": "code", "source": code} for code in codes]
    return notebooks.code_of(json.dumps({"cells": cells}))


@pytest.mark.parametrize(
    "magic",
    [
        "%matplotlib inline",
        "!pip install x",
        "x?",
        "x.y??",
        "?x",
        "files = !ls",
        "a, b = %time f()",
        "%%time",
        "    %timeit x",
    ],
)
def test_magics_become_python(magic: str) -> None:
    """A magic is Python afterwards, in the same line, with the same indent."""
    code = f"if a:\n    b\n{magic}\nc = 1" if magic[0] != "%" else magic
    code = f"if a:\n{magic}\n" if magic[0] == " " else code
    text = cells_of(code).text

    ast.parse(text)
    assert text.count("\n") == len(code.removesuffix("\n").split("\n"))


@pytest.mark.parametrize("line", ["# why?", "a = b  # ok?", "s = '?'", "a % b"])
def test_python_is_left_alone(line: str) -> None:
    """A question mark or a percent sign in Python is no magic."""
    assert cells_of(line).text == f"{line}\n"


def test_a_cell_of_another_language_is_blank() -> None:
    """What is not Python is not read, but its lines count."""
    cells = cells_of("%%bash\nls\n", "x = 1")

    assert cells.text.strip() == "x = 1"
    assert cells.place(cells.text.count("\n")) == (2, 1)


def test_lines_lead_back_to_their_cells() -> None:
    """Each line of the text belongs to a line of a cell."""
    cells = cells_of("a\nb", "", "c\n")
    lines = cells.text.split("\n")
    places = {line: cells.place(i + 1) for i, line in enumerate(lines) if line}

    assert places == {"a": (1, 1), "b": (1, 2), "c": (3, 1)}


def test_the_third_version_is_read() -> None:
    """Old notebooks have worksheets, and call their code input."""
    cell = {"cell_type": "code", "input": ["x = 1\n", "y = 2"]}
    text = json.dumps({"worksheets": [{"cells": [cell]}]})

    assert notebooks.code_of(text).text == "x = 1\ny = 2\n"


@pytest.mark.parametrize(
    "content",
    [
        '{"cells": [',
        "[]",
        "{}",
        '{"cells": 1}',
        '{"worksheets": 1}',
        "[" * 100_000,
        "",
        "null",
    ],
    ids=["cut", "list", "empty", "number", "sheets", "deep", "none", "null"],
)
def test_what_is_no_notebook_is_one_line(content: str) -> None:
    """A broken notebook is a reason in one line."""
    with pytest.raises(ValueError, match=r"^not a notebook: [^\n]+$"):
        notebooks.code_of(content)


@pytest.mark.parametrize("cell", [None, 7, {}, {"cell_type": "code"}])
def test_odd_cells_are_left_out(cell: Any) -> None:
    """What is no cell of code has no text."""
    odd = {"cell_type": "code", "source": [1, "x = 1"]}
    text = json.dumps({"cells": [cell, odd]})

    assert notebooks.code_of(text).text.strip() == "x = 1"
