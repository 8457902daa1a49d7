# SPDX-License-Identifier: Apache-2.0
"""Finds the files below some paths and reads them as text."""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import tokenize
from collections.abc import Iterable
from collections.abc import Iterator

from final_ops_callback._scan.findings import Unreadable

# Folders that hold no code of the user, or copies of it.
_SKIPPED = frozenset(
    ["__pycache__", "node_modules", "site-packages", "dist-packages"]
)
# A Python file above this is generated, and would take longer than a scan
# may; a notebook is large because of its pictures, which cost little.
LARGEST = {".py": 2_000_000, ".ipynb": 64_000_000}


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The text of a file.

    Args:
        path: String. The file, as the user would write it.
        text: String. Its text, with the ends of lines as they are.
        encoding: String. The encoding, as Python finds it.
        data: Bytes. What the file held.
    """

    path: str
    text: str
    encoding: str
    data: bytes

    @property
    def is_notebook(self) -> bool:
        """Whether this is a Jupyter notebook."""
        return self.path.endswith(".ipynb")


def find_files(paths: Iterable[str]) -> Iterator[str | Unreadable]:
    """Yields the Python files and notebooks below some paths, each once.

    A path that is a file is taken whatever its name is. Hidden folders,
    virtual environments and folders of installed packages are left out,
    unless they are among the paths themselves. Links are followed.

    Args:
        paths: Iterable of strings: files and folders.

    Yields:
        The path of a file, or what could not be read.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        yield from _below(path, seen, (), is_given=True)


def _below(
    path: str,
    seen: set[tuple[int, int]],
    above: tuple[tuple[int, int], ...],
    is_given: bool = False,
) -> Iterator[str | Unreadable]:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        yield Unreadable(path, 0, _reason(error))
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield Unreadable(
            path, 0, "a link that leads back to a folder that it is in"
        )
    elif identity in seen:
        return
    elif stat.S_ISDIR(status.st_mode):
        seen.add(identity)
        yield from _in_folder(path, seen, (*above, identity))
    elif not stat.S_ISREG(status.st_mode):
        if is_given or path.endswith(tuple(LARGEST)):
            yield Unreadable(path, 0, "not a regular file")
    else:
        seen.add(identity)
        yield path


def _in_folder(
    folder: str,
    seen: set[tuple[int, int]],
    above: tuple[tuple[int, int], ...],
) -> Iterator[str | Unreadable]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Unreadable(folder, 0, _reason(error))
        return
    for entry in found:
        is_code = entry.name.endswith(tuple(LARGEST))
        if is_code or (_may_be_folder(entry) and not _is_skipped(entry)):
            yield from _below(entry.path, seen, above)


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # Such as a loop of links: os.stat then tells the reason, if it
        # matters.
        return False


def _is_skipped(entry: os.DirEntry[str]) -> bool:
    return (
        entry.name.startswith(".")
        or entry.name in _SKIPPED
        or os.path.exists(os.path.join(entry.path, "pyvenv.cfg"))
    )


def read(path: str) -> Source | Unreadable:
    """Reads a file as Python does: with its encoding, and ends of lines kept.

    Args:
        path: String. The file.

    Returns:
        Its `Source`, or an `Unreadable` that says why there is none.
    """
    ending = ".ipynb" if path.endswith(".ipynb") else ".py"
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST[ending] + 1)
    except (OSError, ValueError) as error:
        return Unreadable(path, 0, _reason(error))
    if len(data) > LARGEST[ending]:
        megabytes = LARGEST[ending] // 1_000_000
        return Unreadable(
            path, 0, f"larger than {megabytes} MB: probably generated"
        )
    return decode(path, data)


def decode(path: str, data: bytes) -> Source | Unreadable:
    r"""Decodes the bytes of a file, as PEP 263 says.

    Example:
    >>> decode("a.py", b"# coding: latin-1\n# caf\xe9\n").text
    '# coding: latin-1\n# café\n'
    """
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        return Unreadable(path, line, "a NUL byte: not text")
    encoding = "utf-8-sig"
    if not path.endswith(".ipynb"):
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            if "invalid or missing" not in str(error.msg):
                return Unreadable(path, 1, f"encoding: {error.msg}")
            # Not UTF-8, as the decoder below says in more detail.
    try:
        return Source(path, data.decode(encoding), encoding, data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        return Unreadable(
            path,
            line,
            f"byte 0x{byte:02x} is not {encoding.removesuffix('-sig')}: "
            "declare the encoding in the first line, as in "
            "# -*- coding: latin-1 -*-",
        )
    except (LookupError, ValueError) as error:
        return Unreadable(path, 1, f"encoding {encoding}: {_one_line(error)}")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _one_line(error)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
