# SPDX-License-Identifier: Apache-2.0
"""Every notebook runs as committed, and was committed with its outputs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# The pattern of a home, a temporary or an environment folder in a text.
MACHINE_PATH = re.compile(
    r"""(?<![\w.:/])/(home|root|tmp|usr|opt|var|work|Users|private|mnt)/"""
    r"""|[A-Z]:\\"""
)

each_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS]
)


def execute(notebook: Any, folder: Path) -> None:
    """Runs all cells in place, in a fresh kernel that starts in `folder`."""
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()


def outputs(notebook: Any) -> Iterator[Any]:
    """Yields the outputs of the cells of a notebook."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])


def machine_paths(text: str) -> list[str]:
    """Finds the starts of absolute paths that only one machine has."""
    return [match[0] for match in MACHINE_PATH.finditer(text)]


@pytest.fixture(autouse=True)
def kernel_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the kernel import this checkout and write to a temporary folder."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))


def test_there_are_notebooks() -> None:
    """The folder is found and holds notebooks."""
    assert NOTEBOOKS


@each_notebook
def test_runs_as_committed(path: Path, tmp_path: Path) -> None:
    """A notebook runs unmodified, in a folder that is not the checkout."""
    notebook = nbformat.read(path, as_version=4)
    source = [cell.source for cell in notebook.cells]

    execute(notebook, tmp_path)

    assert [cell.source for cell in notebook.cells] == source
    assert all(output.output_type != "error" for output in outputs(notebook))


def test_a_failing_notebook_fails(tmp_path: Path) -> None:
    """A notebook whose last assert is false does not pass."""
    cell = nbformat.v4.new_code_cell("assert False, 'not the same'")
    notebook = nbformat.v4.new_notebook(cells=[cell])

    with pytest.raises(CellExecutionError, match="not the same"):
        execute(notebook, tmp_path)


@each_notebook
def test_is_committed_with_clean_outputs(path: Path) -> None:
    """The file holds values and pictures, no errors and no stderr."""
    notebook = nbformat.read(path, as_version=4)
    found = list(outputs(notebook))
    types = {kind for output in found for kind in output.get("data", {})}

    assert {"text/plain", "image/png"} <= types
    assert all(output.output_type != "error" for output in found)
    assert all(output.get("name") != "stderr" for output in found)


@each_notebook
def test_ends_in_an_assert(path: Path) -> None:
    """The last statement of a notebook checks what it claims."""
    notebook = nbformat.read(path, as_version=4)
    code = [c.source for c in notebook.cells if c.cell_type == "code"]

    assert code[-1].splitlines()[-1].startswith("assert ")


@each_notebook
def test_names_no_machine(path: Path) -> None:
    """The file holds no path and no time of the machine that ran it."""
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)

    assert machine_paths(text) == []
    assert all("execution" not in cell.metadata for cell in notebook.cells)


def test_a_machine_path_is_found() -> None:
    """A path of a home or temporary folder would be noticed."""
    text = 'File "/home/me/x.py", line 1; see https://a.org/home/x'

    assert machine_paths(text) == ["/home/"]
