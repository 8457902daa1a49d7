# SPDX-License-Identifier: Apache-2.0
"""Finds the checkpoints of v1 and the files of Keras in a folder."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import tensorflow as tf

from final_ops_callback._checkpoints.state_file import files_of
from final_ops_callback._checkpoints.state_file import state_of
from final_ops_callback._keras.weights_files import SUFFIXES

Identity = tuple[tuple[str, int, int], ...]


class Found(NamedTuple):
    """A checkpoint as it was at a moment.

    Attributes:
        path: String. The path of a file of Keras, or the prefix of a
            checkpoint of v1.
        is_v1: Boolean. Which of the two it is.
        identity: Tuple of its files, with their times and sizes: a file that
            is written again is another checkpoint.
    """

    path: str
    is_v1: bool
    identity: Identity

    def now(self) -> Identity:
        """Returns the identity that the checkpoint has now."""
        return _identity(self.path, self.is_v1)

    def files(self) -> list[str]:
        """Returns the paths of its files."""
        return _files(self.path, self.is_v1)

    def step_of_name(self) -> int | None:
        """Returns the last whole number in its name; `None` if there is none.

        `weights.05-0.12.weights.h5` is of step 5: what has a point in it is a
        metric.
        """
        name = os.path.basename(self.path)
        for suffix in SUFFIXES:
            name = name.removesuffix(suffix)
        numbers = re.findall(r"\d+", re.sub(r"\d+\.\d+", "", name))
        return int(numbers[-1]) if numbers else None


def latest(folder: str) -> Found | None:
    """Returns the latest checkpoint of a folder, or `None` if it has none.

    Of those of v1, it is the one that the state file names, as in v1; of
    Keras's files, and of both kinds, it is the one that was written last.

    Args:
        folder: String. The path of the folder, which need not be there.
    """
    every = _of_keras(folder)
    state = state_of(folder)
    if state is not None:
        every += _of_v1([state.model_checkpoint_path])
    return max(every, key=_age, default=None)


def all_of(folder: str) -> list[Found]:
    """Returns all checkpoints of a folder, the oldest first.

    Those of v1 are those that the state file names, in its order; Keras's
    files follow by the time when they were written.

    Args:
        folder: String. The path of the folder, which need not be there.
    """
    state = state_of(folder)
    prefixes = list(state.all_model_checkpoint_paths) if state else []
    return [*_of_v1(prefixes), *sorted(_of_keras(folder), key=_age)]


def why_not(folder: str, every: bool) -> str:
    """Returns why checkpoints of v1 that seem to be there are not found.

    Args:
        folder: String. The path of the folder.
        every: Boolean. Whether each one is of interest, not only the latest.

    Returns:
        A sentence; empty if nothing is wrong.
    """
    state = state_of(folder)
    if state is not None:
        latest = state.model_checkpoint_path
        named = state.all_model_checkpoint_paths if every else [latest]
        gone = [path for path in named if path and not files_of(path)]
        if not gone:
            return ""
        return (
            f"The state file of {folder!r} names what is not there: "
            f"{', '.join(map(repr, gone))}. Was the folder moved? Write the "
            "paths of now into its file 'checkpoint'."
        )
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    prefixes = [n.removesuffix(".index") for n in names if n.endswith(".index")]
    if not prefixes:
        return ""
    has_file = tf.io.gfile.exists(os.path.join(folder, "checkpoint"))
    return (
        f"The folder {folder!r} has {', '.join(map(repr, sorted(prefixes)))}, "
        "but its file 'checkpoint', which names the checkpoints of v1, "
        f"{'can not be read' if has_file else 'is not there'}. Copy that file, "
        'too, or write it: model_checkpoint_path: "'
        f'{max(prefixes, key=_natural)}".'
    )


def _of_v1(prefixes: list[str]) -> list[Found]:
    found = (Found(p, True, _identity(p, True)) for p in prefixes if p)
    return [one for one in found if one.identity]


def _of_keras(folder: str) -> list[Found]:
    if not tf.io.gfile.isdir(folder):
        return []
    paths = [
        os.path.join(folder, name)
        for name in tf.io.gfile.listdir(folder)
        if name.endswith(SUFFIXES) and not name.startswith(".")
    ]
    found = (Found(path, False, _identity(path, False)) for path in paths)
    return [one for one in found if one.identity]


def _age(found: Found) -> tuple[int, list[tuple[str, int]]]:
    natural = _natural(os.path.basename(found.path))
    return max(time for _, time, _ in found.identity), natural


def _natural(name: str) -> list[tuple[str, int]]:
    numbers = re.findall(r"(\D*)(\d*)", name)
    return [(text, int(number or 0)) for text, number in numbers]


def _files(path: str, is_v1: bool) -> list[str]:
    return files_of(path) if is_v1 else [path]


def _identity(path: str, is_v1: bool) -> Identity:
    """Returns what tells a checkpoint from others; empty if it is gone."""
    found = []
    try:
        for file in _files(path, is_v1):
            if not file.endswith(".meta"):  # written after the state file
                stat = tf.io.gfile.stat(file)
                found.append((file, int(stat.mtime_nsec), int(stat.length)))
    except tf.errors.NotFoundError:
        return ()
    return tuple(sorted(found))
