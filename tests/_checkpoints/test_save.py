# SPDX-License-Identifier: Apache-2.0
"""v1 trains on from a checkpoint of Keras as Keras itself does."""

from pathlib import Path

import numpy as np
import pytest

from final_ops_callback import save_v1
from tests._checkpoints import training
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of


@pytest.mark.parametrize("name", PAIRS)
def test_v1_goes_on_from_keras(name: str, tmp_path: Path) -> None:
    """The losses of v1 after a restore are those of Keras going on."""
    model = training.begin(model_of(PAIRS[name].ours()))
    training.train(model, 3)
    prefix = save_v1(model, tmp_path / "model.ckpt")
    expected = training.train(model, 5)

    program = Original(PAIRS[name].original)
    program.restore(prefix)

    np.testing.assert_allclose(program.train(5), expected, rtol=2e-5)
