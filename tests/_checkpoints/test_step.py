# SPDX-License-Identifier: Apache-2.0
"""The step of a checkpoint: its variable, or what Adam's powers tell."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import restore_v1
from final_ops_callback._checkpoints.step import checked_step
from final_ops_callback.errors import CheckpointError
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of
from tests._checkpoints.training import read_v1
from tests._checkpoints.training import write_v1

pytestmark = pytest.mark.slow


def adam(folder: Path, steps: int = 3, **changes: Any) -> str:
    """Saves a training with Adam, with other values of some variables."""
    program = Original(PAIRS["adam"].original)
    program.train(steps)
    values = read_v1(program.save(folder / "whole")) | changes
    left = {name: one for name, one in values.items() if one is not None}
    return write_v1(folder / "m", left)


@pytest.mark.parametrize(
    "value", [np.int32(7), np.int64(7), np.float32(7), np.array([7])]
)
def test_the_dtypes_of_a_step(value: Any) -> None:
    """A whole number of any dtype is a step."""
    assert checked_step("global_step", value, "path") == 7


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf, [1, 2], "7", True])
def test_what_is_no_step(value: Any) -> None:
    """Other values are an error that names the variable."""
    with pytest.raises(CheckpointError, match=r"'global_step' is .* no step"):
        checked_step("global_step", value, "path")


def test_the_powers_tell_the_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a global step, Keras goes on from the step of Adam's powers."""
    prefix = adam(tmp_path, global_step=None)
    model = model_of(PAIRS["adam"].ours())
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        report = restore_v1(model, prefix)

    assert report.step == int(model.optimizer.iterations) == 3
    assert "3 is the step of beta1_power" in caplog.text


@pytest.mark.parametrize("beta", [0.9, 0.5])
def test_other_powers_are_told(tmp_path: Path, beta: float) -> None:
    """A step or a beta that does not fit the powers is noted."""
    changes = {} if beta == 0.5 else {"global_step": np.int64(9)}
    prefix = adam(tmp_path, **changes)
    model = model_of(OPTIMIZERS.Adam(0.1, beta_1=beta))
    report = restore_v1(model, prefix)

    assert len(report.notes) == 1
    assert f"With beta={beta}, beta1_power is that of step" in report.notes[0]
    assert report.step == (3 if beta == 0.5 else 9)


def test_long_trainings_are_not_doubted(tmp_path: Path) -> None:
    """Powers that 32 bits round, as v1 multiplied them, are no difference."""
    step, powers = 20_000, [np.float32(0.9), np.float32(0.999)]
    for _ in range(step):
        powers = [
            powers[0] * np.float32(0.9),
            powers[1] * np.float32(0.999),
        ]
    prefix = adam(
        tmp_path,
        global_step=np.int64(step),
        beta1_power=powers[0],
        beta2_power=powers[1],
    )

    assert restore_v1(model_of(PAIRS["adam"].ours()), prefix).notes == ()


def test_powers_in_a_scope(tmp_path: Path) -> None:
    """The map names the powers and the step, too."""
    whole = read_v1(adam(tmp_path))
    names = {
        "global_step": "train/step",
        "beta1_power": "train/beta1_power",
        "beta2_power": "train/beta2_power",
    }
    values = {names.get(name, name): value for name, value in whole.items()}
    prefix = write_v1(tmp_path / "scoped", values)
    report = restore_v1(model_of(PAIRS["adam"].ours()), prefix, names=names)

    assert (report.step, report.unused, report.notes) == (3, (), ())


def test_a_step_that_is_not_there(tmp_path: Path) -> None:
    """A checkpoint without a step keeps that of the model, unless mapped."""
    program = Original(PAIRS["momentum"].original)
    values = read_v1(program.save(tmp_path / "whole"))
    del values["global_step"]
    prefix = write_v1(tmp_path / "m", values)
    model = model_of(PAIRS["momentum"].ours())
    model.optimizer.iterations.assign(5)

    assert restore_v1(model, prefix).step is None
    assert int(model.optimizer.iterations) == 5
    with pytest.raises(CheckpointError, match=r"has no 'step'.*gives to the s"):
        restore_v1(model, prefix, names={"global_step": "step"})


def test_a_large_step(tmp_path: Path) -> None:
    """A step that the optimizer can count is restored, and no larger one."""
    large = 2**31 + 5
    prefix = adam(tmp_path, global_step=np.int64(large), beta1_power=None)
    model = model_of(PAIRS["adam"].ours())
    counter = model.optimizer.iterations
    if tf.as_dtype(counter.dtype).max > large:
        restore_v1(model, prefix)
        assert int(counter) == large
    else:
        with pytest.raises(CheckpointError, match="does not fit the int32"):
            restore_v1(model, prefix)
