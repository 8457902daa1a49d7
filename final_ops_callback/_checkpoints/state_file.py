# SPDX-License-Identifier: Apache-2.0
"""The file `checkpoint`, which names the checkpoints of a folder."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def state_of(folder: str) -> Any:
    """Returns what the state file of a folder says, as `CheckpointState`.

    Args:
        folder: String. The path of a folder.

    Returns:
        A protocol buffer with absolute paths; `None` if the file is not there,
        or can't be read.
    """
    try:
        return tf.train.get_checkpoint_state(folder)
    except ValueError:  # empty, or no text
        return None


def files_of(prefix: str) -> list[str]:
    """Returns the paths of the files of a checkpoint of v1.

    It does not match patterns, because a folder may have brackets in its name.

    Args:
        prefix: String. The path of the checkpoint. For the parts of the old
            format V1, it ends in `-?????-of-00002`.

    Returns:
        List of strings: the index, the data and the graph; or the one file (or
        the parts) of the old format V1. Empty if there is no checkpoint.
    """
    folder, name = os.path.split(re.sub(r"-\?{5}-of-\d{5}$", "", prefix))
    if not name or not tf.io.gfile.isdir(folder or "."):
        return []
    parts = re.compile(
        rf"{re.escape(name)}(\.index|\.meta|(\.data)?-\d{{5}}-of-\d{{5}})?"
    )
    paths = [
        os.path.join(folder, other)
        for other in sorted(tf.io.gfile.listdir(folder or "."))
        if parts.fullmatch(other)
    ]
    return [path for path in paths if tf.io.gfile.exists(path)]


def write_state(folder: str, latest: str, kept: Sequence[str]) -> None:
    """Writes the state file of a folder, whole or not at all.

    Args:
        folder: String. The path of the folder.
        latest: String. The path of the latest checkpoint.
        kept: Sequence of strings. The paths of all checkpoints, the latest
            one last.
    """
    state = tf.compat.v1.train.generate_checkpoint_state_proto(
        folder, latest, list(kept)
    )
    write_whole(os.path.join(folder, "checkpoint"), str(state))


def write_whole(path: str, text: str) -> None:
    """Writes a text file under another name, and then renames it."""
    part = f"{path}.tmp{uuid.uuid4().hex}"
    try:
        with tf.io.gfile.GFile(part, "w") as file:
            file.write(text)
        tf.io.gfile.rename(part, path, overwrite=True)
    finally:
        if tf.io.gfile.exists(part):
            tf.io.gfile.remove(part)
