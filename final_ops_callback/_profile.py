# SPDX-License-Identifier: Apache-2.0
"""Traces the kernels of one step, as `FULL_TRACE` did in a v1 session."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from final_ops_callback._tf_private import XSpace

logger = logging.getLogger("final_ops_callback")

# The executor names a kernel "name/of/node:OpType".
_KERNEL = re.compile(r"(?P<node>[\w./>-]+):(?P<op>_?[A-Z]\w*)")


@contextlib.contextmanager
def traced_into(*run_metadata: Any) -> Iterator[None]:
    """Returns a context whose operations are traced into run metadata.

    The metadata of the eager context does not have step stats for a Keras step,
    but the profiler has them. Starting and stopping it takes a millisecond.

    Args:
        *run_metadata: `tf.compat.v1.RunMetadata` messages. Their `step_stats`
            are filled when the context ends. If another profiler is running,
            they stay empty, and a warning is logged.

    Yields:
        Nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.profiler.experimental.start(folder)
        except tf.errors.AlreadyExistsError:
            logger.warning(
                "Another profiler is running, so this run is not traced."
            )
            yield
            return
        try:
            yield
        finally:
            tf.profiler.experimental.stop()
        for path in Path(folder).rglob("*.xplane.pb"):
            space = XSpace.FromString(path.read_bytes())
            for metadata in run_metadata:
                _fill(metadata.step_stats, space)


def _fill(step_stats: Any, space: Any) -> None:
    for plane in space.planes:
        nodes = [
            _node(plane, thread, line, event)
            for thread, line in enumerate(plane.lines)
            for event in line.events
            if _KERNEL.fullmatch(plane.event_metadata[event.metadata_id].name)
        ]
        if nodes:
            device = step_stats.dev_stats.add(device=_device(plane.name))
            device.node_stats.extend(nodes)


def _device(plane_name: str) -> str:
    """Returns the name of the device of a plane, such as `/device:GPU:0`."""
    kind, _, index = re.sub("^.*/(host|device):", "", plane_name).partition(":")
    index = re.sub("[^0-9].*", "", index) or "0"
    return f"/job:localhost/replica:0/task:0/device:{kind}:{index}"


def _node(plane: Any, thread: int, line: Any, event: Any) -> Any:
    name = plane.event_metadata[event.metadata_id].name
    match = _KERNEL.fullmatch(name)
    node, op = match.group("node", "op") if match else (name, name)
    micros = max(1, event.duration_ps // 1_000_000)
    return (
        tf.compat.v1.RunMetadata()
        .step_stats.dev_stats.add()
        .node_stats.add(
            node_name=node,
            timeline_label=f"{node} = {op}()",
            thread_id=thread,
            all_start_micros=line.timestamp_ns // 1000
            + event.offset_ps // 1_000_000,
            op_start_rel_micros=0,
            op_end_rel_micros=micros,
            all_end_rel_micros=micros,
        )
    )
