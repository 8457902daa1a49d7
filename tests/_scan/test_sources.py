# SPDX-License-Identifier: Apache-2.0
"""Which files are read, and how."""

import os
import socket
from pathlib import Path

import pytest

from final_ops_callback._scan import sources
from final_ops_callback._scan.findings import Unreadable


def names(*paths: Path) -> list[str]:
    """The names of the files that are found, and the reasons for others."""
    return [
        one.why if isinstance(one, Unreadable) else os.path.basename(one)
        for one in sources.find_files(map(str, paths))
    ]


def why(path: Path) -> str:
    """The reason why a file can't be read, with its line."""
    found = sources.read(str(path))
    assert isinstance(found, Unreadable)
    assert "\n" not in found.why
    return f"{found.line}: {found.why}"


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x = 1\n")
    return path


def test_a_folder_is_read_whole(tmp_path: Path) -> None:
    """Python files and notebooks of all folders are found, in their order."""
    for name in ("b.py", "a/c.py", "a/d.ipynb", "a/e.txt"):
        touch(tmp_path / name)

    assert names(tmp_path) == ["c.py", "d.ipynb", "b.py"]


def test_what_is_not_of_the_user_is_left_out(tmp_path: Path) -> None:
    """Hidden folders, caches and virtual environments are left out."""
    for name in (".git/a.py", "__pycache__/b.py", "venv/lib/c.py"):
        touch(tmp_path / name)
    touch(tmp_path / "venv" / "pyvenv.cfg")

    assert names(tmp_path) == []
    assert names(tmp_path / ".git") == ["a.py"]


def test_a_given_file_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    """A script without an ending is read if it is given."""
    assert names(touch(tmp_path / "script")) == ["script"]


def test_a_file_is_found_once(tmp_path: Path) -> None:
    """A file that is given twice, or linked, is read once."""
    path = touch(tmp_path / "a.py")
    (tmp_path / "link.py").symlink_to(path)

    assert names(path, tmp_path, path) == ["a.py"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    """A link to a folder above, and one to itself, are one line each."""
    touch(tmp_path / "a.py")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "self.py").symlink_to("self.py")

    assert names(tmp_path) == [
        "a.py",
        "Too many levels of symbolic links",
        "a link that leads back to a folder that it is in",
    ]


def test_a_linked_folder_is_read(tmp_path: Path) -> None:
    """A link to a folder elsewhere is followed."""
    touch(tmp_path / "elsewhere" / "a.py")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")

    assert names(tmp_path / "here") == ["a.py"]


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    """A path that is not there, or can't be one, is a reason."""
    assert names(tmp_path / "none") == ["No such file or directory"]
    assert names(Path("a\0b")) == ["embedded null byte"]


def test_what_is_no_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket is not opened."""
    path = tmp_path / "a.py"
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        server.bind("a.py")

    assert names(path) == ["not a regular file"]


def test_no_permission_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or folder that may not be read is a reason."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = touch(tmp_path / "a.py")
    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "scandir", refuse)

    assert why(path) == "0: Permission denied"
    assert names(tmp_path) == ["Permission denied"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"a\n\0b", "2: a NUL byte: not text", id="binary"),
        pytest.param(b"a\nb\nc = '\xe9'", "3: byte 0xe9 is not utf-8", id="l1"),
        pytest.param(b"'\xe9'", "1: byte 0xe9 is not utf-8", id="first"),
        pytest.param(b"# coding: x-y\n", "1: encoding: unknown", id="name"),
        pytest.param(b"# coding: hex\n", "1: encoding hex: 'hex'", id="hex"),
    ],
)
def test_bytes_that_are_no_text_are_one_line(
    data: bytes, reason: str, tmp_path: Path
) -> None:
    """What can't be decoded is told with its line."""
    path = tmp_path / "a.py"
    path.write_bytes(data)

    assert why(path).startswith(reason)


def test_a_large_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file above the limit is not read, and one at the limit is."""
    path = tmp_path / "a.py"
    path.write_bytes(b"#" * 50_000_000)

    assert why(path) == "0: larger than 2 MB: probably generated"

    monkeypatch.setitem(sources.LARGEST, ".py", 50_000_000)
    assert isinstance(sources.read(str(path)), sources.Source)


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        (
            b"# coding: latin-1\r\n'\xe9'",
            "# coding: latin-1\r\n'é'",
            "iso-8859-1",
        ),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n", "utf-8-sig"),
        (b"", "", "utf-8"),
    ],
)
def test_text_is_decoded_as_python_does(
    data: bytes, text: str, encoding: str
) -> None:
    """Encodings, marks and ends of lines are kept, so that they can go back."""
    found = sources.decode("a.py", data)

    assert isinstance(found, sources.Source)
    assert (found.text, found.encoding) == (text, encoding)
    assert found.text.encode(found.encoding) == data
