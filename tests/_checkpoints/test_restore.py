# SPDX-License-Identifier: Apache-2.0
"""Keras trains on from a checkpoint of v1 as v1 itself does."""

from pathlib import Path

import numpy as np
import pytest

from final_ops_callback import restore_v1
from tests._checkpoints import training
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of


@pytest.mark.parametrize("name", PAIRS)
def test_keras_goes_on_from_v1(name: str, tmp_path: Path) -> None:
    """The losses after a restore are those of v1 going on."""
    program = Original(PAIRS[name].original)
    program.train(3)
    prefix = program.save(tmp_path / "model.ckpt", global_step=3)
    expected = program.train(5)

    model = model_of(PAIRS[name].ours())
    report = restore_v1(model, prefix)

    np.testing.assert_allclose(training.train(model, 5), expected, rtol=2e-5)
    assert report.step == 3
    assert report.kept == report.unused == ()
    assert report.guessed == {}
