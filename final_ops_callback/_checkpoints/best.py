# SPDX-License-Identifier: Apache-2.0
"""Keeps a copy of the best checkpoint of a folder, also over restarts."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.state_file import write_state
from final_ops_callback._checkpoints.state_file import write_whole
from final_ops_callback._keras.weights_files import SUFFIXES
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import DamagedCheckpointError
from final_ops_callback.errors import WriterError

logger = logging.getLogger("final_ops_callback")

Choose = Callable[[float, float], float]
_RECORD = "best.json"


class Best:
    """Copies each checkpoint that is better than all before it.

    The folder then holds the files of the best one, for v1 also a state file,
    and `best.json`, which is written last: it tells what was best if the
    evaluation starts again.

    Args:
        name: String. The name of the value to compare.
        choose: Function of two values that returns the better one, such as
            `max`.
        folder: String. The path of the folder, which is made when needed. It
            holds nothing else.

    Raises:
        ArgumentError: The folder holds the best one by another value, or a
            record that can't be read.
    """

    def __init__(self, name: str, choose: Choose, folder: str) -> None:
        self._name, self._choose = name, choose
        self._folder = folder
        self._path = os.path.join(folder, _RECORD)
        self._record = self._read()

    @property
    def value(self) -> float | None:
        """The best value so far; `None` if there is none."""
        return self._record.get("value")

    def _read(self) -> dict[str, Any]:
        if not tf.io.gfile.exists(self._path):
            return {}
        try:
            with tf.io.gfile.GFile(self._path) as file:
                record = json.loads(file.read())
            own = record["name"], float(record["value"]), record["files"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArgumentError(
                f"{self._path!r} can't be read: {error}",
                "best",
                "Delete it, or name another folder as best_dir=.",
            ) from error
        if own[0] != self._name:
            raise ArgumentError(
                f"{self._folder!r} holds the best checkpoint by {own[0]!r}, "
                f"not by {self._name!r}",
                "best",
                "Name another folder as best_dir=.",
            )
        return dict(record)

    @contextlib.contextmanager
    def staged(self, found: Found) -> Iterator[str]:
        """Copies a checkpoint aside, before v1 deletes it.

        Args:
            found: The checkpoint that is about to be evaluated.

        Yields:
            String. The folder of the copy, which is gone afterwards, and with
            it the folder of the best one, if that was not there and has none.

        Raises:
            DamagedCheckpointError: It is gone.
            WriterError: It can't be copied.
        """
        # On the file system of the folder, so that it is renamed into it.
        stage = os.path.join(self._folder, f".part-{uuid.uuid4().hex}")
        was_there = tf.io.gfile.exists(self._folder)
        try:
            with _reported(self._folder):
                tf.io.gfile.makedirs(stage)
                for file in found.files():
                    _copy(file, os.path.join(stage, os.path.basename(file)))
            yield stage
        finally:
            if tf.io.gfile.exists(stage):
                tf.io.gfile.rmtree(stage)
            if not was_there:
                _remove_empty(self._folder)

    def keep(
        self, found: Found, stage: str, values: Mapping[str, Any], step: int
    ) -> bool:
        """Keeps a copy if it is the best one so far.

        Args:
            found: The checkpoint.
            stage: String. The folder of its copy.
            values: Mapping from names to values, of the evaluation.
            step: Integer. The step of the checkpoint.

        Returns:
            Whether it is the best one.

        Raises:
            ArgumentError: The values have no such name, or no number there.
            WriterError: The folder can't be written.
        """
        value = self._value_of(values)
        if math.isnan(value):
            logger.warning(
                "%r is NaN at step %d, and not the best.", self._name, step
            )
            return False
        best = self.value
        if best is not None and (
            value == best or self._choose(best, value) != value
        ):
            return False
        with _reported(self._folder):
            self._replace(found, stage, value, step)
        return True

    def _value_of(self, values: Mapping[str, Any]) -> float:
        value = np.asarray(values.get(self._name))
        if value.dtype.kind in "biuf" and value.size == 1:
            return float(value.item())
        raise ArgumentError(
            f"{self._name!r} is no number of this evaluation",
            "best",
            f"There is {sorted(values)}.",
        )

    def _replace(
        self, found: Found, stage: str, value: float, step: int
    ) -> None:
        names = sorted(tf.io.gfile.listdir(stage))
        for name in names:
            source, target = (
                os.path.join(f, name) for f in (stage, self._folder)
            )
            tf.io.gfile.rename(source, target, overwrite=True)
        prefix = os.path.join(self._folder, os.path.basename(found.path))
        if found.is_v1:
            write_state(self._folder, prefix, [prefix])
        old = self._record.get("files", [])
        self._record = {
            "name": self._name,
            "value": value,
            "step": step,
            "checkpoint": os.path.basename(found.path),
            "files": names,
        }
        write_whole(self._path, json.dumps(self._record, indent=2) + "\n")
        for name in set(old) - set(names):
            path = os.path.join(self._folder, os.path.basename(name))
            if tf.io.gfile.exists(path):
                tf.io.gfile.remove(path)


def _remove_empty(folder: str) -> None:
    # It fails if a best one is in it now, or if it is no local folder.
    with contextlib.suppress(OSError):
        os.rmdir(folder)


def _copy(source: str, target: str) -> None:
    """Copies a file of a checkpoint.

    A file of v1 is never written again under its name, so a link is enough,
    where the file system has them.
    """
    if not source.endswith(SUFFIXES):
        try:
            os.link(source, target)
            return
        except OSError:  # then it is copied, which tells what is wrong
            pass
    try:
        tf.io.gfile.copy(source, target)
    except tf.errors.NotFoundError as error:
        if tf.io.gfile.exists(source):
            raise
        raise DamagedCheckpointError(
            f"{source!r} is gone", "best", "Keep more checkpoints."
        ) from error


@contextlib.contextmanager
def _reported(folder: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError:
        raise
    except (tf.errors.OpError, OSError) as error:
        raise WriterError(
            f"the best checkpoint can't be kept: {error}",
            f"best_dir={folder}",
            "Check the space and the permissions of the folder.",
        ) from error
