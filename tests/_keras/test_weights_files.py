# SPDX-License-Identifier: Apache-2.0
"""The files of Keras, whole and damaged."""

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from final_ops_callback._keras import weights_files
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import LossScaleOptimizer
from tests.flavors import keras
from tests.flavors import needs_keras_3

suffixes = pytest.mark.parametrize("suffix", weights_files.SUFFIXES)
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")


def saved(model: Any, path: Path) -> str:
    """Saves a model, as its file wants it; returns the path."""
    if path.suffix == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    return str(path)


@suffixes
@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_weights_and_step(flavor: Any, suffix: str, tmp_path: Path) -> None:
    """A model with another optimizer gets the weights, and tells the step."""
    model = models.tiny_model(flavor, momentum=0.9)
    models.fit(model, epochs=3)
    path = saved(model, tmp_path / f"m{suffix}")
    other = models.tiny_model(flavor)
    step = weights_files.load(other, path)

    assert step == int(model.optimizer.iterations) == 6
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@suffixes
def test_the_step_inside_a_loss_scale(suffix: str, tmp_path: Path) -> None:
    """The step is that of the inner optimizer."""
    model = models.tiny_model()
    model.compile(
        LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse", jit_compile=False
    )
    models.fit(model)
    path = saved(model, tmp_path / f"m{suffix}")

    assert weights_files.load(models.tiny_model(), path) == 2


def accumulating(is_scaled: bool) -> Any:
    """Returns a model that updates its weights after each second batch."""
    model = models.tiny_model()
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    if is_scaled:
        optimizer = LossScaleOptimizer(optimizer)
    model.compile(optimizer, "mse", jit_compile=False)
    return model


@needs_keras_3
@suffixes
@pytest.mark.parametrize("is_scaled", [False, True])
def test_the_step_counts_updates(
    suffix: str, is_scaled: bool, tmp_path: Path
) -> None:
    """Where gradients of two batches are accumulated, both are one step."""
    model = accumulating(is_scaled)
    models.fit(model, epochs=2)
    path = saved(model, tmp_path / f"m{suffix}")
    assert int(model.optimizer.iterations) == 2

    assert weights_files.load(accumulating(is_scaled), path) == 2
    if suffix == ".keras":
        assert weights_files.load(models.tiny_model(), path) == 2


@suffixes
def test_a_file_without_an_optimizer(suffix: str, tmp_path: Path) -> None:
    """A model that was never compiled has no step."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(inputs))
    path = saved(model, tmp_path / f"m{suffix}")

    assert weights_files.load(models.tiny_model(), path) is None


@suffixes
@pytest.mark.parametrize("share", [0.0, 0.4, 0.95])
def test_half_a_file(suffix: str, share: float, tmp_path: Path) -> None:
    """A file that is not whole is damaged, and the model as it was."""
    path = saved(models.tiny_model(), tmp_path / f"m{suffix}")
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: int(len(whole) * share)])
    model = models.tiny_model()
    model.set_weights([one + 1 for one in model.get_weights()])
    before = model.get_weights()

    with pytest.raises(weights_files.DAMAGED):
        weights_files.load(model, path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@suffixes
def test_a_file_that_is_gone(suffix: str, tmp_path: Path) -> None:
    """A file that is not there is like a damaged one."""
    with pytest.raises(weights_files.DAMAGED):
        weights_files.load(models.tiny_model(), str(tmp_path / f"m{suffix}"))


@suffixes
def test_a_file_is_not_locked(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training may write its file again while it is loaded."""
    model, saves = models.tiny_model(), []
    path = Path(saved(model, tmp_path / f"m{suffix}"))
    kind = type(model)
    load_weights = kind.load_weights

    def save_meanwhile(own: Any, file: str) -> None:
        with h5py.File(file) if suffix != ".keras" else Path(file).open():
            saves.append(saved(model, path))
        load_weights(own, file)

    monkeypatch.setattr(kind, "load_weights", save_meanwhile)
    weights_files.load(models.tiny_model(), str(path))

    assert saves == [str(path)]


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    """An archive without weights is damaged."""
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "no weights")

    with pytest.raises(weights_files.DAMAGED):
        weights_files.load(models.tiny_model(), str(path))


@suffixes
@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_another_model(suffix: str, tmp_path: Path) -> None:
    """The file of another model is an error, and the model as it was."""
    inputs = keras.Input((3,))
    other = keras.Model(inputs, keras.layers.Dense(2, name="out")(inputs))
    other.compile("sgd", "mse")
    path = saved(other, tmp_path / f"m{suffix}")
    model = models.tiny_model()
    before = model.get_weights()

    with pytest.raises(ValueError, match=r"layer|[Ss]hape|objects"):
        weights_files.load(model, path)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
