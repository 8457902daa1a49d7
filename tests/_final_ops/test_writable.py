# SPDX-License-Identifier: Apache-2.0
"""Paths are checked before a run, and failures reported after it."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._final_ops.writable import check_folder
from final_ops_callback._final_ops.writable import checked_path
from final_ops_callback._final_ops.writable import reported_as
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import WriterError


def test_a_path_is_a_string_or_a_path(tmp_path: Path) -> None:
    """It comes back as a string."""
    assert checked_path("a/b", "filepath") == "a/b"
    assert checked_path(tmp_path, "filepath") == str(tmp_path)


@pytest.mark.parametrize("path", [b"a", 3, None, ["a"]])
def test_nothing_else_is_a_path(path: Any) -> None:
    """The error names the argument and the type."""
    with pytest.raises(ArgumentError, match=type(path).__name__) as caught:
        checked_path(path, "log_dir")

    assert "log_dir" in str(caught.value)


def test_a_folder_has_to_be_there(tmp_path: Path) -> None:
    """A file is none."""
    file = tmp_path / "file"
    file.touch()
    check_folder(tmp_path, "filepath")
    for missing in (file, tmp_path / "nothing"):
        with pytest.raises(WriterError, match="is not a folder"):
            check_folder(missing, "filepath")


def test_a_folder_has_to_take_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the permission, that is said before the run."""
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(WriterError, match="no permission to write"):
        check_folder(tmp_path, "filepath")


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device", "a.json"),
        tf.errors.ResourceExhaustedError(None, None, "disk full"),
    ],
)
def test_a_failure_keeps_what_the_system_said(error: Exception) -> None:
    """Its number and file, as well as where it happened."""

    def write() -> None:
        with reported_as("filepath"):
            raise error

    with pytest.raises(WriterError, match="still in final_ops_values") as found:
        write()

    assert found.value.__cause__ is error
    assert found.value.errno == getattr(error, "errno", None)
    assert found.value.filename == getattr(error, "filename", None)


def test_other_errors_are_not_reported_as_ours() -> None:
    """One of ours is not wrapped again, and a mistake is a mistake."""
    own = WriterError("what", "where", "way out")
    for error in (own, TypeError("a mistake")):

        def write(error: Exception = error) -> None:
            with reported_as("filepath"):
                raise error

        with pytest.raises(type(error)) as found:
            write()
        assert found.value is error
