# SPDX-License-Identifier: Apache-2.0
"""Which checkpoints a folder has."""

import os
from pathlib import Path

import pytest

from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.found import all_of
from final_ops_callback._checkpoints.found import latest
from final_ops_callback._checkpoints.found import why_not
from tests._checkpoints.test_waiting import save


def touch(path: Path, time: int) -> None:
    """Makes a file that was written at a time."""
    path.touch()
    os.utime(path, (time, time))


def names(found: list[Found]) -> list[str]:
    """Returns the names of checkpoints."""
    return [Path(one.path).name for one in found]


def test_the_files_of_keras(tmp_path: Path) -> None:
    """They are in the order of their times, and then of their numbers."""
    for name, time in {
        "w-10.weights.h5": 50,
        "w-9.weights.h5": 50,
        "last.keras": 60,
        "first.keras": 40,
        "other.h5": 70,
        ".hidden.keras": 80,
    }.items():
        touch(tmp_path / name, time)

    assert names(all_of(str(tmp_path))) == [
        "first.keras",
        "w-9.weights.h5",
        "w-10.weights.h5",
        "last.keras",
    ]
    assert names([latest(str(tmp_path))]) == ["last.keras"]


def test_the_state_decides_for_v1(tmp_path: Path) -> None:
    """Those of v1 are those of its state that are there."""
    for name in ("m-1", "m-2", "m-3"):
        save(tmp_path, name)
    for file in tmp_path.glob("m-2*"):
        file.unlink()
    (tmp_path / "m-9.index").touch()  # still being written

    assert names(all_of(str(tmp_path))) == ["m-1", "m-3"]
    assert names([latest(str(tmp_path))]) == ["m-3"]


def test_the_later_of_both_kinds(tmp_path: Path) -> None:
    """Of a checkpoint of v1 and a file of Keras, the later one is latest."""
    save(tmp_path, "m-1")
    touch(tmp_path / "old.keras", 1)
    assert names([latest(str(tmp_path))]) == ["m-1"]
    touch(tmp_path / "new.keras", 2**33)

    assert names([latest(str(tmp_path))]) == ["new.keras"]
    assert names(all_of(str(tmp_path))) == ["m-1", "old.keras", "new.keras"]


@pytest.mark.parametrize("exists", [True, False])
def test_no_checkpoint(tmp_path: Path, exists: bool) -> None:
    """An empty folder has none, and neither has one that is not there."""
    folder = str(tmp_path if exists else tmp_path / "none")

    assert latest(folder) is None
    assert all_of(folder) == []


def test_what_is_written_again_is_another(tmp_path: Path) -> None:
    """A file with another time or size is not the one that was found."""
    path = tmp_path / "best.keras"
    touch(path, 1)
    found = latest(str(tmp_path))
    assert found.now() == found.identity
    path.write_bytes(b"more")
    os.utime(path, (1, 1))
    assert found.now() != found.identity
    path.unlink()

    assert found.now() == ()
    assert latest(str(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("model.ckpt-100", 100),
        ("weights.05-0.12.weights.h5", 5),
        ("model_v2_0300.keras", 300),
        ("epoch_7-val_loss_0.5.keras", 7),
        ("best.weights.h5", None),
    ],
)
def test_the_step_in_a_name(name: str, step: int | None) -> None:
    """It is the last whole number, without the one in a suffix."""
    assert Found(f"/folder9/{name}", False, ()).step_of_name() == step


def test_all_files_of_a_checkpoint(tmp_path: Path) -> None:
    """Those of another one whose name begins alike don't belong to it."""
    save(tmp_path, "m-1")
    save(tmp_path, "m-10")
    (tmp_path / "m-1.meta").touch()
    (found,) = (
        one for one in all_of(str(tmp_path)) if one.path.endswith("m-1")
    )

    assert sorted(Path(file).name for file in found.files()) == [
        "m-1.data-00000-of-00001",
        "m-1.index",
        "m-1.meta",
    ]


@pytest.mark.parametrize("every", [True, False])
def test_nothing_is_wrong(tmp_path: Path, every: bool) -> None:
    """A whole folder, an empty one and one to come need no explanation."""
    assert why_not(str(tmp_path / "none"), every) == ""
    assert why_not(str(tmp_path), every) == ""
    touch(tmp_path / "w.keras", 1)
    assert why_not(str(tmp_path), every) == ""
    save(tmp_path, "m-1")

    assert why_not(str(tmp_path), every) == ""


def test_a_folder_that_was_moved(tmp_path: Path) -> None:
    """Absolute paths in the state of a moved folder are told."""
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("m-1", "m-2"):
        save(old, name)
    assert names(all_of(str(old))) == ["m-1", "m-2"]
    old.rename(new)

    assert all_of(str(new)) == []
    assert f"'{old}/m-2'. Was" in why_not(str(new), False)
    assert f"'{old}/m-1', '{old}/m-2'. Was" in why_not(str(new), True)


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00"])
def test_a_state_that_is_not_there(
    tmp_path: Path, content: bytes | None
) -> None:
    """Files of checkpoints without their state are told, and what to write."""
    for name in ("m-9", "m-10"):
        save(tmp_path, name)
    (tmp_path / "checkpoint").unlink()
    if content is not None:
        (tmp_path / "checkpoint").write_bytes(content)
    reason = why_not(str(tmp_path), False)

    assert "'m-10', 'm-9', but its file 'checkpoint'" in reason
    assert ("is not there" in reason) == (content is None)
    line = reason.rpartition("write it: ")[2].removesuffix(".")
    (tmp_path / "checkpoint").write_text(line)
    assert names([latest(str(tmp_path))]) == ["m-10"]
