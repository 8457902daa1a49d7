# SPDX-License-Identifier: Apache-2.0
"""A checkpoint is loaded as a whole, or skipped, or refused."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from final_ops_callback import save_v1
from final_ops_callback._checkpoints.found import latest
from final_ops_callback._checkpoints.loading import Names
from final_ops_callback._checkpoints.loading import load
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import DamagedCheckpointError
from tests._checkpoints import training
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import model_of
from tests._checkpoints.training import write_v1
from tests.flavors import keras
from tests.flavors import needs_keras_3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]


def trained() -> Any:
    """Returns a model that has trained for three steps."""
    model = training.begin(model_of(OPTIMIZERS.Adam(0.1)))
    training.train(model, 3)
    return model


SAVES = {
    "v1": lambda model, folder: save_v1(model, folder / "model.ckpt"),
    "weights": lambda model, folder: model.save_weights(
        folder / "best.weights.h5"
    ),
    "model": lambda model, folder: model.save(folder / "best.keras"),
}


@pytest.mark.parametrize("kind", SAVES)
def test_each_kind(kind: str, tmp_path: Path) -> None:
    """Weights and step are those of the model that was saved."""
    saved = trained()
    SAVES[kind](saved, tmp_path)
    model = model_of(OPTIMIZERS.SGD(0.1))
    step = load(model, latest(str(tmp_path)), Names())

    assert step == int(model.optimizer.iterations) == 3
    for one, two in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@needs_keras_3
@pytest.mark.parametrize("kind", SAVES)
def test_the_step_is_one_of_updates(kind: str, tmp_path: Path) -> None:
    """Of accumulated gradients, all kinds of files tell the same step."""

    def make() -> Any:
        return model_of(OPTIMIZERS.SGD(0.1, gradient_accumulation_steps=2))

    saved = make()
    for _ in range(4):
        saved.train_on_batch(training.X[0], training.Y[0])
    SAVES[kind](saved, tmp_path)
    model = make()

    assert load(model, latest(str(tmp_path)), Names()) == 2
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("kind", SAVES)
def test_what_changes_meanwhile(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is written while it is read is not taken."""
    SAVES[kind](trained(), tmp_path)
    found = latest(str(tmp_path))
    other = found._replace(identity=(("x", 1, 1),))

    with pytest.raises(DamagedCheckpointError, match="changed while it was"):
        load(model_of(OPTIMIZERS.SGD(0.1)), other, Names())


@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.parametrize("how", ["half", "gone"])
def test_what_is_damaged(kind: str, how: str, tmp_path: Path) -> None:
    """A damaged one, or one that is gone, is said to be so."""
    SAVES[kind](trained(), tmp_path)
    found = latest(str(tmp_path))
    for file in found.files():
        whole = Path(file).read_bytes()
        Path(file).unlink()
        if how == "half":
            Path(file).write_bytes(whole[: len(whole) // 2])
    model = training.begin(model_of(OPTIMIZERS.SGD(0.1)))

    with pytest.raises(DamagedCheckpointError):
        load(model, found, Names())
    for one, two in zip(model.get_weights(), WEIGHTS.values(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", SAVES)
@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_another_model(kind: str, tmp_path: Path) -> None:
    """The checkpoint of another model is an error, and no damage."""
    SAVES[kind](trained(), tmp_path)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(7, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(hidden))
    model.compile("sgd", "mse")

    with pytest.raises(CheckpointError, match=r"other model") as caught:
        load(model, latest(str(tmp_path)), Names())
    assert not isinstance(caught.value, DamagedCheckpointError)


def test_no_step_but_in_the_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a step inside, that of the name counts, or 0 with a warning."""
    model = model_of(OPTIMIZERS.SGD(0.1))
    for name, step in (("m-70", 70), ("m", 0)):
        prefix = write_v1(tmp_path / name, WEIGHTS)
        found = latest(str(tmp_path))
        assert found.path == prefix
        with caplog.at_level(logging.WARNING, "final_ops_callback"):
            assert load(model, found, Names()) == step
        assert ("tells a step" in caplog.text) == (step == 0)

    assert int(model.optimizer.iterations) == 0
