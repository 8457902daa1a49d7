# SPDX-License-Identifier: Apache-2.0
"""The code of README runs, and its commands are those of the CI."""

import re
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import image

from tests import picture
from tests.contract import drivers
from tests.flavors import needs_keras_3

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAIN_COMMAND = 'pip install -e ".[demo]" && python -m final_ops_callback'
TEST_COMMAND = 'pip install -e ".[test]" && pytest'


class Block(NamedTuple):
    language: str
    line: int
    text: str


def blocks(markdown: str, language: str) -> list[Block]:
    """Takes the fenced blocks of one language out of a page."""
    fences = re.finditer(r"^```(\w*)\n(.*?)^```$", markdown, re.M | re.S)
    found = [
        Block(f[1], markdown.count("\n", 0, f.start(2)), f[2]) for f in fences
    ]
    return [block for block in found if block.language == language]


def run(python_blocks: list[Block]) -> dict[str, Any]:
    """Runs the blocks in order, as a reader who types them would."""
    namespace: dict[str, Any] = {"__name__": "readme"}
    for block in python_blocks:
        # Padded, so that a traceback names the line of README.
        source = "\n" * block.line + block.text
        exec(compile(source, "README.md", "exec"), namespace)
    return namespace


@needs_keras_3
def test_every_python_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python code of README runs from top to bottom."""
    monkeypatch.chdir(tmp_path)
    python_blocks = blocks(README, "python")

    namespace = run(python_blocks)

    assert len(python_blocks) == 3
    assert namespace["matrix"].sum() == len(namespace["y_test"])
    assert namespace["norm"].last.keys() == {"loss", "norm"}
    assert namespace["step"] == 60
    assert {p.name for p in tmp_path.iterdir()} == {
        "training",
        "test_60.json",
        "checkpoint",
        "for_v1.ckpt.index",
        "for_v1.ckpt.data-00000-of-00001",
    }


def test_the_page_is_short() -> None:
    """A reader gets through it: what is reference is in docstrings."""
    assert README.count("\n") <= 250


def test_the_picture_is_that_of_a_training() -> None:
    """The hook of the picture sees the same losses under both."""
    under_v1 = picture.losses_of(drivers.run_v1)
    under_keras = picture.losses_of(drivers.run_keras)

    assert picture.PICTURE.relative_to(ROOT).as_posix() in README
    assert picture.PICTURE.exists()
    assert len(under_v1) == 3 * picture.EPOCHS
    np.testing.assert_allclose(under_keras, under_v1, rtol=1e-4)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """The script draws a picture of the size that is committed."""
    picture.draw([3.0, 2.0], [3.0, 2.0], tmp_path / "losses.png")

    assert image.imread(tmp_path / "losses.png").shape == (
        image.imread(picture.PICTURE).shape
    )


def listed_hooks(markdown: str) -> set[str]:
    """Takes the names of the hooks out of a page's tables."""
    return set(re.findall(r"^\| `(\w+Hook)` \| ✓ \|", markdown, re.M))


def stock_hooks() -> set[str]:
    """Returns the names of the hooks that TensorFlow has."""
    names = {name for name in dir(tf.compat.v1.train) if name.endswith("Hook")}
    return names - {"SessionRunHook"}


def test_every_stock_hook_is_listed() -> None:
    """The table has a row for each hook of `tf.compat.v1.train`."""
    assert listed_hooks(README) == stock_hooks()


def test_a_missing_row_would_be_found() -> None:
    """A page without the row of a hook does not list it."""
    page = README.replace("| `NanTensorHook` | ✓ |", "")

    assert stock_hooks() - listed_hooks(page) == {"NanTensorHook"}


def test_a_broken_block_fails() -> None:
    """A block that does not run fails, at its line of the page."""
    page = "# Title\n\n```python\nx = 1\nx.no_such_thing\n```\n"

    with pytest.raises(AttributeError, match="no_such_thing") as caught:
        run(blocks(page, "python"))

    assert caught.traceback[-1].lineno + 1 == 5


def test_no_python_hides_in_another_fence() -> None:
    """Every fence of README is either Python or one of the two commands."""
    fences = re.findall(r"^```(\w*)$", README, re.M)

    assert set(fences[::2]) == {"python", "bash"}
    assert set(fences[1::2]) == {""}


def test_the_two_commands_stand_as_written() -> None:
    """README's two commands stand alone, each in a block of its own."""
    commands = [block.text for block in blocks(README, "bash")]

    assert commands == [f"{MAIN_COMMAND}\n", f"{TEST_COMMAND}\n"]


def test_ci_reads_the_test_command_from_readme() -> None:
    """The CI script takes the test command from README, not a copy of it."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")

    assert "README.md" in script
    assert TEST_COMMAND not in script
