# SPDX-License-Identifier: Apache-2.0
"""Writers of final values: to the console, to TensorBoard and to files.

The constructor of a writer checks whatever it can, and writes nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from typing import Protocol

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from final_ops_callback import _structure
from final_ops_callback._final_ops.host_values import widened
from final_ops_callback._final_ops.values_file import ValuesFile
from final_ops_callback._final_ops.values_file import check_distinct
from final_ops_callback._final_ops.writable import check_folder
from final_ops_callback._final_ops.writable import checked_path
from final_ops_callback._final_ops.writable import reported_as

# The most characters of one value on the console.
_LONGEST = 160


class Writer(Protocol):
    """Writes final values to one destination.

    Attributes:
        writes_files: Boolean. Whether only the chief of several workers writes.
    """

    writes_files: bool

    def write(self, values: Any, phase: str, step: int) -> None:
        """Writes the values of a phase that ended at a step."""


def make_writers(
    phases: Iterable[str],
    log_dir: str | os.PathLike[str] | None,
    filepath: str | os.PathLike[str] | None,
    verbose: int,
) -> list[Writer]:
    """Returns the writers that the arguments of FinalOpsCallback ask for."""
    writers: list[Writer] = []
    if verbose:
        writers.append(Console())
    if log_dir is not None:
        writers.append(TensorBoard(log_dir))
    if filepath is not None:
        writers.append(ValuesFile(filepath, phases))
    return writers


class Console:
    """Prints one aligned line for each value."""

    writes_files = False

    def write(self, values: Any, phase: str, step: int) -> None:
        """Prints the values under a line that names the phase and step."""
        rows = [
            (_structure.as_name(path, _structure.ROOT), _one_line(value))
            for path, value in _structure.leaves_with_path(values)
        ]
        width = max((len(name) for name, _ in rows), default=0)
        print(f"Final ops of {phase} at step {step}:")
        for name, text in rows:
            print(f"  {name:<{width}}  {text}")


class TensorBoard:
    """Writes summaries for TensorBoard, into a folder for each phase.

    Scalars become scalars, vectors and above become histograms, and a
    serialized `Summary` is written as itself. Other values have no summary.

    Args:
        log_dir: String or path. The folder, which is created when needed.

    Raises:
        WriterError: A file is in the way, or the folder can't be written.
    """

    writes_files = True

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        where = f"log_dir={log_dir}"
        # The path is made absolute now, because training may change the
        # working directory.
        self._log_dir = Path(checked_path(log_dir, where)).absolute()
        check_folder(first_existing(self._log_dir), where)

    def write(self, values: Any, phase: str, step: int) -> None:
        """Appends one event for each value that has a summary."""
        folder = self._log_dir / phase
        summaries = []
        for path, value in _structure.leaves_with_path(values):
            tag = _structure.as_name(path, _structure.ROOT)
            summary = summary_of(tag, value)
            if summary is not None:
                summaries.append((tag, summary))
        check_distinct((tag for tag, _ in summaries), "tags of summaries")
        with reported_as(f"log_dir={self._log_dir}"):
            folder.mkdir(parents=True, exist_ok=True)
            writer = tf.summary.create_file_writer(str(folder))
            with contextlib.closing(writer), writer.as_default(step=step):
                for _, summary in summaries:
                    # The raw form does not need the tensorboard package.
                    tf.summary.experimental.write_raw_pb(summary)


def summary_of(tag: str, value: Any) -> Any:
    """Returns a value as a serialized `Summary`, or `None` if it has none.

    Args:
        tag: String. The tag that TensorBoard shows.
        value: The value, on the host.
    """
    if isinstance(value, bytes):
        return value if _is_summary(value) else None
    if not isinstance(value, bool | int | float | np.ndarray | np.generic):
        return None
    if isinstance(value, np.ma.MaskedArray):
        value = value.compressed()
    array = widened(np.asarray(value))
    if array.dtype.kind not in "biuf":
        return None
    array = array.astype(np.float64)
    if array.ndim == 0:
        return tf.raw_ops.ScalarSummary(tags=tag, values=array)
    # A histogram can't hold values that are not finite.
    return tf.raw_ops.HistogramSummary(
        tag=tag, values=array[np.isfinite(array)]
    )


def _is_summary(value: bytes) -> bool:
    try:
        return bool(tf.compat.v1.Summary.FromString(value).value)
    except DecodeError:
        return False


def _one_line(value: Any) -> str:
    if isinstance(value, bytes | str) and len(value) > _LONGEST:
        kind = type(value).__name__
        return f"{kind}[{len(value)}] {value[: _LONGEST // 2]!r}..."
    if hasattr(value, "to_list"):  # RaggedTensorValue
        value = value.to_list()
    text = " ".join(str(value).split())
    if isinstance(value, np.ndarray) and (
        value.size > 16 or len(text) > _LONGEST
    ):
        edges = np.array2string(value, threshold=0, edgeitems=1)
        text = " ".join(f"{value.dtype}{list(value.shape)} {edges}".split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def first_existing(folder: Path) -> Path:
    """Returns a path itself, or the nearest folder above that is there."""
    return next(p for p in (folder, *folder.absolute().parents) if p.exists())
