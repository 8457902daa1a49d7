# SPDX-License-Identifier: Apache-2.0
"""The state file of a folder is v1's."""

import os
from pathlib import Path

import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.state_file import state_of
from final_ops_callback._checkpoints.state_file import write_state
from final_ops_callback._checkpoints.state_file import write_whole


def test_v1_reads_it(tmp_path: Path) -> None:
    """TensorFlow finds the latest checkpoint and all others."""
    (tmp_path / "b.index").touch()
    paths = [str(tmp_path / name) for name in "ab"]
    write_state(str(tmp_path), paths[1], paths)

    assert tf.train.latest_checkpoint(str(tmp_path)) == paths[1]
    assert list(state_of(str(tmp_path)).all_model_checkpoint_paths) == paths
    assert sorted(os.listdir(tmp_path)) == ["b.index", "checkpoint"]


def test_no_state(tmp_path: Path) -> None:
    """Neither a missing nor a broken file is a state."""
    assert state_of(str(tmp_path)) is None
    for content in (b"\xff\x00", b"no state", b""):
        (tmp_path / "checkpoint").write_bytes(content)
        state = state_of(str(tmp_path))
        assert state is None or not state.model_checkpoint_path


def test_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that can't be renamed leaves the old one, and no other."""
    path = tmp_path / "file"
    write_whole(str(path), "old")

    def fail(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "no space")

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        write_whole(str(path), "new")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
