# SPDX-License-Identifier: Apache-2.0
"""What can be opened, and what is said of the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.reader import Checkpoint
from final_ops_callback._checkpoints.reader import open_checkpoint
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError

v1 = tf.compat.v1
VALUES = {
    "a": np.arange(600, dtype="f").reshape(100, 6),
    "b/step": np.int64(2**40),
}


def save(folder: Path, name: str = "model.ckpt", **saver: Any) -> str:
    """Saves `VALUES` with a saver of v1."""
    with tf.Graph().as_default(), v1.Session() as session:
        for key, value in VALUES.items():
            v1.get_variable(key, initializer=value, use_resource=False)
        session.run(v1.global_variables_initializer())
        return str(v1.train.Saver(**saver).save(session, str(folder / name)))


def check(checkpoint: Checkpoint) -> None:
    """Checks that a checkpoint holds `VALUES`."""
    assert list(checkpoint.specs) == list(VALUES)
    for key, value in VALUES.items():
        spec = checkpoint.specs[key]
        assert (spec.shape, spec.dtype) == (value.shape, value.dtype)
        np.testing.assert_array_equal(checkpoint.read(key), value)


@pytest.mark.parametrize(
    "saver",
    [
        {},
        {"sharded": True},
        {"write_version": v1.train.SaverDef.V1},
        {"write_version": v1.train.SaverDef.V1, "sharded": True},
    ],
    ids=["V2", "sharded", "V1", "sharded V1"],
)
@pytest.mark.parametrize("by_folder", [False, True])
def test_each_format_of_v1(
    tmp_path: Path, saver: dict[str, Any], by_folder: bool
) -> None:
    """All formats that v1 wrote are read, by their path and their folder."""
    prefix = save(tmp_path, **saver)

    check(open_checkpoint(tmp_path if by_folder else prefix))


def test_a_folder_with_brackets(tmp_path: Path) -> None:
    """TensorFlow takes such a name for a pattern, which is said."""
    folder = tmp_path / "run[1]"
    folder.mkdir()
    prefix = save(folder)

    for path in (prefix, folder):
        with pytest.raises(CheckpointError, match="Rename the folder"):
            open_checkpoint(path)


def test_a_name_with_brackets(tmp_path: Path) -> None:
    """A checkpoint that v1 saved under such a name is told to be renamed."""
    whole = save(tmp_path)
    for file in tmp_path.glob(f"{Path(whole).name}.*"):
        file.rename(tmp_path / f"a[1]{file.name.removeprefix('model.ckpt')}")

    with pytest.raises(CheckpointError, match="Rename the checkpoint, without"):
        open_checkpoint(tmp_path / "a[1]")


def test_a_loop_of_links(tmp_path: Path) -> None:
    """Links that lead to each other are no checkpoint."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        open_checkpoint(tmp_path / "a")


def test_a_folder_means_its_latest_checkpoint(tmp_path: Path) -> None:
    """It is the one that v1 itself takes for the latest."""
    save(tmp_path, "new")
    save(tmp_path, "old")
    state = v1.train.generate_checkpoint_state_proto(
        str(tmp_path), str(tmp_path / "new"), []
    )
    (tmp_path / "checkpoint").write_text(str(state))

    assert open_checkpoint(tmp_path).prefix == tf.train.latest_checkpoint(
        str(tmp_path)
    )


def test_a_folder_may_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths in a state are those of the folder, as in v1."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    save(Path("a"), save_relative_paths=True)
    (tmp_path / "a").rename(tmp_path / "b")

    check(open_checkpoint("b"))


def test_parts_of_a_variable_are_one_tensor(tmp_path: Path) -> None:
    """A variable that v1 had divided is read as a whole."""
    with tf.Graph().as_default(), v1.Session() as session:
        parts = v1.get_variable(
            "parts", [6, 2], partitioner=v1.fixed_size_partitioner(3)
        )
        assert len(list(parts)) == 3
        session.run(v1.global_variables_initializer())
        whole = session.run(tf.convert_to_tensor(parts))
        prefix = v1.train.Saver().save(session, str(tmp_path / "m"))

    checkpoint = open_checkpoint(prefix)

    assert [*checkpoint.specs] == ["parts"]
    np.testing.assert_array_equal(checkpoint.read("parts"), whole)


def _truncate(path: Path, share: float = 0.5) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])


def _objects(folder: Path) -> str:
    return str(tf.train.Checkpoint(a=tf.Variable(1.0)).save(folder / "m"))


def _empty(folder: Path) -> str:
    return str(folder)


def _binary(folder: Path) -> str:
    path = folder / "image.png"
    path.write_bytes(b"\x89PNG" + bytes(range(256)) * 100)
    return str(path)


def _nothing(folder: Path) -> str:
    save(folder)
    return str(folder / "model.ckpt-7")


def _index(folder: Path) -> str:
    return save(folder) + ".index"


def _state(folder: Path) -> str:
    save(folder)
    return str(folder / "checkpoint")


def _state_of_nothing(folder: Path) -> str:
    prefix = save(folder)
    for path in folder.glob("model.ckpt*"):
        path.unlink()
    assert tf.train.latest_checkpoint(str(folder)) is None
    return str(Path(prefix).parent)


def _broken_state(folder: Path) -> str:
    save(folder)
    (folder / "checkpoint").write_bytes(b"\xff\x00no state")
    return str(folder)


def _half_an_index(folder: Path) -> str:
    _truncate(Path(save(folder) + ".index"))
    return str(folder)


def _no_data(folder: Path) -> str:
    save(folder)
    for path in folder.glob("model.ckpt.data*"):
        path.unlink()
    return str(folder)


def _half_of_v1s_file(folder: Path) -> str:
    prefix = save(folder, write_version=v1.train.SaverDef.V1)
    _truncate(Path(prefix))
    return prefix


def _a_keras_file(folder: Path) -> str:
    path = folder / "model.weights.h5"
    path.touch()
    return str(path)


def _a_saved_model(folder: Path) -> str:
    tf.saved_model.save(tf.Module(), str(folder))
    return str(folder)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_objects, "is a checkpoint of objects.*load_weights"),
        (_empty, "is not there: it would name the latest"),
        (_binary, "damaged, or not a checkpoint"),
        (_nothing, r"there is no checkpoint.*Name one of \['.*model.ckpt'\]"),
        (_index, "one of the files.*Name what they have in common: '.*ckpt'"),
        (_state, "only names the checkpoints of its folder.*Name the folder"),
        (_state_of_nothing, "is not there, which the state file"),
        (
            _broken_state,
            "'checkpoint' of .* can't be read: it would.*Name one of",
        ),
        (_half_an_index, "damaged, or not a checkpoint"),
        (_half_of_v1s_file, "damaged, or not a checkpoint"),
        (_no_data, "damaged, or not a checkpoint"),
        (_a_keras_file, "file of Keras.*load_weights"),
        (_a_saved_model, "SavedModel: name its 'variables/variables'"),
    ],
)
def test_what_can_not_be_opened(
    tmp_path: Path, make: Callable[[Path], str], text: str
) -> None:
    """One error says what is there instead, and what to do."""
    path = make(tmp_path)

    with pytest.raises(CheckpointError, match=text):
        open_checkpoint(path).read("a")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_of_the_data_is_an_error(tmp_path: Path, share: float) -> None:
    """A tensor whose bytes are not there names itself in the error."""
    prefix = save(tmp_path)
    (data,) = tmp_path.glob("*.data*")
    _truncate(data, share)

    with pytest.raises(CheckpointError, match=r"can't be read.*damaged"):
        open_checkpoint(prefix).read("a")


def test_a_wrong_byte_is_an_error(tmp_path: Path) -> None:
    """The checksum of a tensor is checked."""
    prefix = save(tmp_path)
    (data,) = tmp_path.glob("*.data*")
    raw = bytearray(data.read_bytes())
    raw[40] ^= 1
    data.write_bytes(raw)

    with pytest.raises(CheckpointError, match="can't be read at 'a'"):
        open_checkpoint(prefix).read("a")


def test_no_permission_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may not be read is told from one that is damaged."""
    prefix = save(tmp_path)

    def refuse(path: str) -> None:
        raise tf.errors.PermissionDeniedError(None, None, f"{path}; denied")

    monkeypatch.setattr(tf.train, "load_checkpoint", refuse)

    with pytest.raises(CheckpointError, match="no permission to read"):
        open_checkpoint(prefix)


@pytest.mark.parametrize("path", [None, 3, b"model.ckpt", ""])
def test_what_is_no_path(path: Any) -> None:
    """Anything but a string or a path is an error."""
    with pytest.raises(ArgumentError, match="is not a path"):
        open_checkpoint(path)
