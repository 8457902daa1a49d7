# SPDX-License-Identifier: Apache-2.0
"""Checks that paths can be written, and reports when writing fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import WriterError


def checked_path(path: Any, where: str) -> str:
    """Returns a path as a string.

    Args:
        path: The argument, which should be a string or a path.
        where: String. The name of the argument, for the error.

    Raises:
        ArgumentError: It is neither, or it is a path of bytes.
    """
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str):
            return text
    raise ArgumentError(
        f"a {type(path).__name__} is not a path",
        where,
        "Use a string or a path.",
    )


def check_folder(folder: Path, where: str) -> None:
    """Checks that files can be created in a folder.

    Args:
        folder: Path of the folder.
        where: String. The argument that named it, for the error.

    Raises:
        WriterError: It is missing, not a folder, or not writable.
    """
    if not folder.is_dir():
        raise WriterError(
            f"{folder} is not a folder",
            where,
            "Create it, or name another one.",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriterError(
            f"no permission to write into {folder}",
            where,
            "Change its permissions, or name another one.",
        )


@contextlib.contextmanager
def reported_as(where: str) -> Iterator[None]:
    """Turns an error of the operating system into a `WriterError`."""
    try:
        yield
    except WriterError:
        raise
    except (OSError, tf.errors.OpError) as error:
        reported = WriterError(
            f"the final values could not be written ({error})",
            where,
            "They are still in final_ops_values.",
        )
        for name in ("errno", "strerror", "filename"):
            setattr(reported, name, getattr(error, name, None))
        raise reported from error
