# SPDX-License-Identifier: Apache-2.0
"""Writes the values of evaluations for TensorBoard, as v1's evaluation did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from final_ops_callback._final_ops.writable import check_folder
from final_ops_callback._final_ops.writable import checked_path
from final_ops_callback._final_ops.writable import reported_as
from final_ops_callback._final_ops.writers import first_existing
from final_ops_callback._final_ops.writers import summary_of


class EvalSummaries:
    """Writes one summary for each value, into one file of a folder.

    Args:
        log_dir: String or path. The folder, which is made when needed.

    Raises:
        ArgumentError: It is no path.
        WriterError: A file is in the way, or the folder can't be written.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        where = f"log_dir={log_dir}"
        self._log_dir = Path(checked_path(log_dir, where)).absolute()
        check_folder(first_existing(self._log_dir), where)
        self._writer: Any = None

    def write(self, values: Mapping[str, Any], step: int) -> None:
        """Appends an event for each value that has a summary.

        Args:
            values: Mapping from tags to values.
            step: Integer. The step of the checkpoint.

        Raises:
            WriterError: The folder can't be written.
        """
        with reported_as(f"log_dir={self._log_dir}"):
            if self._writer is None:
                self._log_dir.mkdir(parents=True, exist_ok=True)
                folder = str(self._log_dir)
                self._writer = tf.summary.create_file_writer(folder)
            with self._writer.as_default(step=step):
                for tag, value in values.items():
                    summary = summary_of(tag, value)
                    if summary is not None:
                        tf.summary.experimental.write_raw_pb(summary)
            self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
