# SPDX-License-Identifier: Apache-2.0
"""What evaluations have found is read from a fit, or from event files."""

from pathlib import Path

import tensorflow as tf

from final_ops_callback.estimator._early_stopping import EventFiles
from final_ops_callback.estimator._early_stopping import Validations
from final_ops_callback.estimator._early_stopping import evaluations_of
from tests import models
from tests.estimator.test_experimental import LOSSES
from tests.estimator.test_experimental import write_losses


def test_event_files_of_v1_are_read(tmp_path: Path) -> None:
    """Each scalar is found at its step."""
    write_losses(tmp_path)

    found = EventFiles(str(tmp_path)).by_step()

    assert found == {step: {"loss": loss} for step, loss in LOSSES.items()}


def test_an_event_that_is_not_whole_yet_is_left_out(tmp_path: Path) -> None:
    """As in v1, a file may be read while it is being written."""
    write_losses(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])

    found = EventFiles(str(tmp_path)).by_step()

    whole = list(LOSSES)[:-1]
    assert found == {step: {"loss": LOSSES[step]} for step in whole}


def test_event_files_of_tensorflow_2_are_read(tmp_path: Path) -> None:
    """A scalar that is written as a tensor is found; a vector is not one."""
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        tf.summary.write("loss", 0.5, step=3)
        tf.summary.write("vector", [1.0, 2.0], step=3)

    found = EventFiles(str(tmp_path)).by_step()

    assert found == {3: {"loss": 0.5}}


def test_a_folder_without_files_has_found_nothing(tmp_path: Path) -> None:
    """An evaluation that has not begun is no error, as in v1."""
    found = evaluations_of(None, str(tmp_path / "none")).by_step()

    assert found == {}


def test_a_validation_that_is_not_each_epoch_is_found_once() -> None:
    """A value belongs to the step after which it was found."""
    model = models.tiny_model()
    validations = Validations(model)
    steps = []

    class Notes(models.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            steps.append(int(model.optimizer.iterations.numpy()))
            validations.note(steps[-1])

    history = models.fit(
        model, Notes(), validate=True, epochs=5, validation_freq=2
    )

    expected = dict(zip((4, 8), history["val_loss"], strict=True))
    assert {
        step: metrics["loss"] for step, metrics in validations.by_step().items()
    } == expected
