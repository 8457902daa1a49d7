# SPDX-License-Identifier: Apache-2.0
"""v1 trains on from a checkpoint of Keras as Keras itself does."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import restore_v1
from final_ops_callback import save_v1
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import WriterError
from tests._checkpoints import training
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import TRAIN
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of
from tests._checkpoints.training import read_v1

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("name", PAIRS)
def test_the_same_checkpoint_as_v1(name: str, tmp_path: Path) -> None:
    """After the same training, names, dtypes and values are those of v1."""
    program = Original(PAIRS[name].original)
    model = model_of(PAIRS[name].ours())
    # v1's RMSProp began with ones, where Keras begins with zeros.
    restore_v1(model, program.save(tmp_path / "first"))
    program.train(4)
    expected = read_v1(program.save(tmp_path / "v1"))
    training.train(model, 4)

    found = read_v1(save_v1(model, tmp_path / "ours"))

    assert found.keys() == expected.keys()
    # What Keras keeps no slot for was never zero in v1, but has no effect.
    for key in found:
        assert found[key].dtype == expected[key].dtype
        if found[key].any() or "RMSProp" not in key:
            np.testing.assert_allclose(
                found[key], expected[key], rtol=1e-3, atol=1e-6
            )


@pytest.mark.parametrize("step", [None, 7, np.int64(7), "iterations"])
def test_the_files_are_those_of_v1(step: Any, tmp_path: Path) -> None:
    """Path, files and state are those of v1's Saver with the same step."""
    for side in ("v1", "ours"):
        (tmp_path / side).mkdir()
    model = model_of(OPTIMIZERS.SGD(0.1))
    model.optimizer.iterations.assign(7)
    program = Original(PAIRS["gradient descent"].original)
    v1_step = 7 if step == "iterations" else step
    ours = model.optimizer.iterations if step == "iterations" else step
    for name in ("first", "model.ckpt"):
        expected = program.save(
            tmp_path / "v1" / name, global_step=v1_step, write_meta_graph=False
        )
        prefix = save_v1(model, tmp_path / "ours" / name, global_step=ours)

    assert Path(prefix).name == Path(expected).name
    files = [sorted(os.listdir(tmp_path / side)) for side in ("v1", "ours")]
    assert files[0] == files[1]
    states = [
        (tmp_path / side / "checkpoint").read_text() for side in ("v1", "ours")
    ]
    assert states[0].replace("/v1/", "/ours/") == states[1]
    assert read_v1(prefix)["global_step"] == 7


def test_what_is_gone_is_not_in_the_state(tmp_path: Path) -> None:
    """Checkpoints that were deleted since are not named any more."""
    model = model_of(OPTIMIZERS.SGD(0.1))
    for name in ("one", "two", "three"):
        save_v1(model, tmp_path / name)
    for file in tmp_path.glob("two*"):
        file.unlink()
    save_v1(model, tmp_path / "one")
    state = tf.train.get_checkpoint_state(str(tmp_path))

    assert state.model_checkpoint_path == str(tmp_path / "one")
    assert [Path(p).name for p in state.all_model_checkpoint_paths] == [
        "three",
        "one",
    ]


def test_a_state_that_can_not_be_read_is_replaced(tmp_path: Path) -> None:
    """A broken state file does not keep a checkpoint from being saved."""
    (tmp_path / "checkpoint").write_bytes(b"\xff\x00")
    prefix = save_v1(model_of(OPTIMIZERS.SGD(0.1)), tmp_path / "m")

    assert tf.train.latest_checkpoint(str(tmp_path)) == prefix


def test_the_names_are_mapped(tmp_path: Path) -> None:
    """v1 finds weights, slots and step under the names of its program."""
    model = training.begin(model_of(OPTIMIZERS.Adam(0.1)))
    names = {
        "hidden/": "net/one/",
        "out/kernel": "net/two/W",
        "out/bias:0": None,
        "beta2_power": None,
        "global_step": "step",
    }
    prefix = save_v1(model, tmp_path / "m", names=names, optimizer_name="opt")
    weights = {"net/one/kernel", "net/one/bias", "net/two/W"}
    slots = {f"{name}/opt{n}" for name in weights for n in ("", "_1")}

    assert read_v1(prefix).keys() == {*weights, *slots, "beta1_power", "step"}


def test_no_slots(tmp_path: Path) -> None:
    """Without slots, a checkpoint has weights and step, of any optimizer."""
    model = model_of(OPTIMIZERS.Nadam(0.1))
    with pytest.raises(CheckpointError, match="v1 had no optimizer with"):
        save_v1(model, tmp_path / "m")
    prefix = save_v1(model, tmp_path / "m", slots=False)

    assert read_v1(prefix).keys() == {*WEIGHTS, "global_step"}


def test_moving_averages_of_keras(tmp_path: Path) -> None:
    """The averages that an optimizer keeps are those of v1's object."""
    model = training.begin(
        model_of(OPTIMIZERS.SGD(0.1, use_ema=True, ema_momentum=0.5))
    )
    training.train(model, 2)
    prefix = save_v1(model, tmp_path / "m")
    program = Original(
        lambda: TRAIN.GradientDescentOptimizer(0.1), average=True
    )
    program.restore(prefix)
    other = model_of(OPTIMIZERS.SGD(0.1))
    restore_v1(other, prefix, moving_averages=True)

    found = read_v1(prefix)
    for weight, name in zip(other.get_weights(), WEIGHTS, strict=True):
        average = found[f"{name}/ExponentialMovingAverage"]
        np.testing.assert_array_equal(weight, average)
        assert (average != found[name]).any()


ARGUMENTS = {
    "no path": (None, {}, ArgumentError, "None is not a path"),
    "a folder": (".", {}, ArgumentError, "is a folder.*model.ckpt"),
    "the state": ("checkpoint", {}, ArgumentError, "Use another name"),
    "a class": ("a[1].ckpt", {}, ArgumentError, "takes the name for a pattern"),
    "a star": ("a*.ckpt", {}, ArgumentError, "'a.*' has one of '.*', and Tens"),
    "a mark": ("a?", {"global_step": 1}, ArgumentError, "'model.ckpt'"),
    "no folder": ("none/m", {}, WriterError, "'.*none' is not there"),
    "a text": ("m", {"global_step": "7"}, ArgumentError, "'7' is not a step"),
    "half": ("m", {"global_step": 7.5}, ArgumentError, "7.5 is not a step"),
    "negative": ("m", {"global_step": -1}, ArgumentError, "-1 is not a step"),
    "no name": ("m", {"names": {"x": "y"}}, ArgumentError, "no variable 'x'"),
    "one name twice": (
        "m",
        {"names": {"hidden/kernel": "w", "out/kernel": "w"}},
        ArgumentError,
        "'out/kernel' and another variable would be written as 'w'",
    ),
    "a weight like the step": (
        "m",
        {"names": {"out/bias": "global_step"}},
        ArgumentError,
        "'global_step' and another variable would be written as 'global_step'",
    ),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_checked(case: str, tmp_path: Path) -> None:
    """An invalid argument is an error, and no file is written."""
    path, options, kind, text = ARGUMENTS[case]
    model = model_of(OPTIMIZERS.SGD(0.1))

    with pytest.raises(kind, match=text):
        save_v1(model, path and tmp_path / path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_brackets_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning tells that v1 restores from the folder only when renamed."""
    (tmp_path / "run[1]").mkdir()
    model = training.begin(model_of(PAIRS["momentum"].ours()))
    prefix = save_v1(model, tmp_path / "run[1]" / "m")
    assert "until it is renamed" in caplog.text
    program = Original(PAIRS["momentum"].original)
    with pytest.raises(ValueError, match="not a valid checkpoint"):
        program.restore(prefix)
    (tmp_path / "run[1]").rename(tmp_path / "run")

    program.restore(tmp_path / "run" / "m")


@pytest.mark.parametrize(
    ("module", "function"),
    [(tf.raw_ops, "SaveV2"), (tf.io.gfile, "rename")],
    ids=["write", "rename"],
)
def test_what_can_not_be_written(
    module: Any,
    function: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk is one error; the old checkpoint stays, and no parts."""
    model = training.begin(model_of(OPTIMIZERS.SGD(0.1)))
    prefix = save_v1(model, tmp_path / "m")
    before = read_v1(prefix), sorted(os.listdir(tmp_path))
    training.train(model, 1)

    def fail(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(module, function, fail)
    with pytest.raises(WriterError, match="could not be written: no space"):
        save_v1(model, tmp_path / "m")

    after = read_v1(prefix), sorted(os.listdir(tmp_path))
    assert before[1] == after[1]
    for name, value in before[0].items():
        np.testing.assert_array_equal(value, after[0][name])


def test_an_old_checkpoint_is_never_cut_off(tmp_path: Path) -> None:
    """Its files stay whole until others take their places."""
    model = training.begin(model_of(OPTIMIZERS.SGD(0.1)))
    inodes = []
    for _ in range(2):
        prefix = save_v1(model, tmp_path / "m")
        files = sorted(tmp_path.iterdir())
        inodes.append([file.stat().st_ino for file in files])
        training.train(model, 1)

    names = ["checkpoint", "m.data-00000-of-00001", "m.index"]
    assert [file.name for file in files] == names
    for before, after in zip(*inodes, strict=True):
        assert before != after  # cut off and written anew, it would be one
    assert read_v1(prefix)


def test_only_the_chief_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker takes part, and leaves the files to the chief."""
    model = model_of(OPTIMIZERS.SGD(0.1))
    monkeypatch.setattr(
        "final_ops_callback._keras.compat.is_chief", lambda _: False
    )
    prefix = save_v1(model, tmp_path / "m", global_step=3)

    assert prefix == str(tmp_path / "m-3")
    assert list(tmp_path.iterdir()) == []
