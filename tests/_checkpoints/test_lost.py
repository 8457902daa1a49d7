# SPDX-License-Identifier: Apache-2.0
"""What Keras can't keep of v1's optimizer is never lost in silence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from final_ops_callback import restore_v1
from final_ops_callback import save_v1
from final_ops_callback._checkpoints.lost import dropped_momentum
from final_ops_callback._checkpoints.lost import step_without_slots
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.reader import open_checkpoint
from final_ops_callback.errors import CheckpointError
from tests._checkpoints import training
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import TRAIN
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of
from tests._checkpoints.training import read_v1
from tests._checkpoints.training import snapshot
from tests._checkpoints.training import write_v1

pytestmark = pytest.mark.slow


def rmsprop(folder: Path, steps: int = 5, **options: Any) -> str:
    """Trains with v1's RMSProp; returns the checkpoint."""
    program = Original(lambda: TRAIN.RMSPropOptimizer(0.01, **options))
    program.train(steps)
    return program.save(folder / "m")


def test_a_momentum_of_rmsprop_is_an_error(tmp_path: Path) -> None:
    """An RMSprop without momentum does not take the slots of one with it."""
    prefix = rmsprop(tmp_path, momentum=0.9)
    model = model_of(OPTIMIZERS.RMSprop(0.01))
    before = snapshot(model)
    with pytest.raises(CheckpointError, match=r"momentum.*Compile with the mo"):
        restore_v1(model, prefix)
    for one, other in zip(before, snapshot(model), strict=False):
        assert (one == other).all()

    model = model_of(OPTIMIZERS.RMSprop(0.01, momentum=0.9))
    assert restore_v1(model, prefix).notes == ()


@pytest.mark.parametrize("centered", [False, True])
def test_the_last_update_of_v1_is_told(tmp_path: Path, centered: bool) -> None:
    """Without momentum, v1's slot is not zero; a note tells what it is."""
    prefix = rmsprop(tmp_path, centered=centered)
    slot = f"RMSProp_{2 if centered else 1}"
    assert read_v1(prefix)[f"hidden/bias/{slot}"].any()
    model = model_of(OPTIMIZERS.RMSprop(0.01, centered=centered))
    (note,) = restore_v1(model, prefix).notes

    assert slot in note
    assert "right if v1's momentum= was 0" in note


def test_a_schedule_gives_no_bound(tmp_path: Path) -> None:
    """Where the rate of v1's last step is not known, it is a note."""
    prefix = rmsprop(tmp_path, momentum=0.9)
    rates = OPTIMIZERS.schedules.ExponentialDecay(0.01, 10, 0.9)
    (note,) = restore_v1(model_of(OPTIMIZERS.RMSprop(rates)), prefix).notes

    assert "compile with momentum=" in note


def test_what_is_zero_is_not_told(tmp_path: Path) -> None:
    """A checkpoint of Keras, whose slots for the momentum are zero, is fine."""
    model = training.begin(model_of(PAIRS["rmsprop"].ours()))
    training.train(model, 2)
    prefix = save_v1(model, tmp_path / "m")

    assert restore_v1(model_of(PAIRS["rmsprop"].ours()), prefix).notes == ()


def test_only_what_is_not_kept_is_read(tmp_path: Path) -> None:
    """Slots that Keras keeps are no loss."""
    prefix = rmsprop(tmp_path, momentum=0.9)
    state = ModelState(
        model_of(OPTIMIZERS.RMSprop(0.01, momentum=0.9)), True, None
    )
    slots = [(slot, f"{slot.path}{slot.suffix}") for slot in state.slots()]

    assert dropped_momentum(state, open_checkpoint(prefix), slots) == []


def test_the_step_over_new_slots_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Adam's first update is too large then; the way out gives v1's."""
    values = WEIGHTS | {"global_step": np.int64(1000)}
    prefix = write_v1(tmp_path / "m", values)

    def first_update(**options: Any) -> float:
        model = model_of(PAIRS["adam"].ours())
        restore_v1(model, prefix, slots=False, **options)
        before = model.get_weights()
        model.train_on_batch(training.X[0], training.Y[0])
        after = model.get_weights()
        return max(
            float(np.abs(one - two).max())
            for one, two in zip(before, after, strict=True)
        )

    assert first_update() > 0.2
    assert 'names={"global_step": None}' in caplog.text
    caplog.clear()

    # v1 with new slots has new powers, too: the update is the rate.
    program = Original(PAIRS["adam"].original)
    program.train(1)
    new = read_v1(program.save(tmp_path / "new"))
    expected = max(np.abs(new[n] - values[n]).max() for n in WEIGHTS)
    assert first_update(names={"global_step": None}) == pytest.approx(
        expected, rel=1e-4
    )
    assert caplog.text == ""


def test_what_does_not_count_its_steps_needs_no_note() -> None:
    """Only a restored step matters, and only where the update depends on it."""
    assert step_without_slots(OPTIMIZERS.SGD(0.1, momentum=0.9), 7) == []
    assert step_without_slots(OPTIMIZERS.Adam(0.1), 0) == []
    assert step_without_slots(None, None) == []
    assert len(step_without_slots(OPTIMIZERS.Adam(0.1), 7)) == 1
