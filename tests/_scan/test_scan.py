# SPDX-License-Identifier: Apache-2.0
"""One scan: which files are parsed, how fast, and what can't be read."""

import json
import random
import time
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from final_ops_callback._scan import grammar
from final_ops_callback._scan import scan as module
from final_ops_callback._scan.scan import Scan
from final_ops_callback._scan.scan import scan
from tests._scan.conftest import Found

TREE = Path(__file__).parent / "tree"
TEXTS = [
    path.read_bytes().decode("latin-1") for path in sorted(TREE.rglob("*.py"))
]


def test_the_choice_of_files_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scan that parses all files finds nothing more."""
    chosen = scan([str(TREE)]).findings
    parsed_by_choice = Scan([str(TREE)])
    parsed_by_choice.run()
    monkeypatch.setattr(module, "_matches", lambda words, file: True)

    assert scan([str(TREE)]).findings == chosen


def test_a_name_may_lead_through_files_without_a_hook_in_them(
    found: Found,
) -> None:
    """A chain of files is followed, though none of its links says hook."""
    findings = found(
        "from one import Base\nclass Mine(Base): pass\n",
        one="from two import *\n",
        two="from three import Third as Base\n",
        three="from four import t\nThird = t.SessionRunHook\n",
        four="from tensorflow.compat.v1 import train as t\n",
    )

    assert [f.name for f in findings] == ["Mine"]


@pytest.mark.parametrize(
    ("name", "data", "line", "why"),
    [
        ("a.py", b"def f(:\n", 1, "a syntax error near ':'"),
        ("a.py", b"# SessionRunHook\ndef f(:\n", 2, "a syntax error"),
        ("a.py", b"SessionRunHook = " + b"(" * 99_999, 0, "nested too"),
        ("a.py", b"SessionRunHook\n" + b"-" * 9999 + b"1", 0, "nested too"),
        ("a.py", b"x = '\0'\n", 1, "a NUL byte"),
        ("a.ipynb", b"{", 0, "not a notebook"),
        ("a.ipynb", b"\xff", 1, "byte 0xff"),
        (
            "a.ipynb",
            json.dumps(
                {
                    "cells": [
                        {"cell_type": "code", "source": "1\n"},
                        {"cell_type": "code", "source": "a\nb = (\n"},
                    ]
                }
            ).encode(),
            3,
            "in cell 2: a syntax error",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(
    name: str, data: bytes, line: int, why: str, tmp_path: Path
) -> None:
    """Whatever is in a file, the scan goes on, and says why in one line."""
    (tmp_path / name).write_bytes(data)
    (tmp_path / "good.py").write_text(
        "import tensorflow.compat.v1 as tf\ntf.train.StopAtStepHook(1)\n"
    )
    report = scan([str(tmp_path)])
    (unreadable,) = report.unreadable

    assert (unreadable.line, len(report.findings)) == (line, 1)
    assert unreadable.why.startswith(why)
    assert "\n" not in unreadable.why


@pytest.mark.parametrize("data", [b"", b"\n", b"\f\n", b"\xef\xbb\xbf", b"# x"])
def test_an_empty_file_is_read(data: bytes, tmp_path: Path) -> None:
    """A file without code has nothing to find, and nothing is wrong."""
    (tmp_path / "a.py").write_bytes(data)
    report = scan([str(tmp_path)])

    assert (report.files, report.unreadable, report.findings) == (1, (), ())


def test_old_names_of_a_syntax_tree_that_is_no_python(found: Found) -> None:
    """A hook in a broken file is found, and its file has to be mended."""
    before, after = found(
        "import tensorflow.compat.v1 as tf\n"
        "class A(tf.train.SessionRunHook): pass\n"
        "a b c\n"
        "class B(tf.train.SessionRunHook): pass\n"
    )

    assert (before.name, after.name) == ("A", "B")
    assert {before.verdict, after.verdict} == {"change"}


def test_progress_is_told_for_each_file() -> None:
    """The function for progress sees each file read, parsed and judged."""
    told: list[tuple[int, int]] = []
    report = scan([str(TREE)], lambda done, total: told.append((done, total)))

    assert told[-1] == (3 * report.files, 3 * report.files)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_scan_is_hardly_slower_than_its_parser(tmp_path: Path) -> None:
    """100,000 lines take less than 20 s: 10,000 take less than 2 s.

    All of the lines are in files that have hooks. On a machine that is busy
    with other things, the time of the bare parser is the measure.
    """
    text = (TREE / "plain_v1.py").read_text(encoding="utf-8")
    count = 10_000 // text.count("\n") + 1
    for i in range(count):
        (tmp_path / f"file_{i}.py").write_text(text, encoding="utf-8")
    start = time.process_time()
    for _ in range(count):
        grammar.parse(text)
    bare = time.process_time() - start
    start = time.process_time()
    report = scan([str(tmp_path)])
    taken = time.process_time() - start

    assert report.files == count
    assert taken < max(2.0, 2 * bare)


def mutated(draw: st.DrawFn) -> str:
    """A file of the tree with some of its text gone, moved or replaced."""
    text = draw(st.sampled_from(TEXTS))
    pieces = st.sampled_from([*"()[]{}:,.\n\t=*@`\\'\"", "await ", "print "])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 20))
        text = text[:start] + draw(pieces | st.just("")) + text[end:]
    return text


@hypothesis.settings(max_examples=60)
@hypothesis.given(st.data())
def test_no_text_stops_a_scan(data: st.DataObject) -> None:
    """A scan of a text that is broken in any way ends with a report."""
    text = data.draw(st.composite(mutated)())
    one = Scan([])
    one._order = ["a.py"]
    source = module.sources.Source("a.py", text, "utf-8", text.encode())
    one.files["a.py"] = module._File(source, text)
    one._tree._add("a.py")
    one._read = lambda path: None  # type: ignore[method-assign]

    report = one.run()

    assert report.files == 1
    assert all(f.line <= f.end_line for f in report.findings)


def test_the_order_of_paths_does_not_matter() -> None:
    """The same findings come from the files in any order."""
    paths = [str(path) for path in sorted(TREE.rglob("*.py"))]
    shuffled = random.Random(0).sample(paths, len(paths))
    one = {(f.path, f.line, f.name, f.verdict) for f in scan(paths).findings}
    two = {(f.path, f.line, f.name, f.verdict) for f in scan(shuffled).findings}

    assert one == two
