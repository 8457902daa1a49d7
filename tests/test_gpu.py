# SPDX-License-Identifier: Apache-2.0
"""On a GPU, hooks wait for no value that nobody asked for."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback._tf_private import XSpace
from tests import models

v1 = tf.compat.v1
FROM_THE_GPU = "MemcpyD2H"
STEPS = 50

needs_gpu = pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU"), reason="there is no GPU here"
)


class Silent(v1.train.SessionRunHook):
    """Overrides the methods around a step, and asks for nothing."""

    def before_run(self, run_context: Any) -> None:
        """Asks for nothing."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Reads nothing."""


def copies(folder: Path) -> int:
    """Counts the copies from a GPU in what the profiler has written."""
    spaces = [
        XSpace.FromString(path.read_bytes())
        for path in folder.rglob("*.xplane.pb")
    ]
    assert spaces
    return sum(
        FROM_THE_GPU in plane.event_metadata[event.metadata_id].name
        for space in spaces
        for plane in space.planes
        for line in plane.lines
        for event in line.events
    )


def copies_of_a_fit(folder: Path, *callbacks: Any) -> int:
    """Counts the copies from a GPU in a fit of some steps."""
    model, data = models.tiny_model(), models.tiny_data()
    batches = tf.data.Dataset.from_tensors((data.x, data.y)).repeat()

    def fit() -> None:
        model.fit(
            batches,
            steps_per_epoch=STEPS,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )

    fit()
    with tf.profiler.experimental.Profile(str(folder)):
        fit()
    return copies(folder)


@pytest.mark.gpu
@needs_gpu
def test_hooks_that_read_nothing_wait_for_nothing(tmp_path: Path) -> None:
    """No value leaves the GPU in a step, as in a fit without hooks."""
    bare = copies_of_a_fit(tmp_path / "bare")
    hooks = copies_of_a_fit(
        tmp_path / "hooks", SessionRunHookCallback([Silent(), Silent()])
    )
    final = copies_of_a_fit(tmp_path / "final", FinalOpsCallback("loss"))

    # Something may be copied when a run begins and ends, but not in a step.
    assert hooks - bare < STEPS / 2
    assert final - bare < STEPS / 2


def test_copies_are_counted(tmp_path: Path) -> None:
    """The profile of a machine without a GPU has none; a written one has."""
    with tf.profiler.experimental.Profile(str(tmp_path / "cpu")):
        tf.constant(1.0).numpy()
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    assert has_gpu or copies(tmp_path / "cpu") == 0
    space = XSpace()
    plane = space.planes.add(name="/device:GPU:0")
    plane.event_metadata[7].name = FROM_THE_GPU
    line = plane.lines.add()
    for _ in range(3):
        line.events.add(metadata_id=7)
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "one.xplane.pb").write_bytes(space.SerializeToString())

    assert copies(tmp_path / "gpu") == 3
