# SPDX-License-Identifier: Apache-2.0
"""A disk fails: the error is clear, values stay, no file is half-written."""

import builtins
import contextlib
import errno
import os
import pathlib
import resource
import signal
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest

from final_ops_callback import FinalOpsCallback
from final_ops_callback import errors
from tests import models

pytestmark = pytest.mark.slow

FILES = ("final_ops.json", "final_ops.npz")
# More than any buffer holds, and than the disk below.
LARGE = np.arange(200_000.0)
OLD = b"the old file"


def finished(**writer: Any) -> tuple[FinalOpsCallback, errors.WriterError]:
    """Runs a callback whose writer fails.

    Args:
        **writer: The writer, as an argument of FinalOpsCallback.

    Returns:
        Pair of the callback and the error that escaped.
    """
    final = FinalOpsCallback({"large": LARGE}, **writer)
    with pytest.raises(errors.WriterError) as caught:
        models.finish(final)
    return final, caught.value


def check(final: FinalOpsCallback, error: errors.WriterError) -> None:
    """Checks that the values are kept, and that the error says so."""
    np.testing.assert_equal(final.final_ops_values["large"], LARGE)
    assert list(final.final_ops_values_by_phase) == ["test"]
    assert "could not be written" in error.what
    assert "final_ops_values" in error.way_out


def names_in(folder: pathlib.Path) -> list[str]:
    """Lists what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


# A full disk


@contextlib.contextmanager
def small_files(folder: pathlib.Path) -> Iterator[None]:
    """Lets no file of this process grow beyond a few pages."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@contextlib.contextmanager
def small_disk(folder: pathlib.Path) -> Iterator[None]:
    """Mounts a file system of a few pages, where that is allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def no_space(folder: pathlib.Path) -> Iterator[None]:
    """Fails when a file is flushed to the disk."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with mock.patch.object(os, "fsync", side_effect=full):
        yield


DISKS: dict[str, tuple[Any, int]] = {
    "small files": (small_files, errno.EFBIG),
    "small disk": (small_disk, errno.ENOSPC),
    "no space": (no_space, errno.ENOSPC),
}


@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_costs_the_file_alone(
    name: str, disk: str, tmp_path: pathlib.Path
) -> None:
    """The error is the system's, the old file is whole, no part is left."""
    full, number = DISKS[disk]
    with full(tmp_path):
        path = tmp_path / name
        path.write_bytes(OLD)

        final, error = finished(filepath=path)

        check(final, error)
        assert (error.errno, error.strerror) == (number, os.strerror(number))
        assert str(path) in error.where
        assert names_in(tmp_path) == [name]
        assert path.read_bytes() == OLD


@pytest.mark.parametrize("name", FILES)
def test_the_next_run_writes_once_there_is_room(
    name: str, tmp_path: pathlib.Path
) -> None:
    """A callback whose file was refused writes it at the end of the next."""
    path = tmp_path / name
    path.write_bytes(OLD)
    with small_files(tmp_path):
        final, _ = finished(filepath=path)

    models.finish(final)

    assert names_in(tmp_path) == [name]
    assert path.read_bytes() != OLD


@pytest.mark.parametrize("disk", ["small files", "small disk"])
def test_a_full_disk_under_tensorboard_keeps_the_values(
    disk: str, tmp_path: pathlib.Path
) -> None:
    """Summaries that find no room cost no value, and say that they did."""
    folder = tmp_path / "logs"
    folder.mkdir()
    many = {f"part {n}": LARGE * n for n in range(60)}
    full, _ = DISKS[disk]
    with full(folder):
        final = FinalOpsCallback(many, log_dir=folder)
        with pytest.raises(errors.WriterError) as caught:
            models.finish(final)

    np.testing.assert_equal(final.final_ops_values, many)
    assert "could not be written" in caught.value.what
    assert str(folder) in caught.value.where


# A folder that can't be made


def in_the_way(folder: pathlib.Path) -> pathlib.Path:
    """Puts a file where a folder should be made."""
    path = folder / "a file"
    path.write_bytes(OLD)
    return path


@pytest.mark.parametrize("name", [*FILES, "logs"])
def test_a_folder_below_a_file_is_refused_before_the_run(
    name: str, tmp_path: pathlib.Path
) -> None:
    """The constructor names what is in the way, and leaves it alone."""
    path = in_the_way(tmp_path)
    argument = "log_dir" if name == "logs" else "filepath"

    with pytest.raises(errors.WriterError, match="not a folder") as caught:
        FinalOpsCallback(LARGE, **{argument: path / name})

    assert argument in caught.value.where
    assert names_in(tmp_path) == [path.name]
    assert path.read_bytes() == OLD


def test_a_folder_of_logs_that_can_not_be_made_later(
    tmp_path: pathlib.Path,
) -> None:
    """A file that is in the way later prevents only the summaries."""
    final = FinalOpsCallback({"large": LARGE}, log_dir=tmp_path / "a file")
    path = in_the_way(tmp_path)

    with pytest.raises(errors.WriterError) as caught:
        models.finish(final)

    check(final, caught.value)
    assert caught.value.errno == errno.ENOTDIR
    assert names_in(tmp_path) == [path.name]
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("name", FILES)
def test_a_folder_that_is_gone_costs_the_file_alone(
    name: str, tmp_path: pathlib.Path
) -> None:
    """If the folder of a file is removed in training, only the file is lost."""
    folder = tmp_path / "folder"
    folder.mkdir()
    final = FinalOpsCallback({"large": LARGE}, filepath=folder / name)
    folder.rmdir()

    with pytest.raises(errors.WriterError) as caught:
        models.finish(final)

    check(final, caught.value)
    assert caught.value.errno == errno.ENOENT
    assert names_in(tmp_path) == []


# A file that can't be replaced


def becomes_a_folder(path: pathlib.Path) -> None:
    path.mkdir()
    (path / "inside").write_bytes(OLD)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_place_of_the_file_stays(
    name: str, tmp_path: pathlib.Path
) -> None:
    """A folder that was made at the path of the file is left as it is."""
    path = tmp_path / name
    final = FinalOpsCallback({"large": LARGE}, filepath=path)
    becomes_a_folder(path)

    with pytest.raises(errors.WriterError) as caught:
        models.finish(final)

    check(final, caught.value)
    assert caught.value.errno == errno.EISDIR
    assert names_in(tmp_path) == [name]
    assert (path / "inside").read_bytes() == OLD


def refuse(*paths: Any) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("call", ["replace", "open"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_can_not_be_replaced_stays(
    name: str, call: str, tmp_path: pathlib.Path
) -> None:
    """If the system forbids it, the old file stays and no part is left."""
    path = tmp_path / name
    path.write_bytes(OLD)

    with (
        mock.patch.object(os, call, refuse)
        if call == "replace"
        else (no_new_file())
    ):
        final, error = finished(filepath=path)

    check(final, error)
    assert error.errno == errno.EACCES
    assert names_in(tmp_path) == [name]
    assert path.read_bytes() == OLD


@contextlib.contextmanager
def no_new_file() -> Iterator[None]:
    """Refuses to make files."""
    real: Callable[..., Any] = builtins.open

    def guarded(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        return refuse() if "x" in mode else real(file, mode, *args, **named)

    with (
        mock.patch.object(builtins, "open", guarded),
        mock.patch("io.open", guarded),
    ):
        yield


def test_a_half_written_file_is_noticed(tmp_path: pathlib.Path) -> None:
    """A writer that writes in place leaves half a file on a full disk."""
    path = tmp_path / "in_place.npy"

    with small_files(tmp_path), pytest.raises(OSError, match="written"):
        np.save(path, LARGE)

    assert 0 < path.stat().st_size < LARGE.nbytes
