# SPDX-License-Identifier: Apache-2.0
"""Opens checkpoints of v1, and explains what can't be opened or read."""

from __future__ import annotations

import os
import re
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from final_ops_callback._checkpoints.state_file import files_of
from final_ops_callback._checkpoints.state_file import state_of
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import DamagedCheckpointError

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_KERAS_FILES = (".h5", ".keras", ".hdf5")
_PARTS = (".index", ".meta", ".data-")
# What TensorFlow, as it reads, takes for a pattern.
PATTERN = re.compile(r"[*?\[\]]")
# What TensorFlow raises for a file that is broken or can't be opened, on the
# way from its C++ reader to Python.
UNREADABLE = (
    tf.errors.OpError,
    OSError,
    ValueError,
    RuntimeError,
    IndexError,
)


class Spec(NamedTuple):
    """What is known of a tensor without reading it.

    Attributes:
        shape: Tuple of integers.
        dtype: The `tf.DType`.
    """

    shape: tuple[int, ...]
    dtype: tf.DType


class Checkpoint:
    """A checkpoint that `tf.compat.v1.train.Saver` wrote, open for reading.

    Variables that v1 had divided into parts appear whole.

    Args:
        prefix: String. The path of the checkpoint, as `save` returned it.

    Raises:
        CheckpointError: It can't be read, or no `Saver` has written it.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        try:
            self._reader = tf.train.load_checkpoint(prefix)
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        self.specs = {
            name: Spec(tuple(shape), dtypes[name])
            for name, shape in sorted(shapes.items())
        }
        if _OBJECTS in self.specs:
            raise CheckpointError(
                f"{prefix!r} is a checkpoint of objects (TensorFlow 2), not "
                "one of names",
                f"path={prefix}",
                "Restore it with model.load_weights(path) or "
                "tf.train.Checkpoint(model=model).restore(path), as it was "
                "written.",
            )

    def read(self, name: str) -> Any:
        """Returns the value of a tensor as an array.

        Raises:
            CheckpointError: Its bytes are damaged, or not there.
        """
        try:
            return self._reader.get_tensor(name)
        except UNREADABLE as error:
            raise self._unreadable(error, f" at {name!r}") from error

    def _unreadable(
        self, error: BaseException, at: str = ""
    ) -> CheckpointError:
        first_line = str(error).partition("\n")[0]
        if isinstance(error, tf.errors.PermissionDeniedError):
            return CheckpointError(
                f"no permission to read {self.prefix!r}",
                f"path={self.prefix}",
                "Change the permissions of its files.",
            )
        if PATTERN.search(self.prefix):
            in_folder = PATTERN.search(os.path.dirname(self.prefix))
            what = "the folder" if in_folder else "the checkpoint"
            return CheckpointError(
                f"TensorFlow can't read {self.prefix!r}: it takes the name of "
                f"{what} for a pattern",
                f"path={self.prefix}",
                f"Rename {what}, without the characters '*?[]'.",
            )
        return DamagedCheckpointError(
            f"{self.prefix!r} can't be read{at}: it is damaged, or not a "
            f"checkpoint ({first_line})",
            f"path={self.prefix}",
            "Name a whole checkpoint of v1: all of its files, as Saver.save "
            "wrote them.",
        )


def open_checkpoint(path: Any) -> Checkpoint:
    """Opens a checkpoint by its path, or the latest one of a folder.

    Args:
        path: String or path. What `Saver.save` returned, such as
            `folder/model.ckpt-100`, or a folder with a file `checkpoint`.

    Raises:
        ArgumentError: `path` is neither a string nor a path.
        CheckpointError: There is no checkpoint, or it can't be read.
    """
    return Checkpoint(_prefix_of(as_text(path)))


def as_text(path: Any) -> str:
    """Returns a path as a string.

    Raises:
        ArgumentError: It is neither a string nor a path.
    """
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str) and text:
            return text
    raise ArgumentError(
        f"{path!r} is not a path",
        f"path={path!r}",
        "Use a string or a path.",
    )


def _prefix_of(path: str) -> str:
    if tf.io.gfile.isdir(path):
        return _latest_of(path)
    if path.endswith(_KERAS_FILES):
        raise CheckpointError(
            f"{path!r} is named like a file of Keras, not a checkpoint of v1",
            f"path={path}",
            "Load it with model.load_weights(path).",
        )
    if os.path.basename(path) == "checkpoint":
        raise CheckpointError(
            f"{path!r} only names the checkpoints of its folder",
            f"path={path}",
            "Name the folder.",
        )
    if files_of(path):
        _refuse_a_part(path)
        return path
    raise DamagedCheckpointError(
        f"there is no checkpoint {path!r}",
        f"path={path}",
        _others(os.path.dirname(path) or "."),
    )


def _refuse_a_part(path: str) -> None:
    for part in _PARTS:
        prefix, found, _ = path.rpartition(part)
        if found and not tf.io.gfile.exists(f"{path}.index"):
            raise CheckpointError(
                f"{path!r} is one of the files of a checkpoint",
                f"path={path}",
                f"Name what they have in common: {prefix!r}.",
            )


def _latest_of(folder: str) -> str:
    state = state_of(folder)
    if state is None or not state.model_checkpoint_path:
        has_state = tf.io.gfile.exists(os.path.join(folder, "checkpoint"))
        what = "can't be read" if has_state else "is not there"
        if tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
            way_out = "It is a SavedModel: name its 'variables/variables'."
        else:
            way_out = _others(folder)
        raise CheckpointError(
            f"the file 'checkpoint' of the folder {folder!r} {what}: it would "
            "name the latest checkpoint",
            f"path={folder}",
            way_out,
        )
    latest = str(state.model_checkpoint_path)
    if not files_of(latest):
        raise CheckpointError(
            f"{latest!r} is not there, which the state file of {folder!r} "
            "names as the latest checkpoint",
            f"path={folder}",
            _others(folder),
        )
    return latest


def _others(folder: str) -> str:
    """Returns a sentence that names the checkpoints in a folder."""
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    prefixes = sorted(
        os.path.join(folder, name.removesuffix(".index"))
        for name in names
        if name.endswith(".index")
    )
    if not prefixes:
        return "Name the path that Saver.save returned, or its folder."
    return f"Name one of {prefixes[-10:]}."
