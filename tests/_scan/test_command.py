# SPDX-License-Identifier: Apache-2.0
"""The commands scan and fix: their output and exit codes."""

import importlib.util
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from final_ops_callback import __main__ as main_job
from final_ops_callback._scan import command

ROOT = Path(__file__).parents[2]
TREE = Path(__file__).parent / "tree"
GOOD = "import tensorflow.compat.v1 as tf\ntf.train.StopAtStepHook(1)\n"
BAD = "import tensorflow as tf\ntf.train.StopAtStepHook(1)\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good file, one to change and a broken one."""
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "broken.py").write_text("a b")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def process(
    *arguments: str, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "final_ops_callback", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["scan", "good.py"], 0),
        (["scan", "bad.py"], 1),
        (["scan", "."], 1),
        (["scan", "broken.py"], 3),
        (["scan", "good.py", "broken.py"], 3),
        (["scan", "good.py", "none.py"], 2),
        (["scan", "bad.py", "none"], 2),
        (["fix", "good.py"], 0),
        (["fix", "bad.py"], 1),
        (["fix", "--diff", "bad.py"], 1),
        (["fix", "--write", "bad.py"], 0),
        (["fix", "good.py", "none.py"], 2),
    ],
)
@pytest.mark.usefixtures("files")
def test_exit_codes(arguments: list[str], code: int) -> None:
    """The exit code says what has to be done, for a CI."""
    assert main_job.main(arguments) == code


@pytest.mark.usefixtures("files")
def test_a_path_that_is_not_there_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other paths are scanned, and the missing one is one line."""
    main_job.main(["scan", "none.py", "bad.py", "--json"])
    printed = json.loads(capsys.readouterr().out)

    assert [u["path"] for u in printed["unreadable"]] == ["none.py"]
    assert [f["name"] for f in printed["findings"]] == ["StopAtStepHook"]


@pytest.mark.usefixtures("files")
def test_json_is_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one object with the promised fields."""
    main_job.main(["scan", "bad.py", "--json"])
    printed = json.loads(capsys.readouterr().out)

    assert printed == {
        "files": 1,
        "unreadable": [],
        "findings": [
            {
                "path": "bad.py",
                "line": 2,
                "end_line": 2,
                "kind": "hook_made",
                "name": "StopAtStepHook",
                "base": "tf.train.StopAtStepHook",
                "verdict": "change",
                "why": "TensorFlow 2 has no tf.train.StopAtStepHook "
                "(final_ops_callback.v1_names.install() puts it back)",
                "write": "tf.compat.v1.train.StopAtStepHook(1)",
            }
        ],
    }


@pytest.mark.usefixtures("files")
def test_a_page_is_written_beside_the_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`--html` writes a page, and the table is printed as well."""
    main_job.main(["scan", "bad.py", "--html", "page.html"])

    assert "<!doctype html>" in Path("page.html").read_text(encoding="utf-8")
    assert "bad.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan"], "required: PATH"),
        (["scan", "--wrong", "a"], "unrecognized arguments: --wrong"),
        (["scan", "a", "--html", "no/such/page"], "can't write to no/such"),
        (["scan", "a", "--html", "."], "can't write to .: Is a directory"),
        (["scan", "a", "--html", ""], "argument --html"),
        (["fix", "a", "--diff", "--write"], "not allowed with"),
    ],
)
def test_wrong_arguments_get_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument gets one line that names it, and exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        main_job.main(arguments)
    captured = capsys.readouterr()

    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_missing_package_gets_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without parso, one line says how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        main_job.main(["scan", "."])

    line = capsys.readouterr().err

    assert 'parso, rich: pip install "final_ops_callback[scan]"' in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("arguments", [["scan"], ["fix"], []])
def test_help_explains(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The help tells the exit codes; that of the main job, the commands."""
    with pytest.raises(SystemExit, match="0"):
        main_job.main([*arguments, "--help"])

    text = capsys.readouterr().out

    assert ("exit codes:" if arguments else "scan PATH") in text


@pytest.mark.usefixtures("files")
def test_fix_shows_and_writes(capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--write` a diff is shown; with it, the file is written."""
    main_job.main(["fix", "."])
    diff = capsys.readouterr().out

    assert "+tf.compat.v1.train.StopAtStepHook(1)" in diff
    assert Path("bad.py").read_text() == BAD

    main_job.main(["fix", ".", "--write"])
    captured = capsys.readouterr()

    assert captured.out == ""
    assert "bad.py: written" in captured.err
    assert "unreadable: ./broken.py:1" in captured.err
    assert "compat" in Path("bad.py").read_text()


def test_a_file_that_cannot_be_written_is_one_line(
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other files are written, and the exit code is 1."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)

    assert main_job.main(["fix", str(files), "--write"]) == 1
    assert "not written: Permission denied" in capsys.readouterr().err


def test_a_reader_that_stops_is_no_error() -> None:
    """A pipe that is closed early ends the command without a traceback."""
    program = (
        f"{sys.executable} -m final_ops_callback scan {TREE} --json | head -1"
    )
    done = subprocess.run(
        program,
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "{\n"
    assert done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
def test_a_full_disk_gets_one_line(files: Path) -> None:
    """Output that can't be written gets one line, and exit code 2."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "final_ops_callback", "scan", "bad.py"],
            cwd=files,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "can't write the output" in done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"PYTHONIOENCODING": "ascii"},
        {"COLUMNS": "20"},
    ],
)
def test_odd_terminals(env: dict[str, str], files: Path) -> None:
    """Any terminal and encoding gets the table, without colors in a pipe."""
    (files / "odd.py").write_text(f"{BAD}  # é\n", encoding="utf-8")
    done = process("scan", "odd.py", cwd=files, env=env)

    assert done.returncode == 1
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_without_an_output_the_exit_code_counts(
    monkeypatch: pytest.MonkeyPatch, files: Path
) -> None:
    """A process without stdout and stderr still has its exit code."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    assert command.run(["scan", str(files / "bad.py")]) == 1


@pytest.mark.parametrize(("patience", "is_shown"), [(0.0, True), (60.0, False)])
def test_the_progress_bar_comes_when_it_takes_long(
    patience: float,
    is_shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    files: Path,
) -> None:
    """The bar is on stderr, and only after the patience is over."""
    stderr = io.StringIO()
    monkeypatch.setattr(command, "PATIENCE", patience)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stderr)

    command.run(["scan", str(files), "--json"])

    assert ("scanning" in stderr.getvalue()) == is_shown


@pytest.mark.usefixtures("files")
def test_code_is_not_broken_in_a_pipe() -> None:
    """Where the output is no terminal, each line to write is one line."""
    folder = "FLAGS." + "_".join(["train", "dir"] * 10)
    Path("long.py").write_text(
        "import tensorflow.compat.v1 as tf\n"
        f"tf.train.MonitoredTrainingSession(checkpoint_dir={folder})\n"
    )
    lines = process("scan", "long.py").stdout.splitlines()
    (code,) = (line for line in lines if "->" in line)

    assert f"MonitoredTrainingCallback(checkpoint_dir={folder})])" in code
    texts = [line.rstrip() for line in lines if "->" not in line]
    assert all(len(t) <= 80 for t in texts if set(t) - set("─-"))
