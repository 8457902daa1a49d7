# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of one side restores on the other: weights, slots, step."""

import pytest
import tensorflow as tf

from tests.contract import drivers

v1 = tf.compat.v1
DRIVERS = {"v1": drivers.run_v1, "ours": drivers.run_keras}


class Restores(v1.train.SessionRunHook):
    """Restores all that a default Saver knows, as soon as it can."""

    def __init__(self, path):
        self._path = path

    def begin(self):
        self._saver = v1.train.Saver()

    def after_create_session(self, session, coord):
        self._saver.restore(session, self._path)


def resumed(source, target, optimizer, folder):
    """Train with one driver, restore and train on with another.

    Args:
        source: The driver that writes the checkpoint.
        target: The driver that trains on.
        optimizer: `"momentum"` or `"adam"`.
        folder: An empty folder.

    Returns:
        The `Trace` of the second training.
    """

    def save(env):
        return [v1.train.CheckpointSaverHook("ckpt", save_steps=4)]

    def restore(env):
        return [
            Restores(path),
            v1.train.LoggingTensorHook(["loss:0"], every_n_iter=1),
        ]

    source(save, folder / "source", optimizer=optimizer)
    path = str(folder / "source" / "ckpt" / "model.ckpt-6")
    return target(restore, folder / "target", optimizer=optimizer)


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize(
    ("source", "target"), [("v1", "ours"), ("ours", "v1"), ("ours", "ours")]
)
def test_training_goes_on_as_in_v1(source, target, optimizer, tmp_path):
    """Training goes on from the checkpoint as if v1 had written and read it."""
    expected = resumed(
        drivers.run_v1, drivers.run_v1, optimizer, tmp_path / "v1"
    )

    actual = resumed(
        DRIVERS[source], DRIVERS[target], optimizer, tmp_path / "ours"
    )

    found = drivers.differences(expected, actual)
    assert not found, "\n".join(found)
