# SPDX-License-Identifier: Apache-2.0
"""Checkpoints are evaluated as v1 evaluated them."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import evaluate_checkpoints
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import WriterError
from tests._checkpoints import training
from tests._checkpoints.test_eval_summaries import events
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import Original
from tests._checkpoints.training import X
from tests._checkpoints.training import Y
from tests._checkpoints.training import model_of
from tests._checkpoints.training import write_v1
from tests.flavors import keras

v1 = tf.compat.v1
DATA = X[0], Y[0]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]


def model() -> Any:
    """Returns the model of the trainings, with a metric."""
    made = model_of()
    made.compile(
        OPTIMIZERS.SGD(0.1),
        "mse",
        metrics=[keras.metrics.MeanAbsoluteError(name="mae")],
        jit_compile=False,
    )
    return made


@pytest.fixture(name="training_of_v1", scope="module")
def _training_of_v1(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder with three checkpoints, and the losses that v1 evaluates."""
    folder = tmp_path_factory.mktemp("v1")
    program = Original(PAIRS["adam"].original)
    losses = {}
    for step in (2, 4, 6):
        program.train(2)
        program.save(folder / "model.ckpt", global_step=step)
        losses[step] = program.evaluate()
    return folder, losses


def test_the_latest(training_of_v1: Any) -> None:
    """As in v1, the latest checkpoint is evaluated, with v1's loss."""
    folder, losses = training_of_v1
    ((step, values),) = evaluate_checkpoints(model(), DATA, folder, timeout=0)

    assert step == 6
    assert values["loss"] == pytest.approx(losses[6], rel=1e-5)
    assert values.keys() == {"loss", "mae"}


def test_every_one(training_of_v1: Any) -> None:
    """With `every`, each is evaluated, in the order of the training."""
    folder, losses = training_of_v1
    dataset = tf.data.Dataset.from_tensor_slices(DATA).batch(4)
    found = evaluate_checkpoints(
        model(), dataset, folder, timeout=0, every=True
    )

    assert {step: values["loss"] for step, values in found} == {
        step: pytest.approx(loss, rel=1e-5) for step, loss in losses.items()
    }


def test_the_values_of_final_ops(training_of_v1: Any) -> None:
    """With final ops, the values are those of v1's hook."""
    folder, _ = training_of_v1

    def norm(model: Any) -> Any:
        return tf.linalg.global_norm(
            [tf.convert_to_tensor(w) for w in model.trainable_weights]
        )

    final_ops = {"loss": "loss", "norms": [norm]}
    ((_, values),) = evaluate_checkpoints(
        model(), DATA, folder, timeout=0, final_ops=final_ops
    )
    program = Original(PAIRS["adam"].original)
    expected = program.final_ops(tf.train.latest_checkpoint(str(folder)))

    assert values.keys() == final_ops.keys()
    assert values["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert values["norms"][0] == pytest.approx(expected["norm"], rel=1e-5)


class Sees(v1.train.SessionRunHook):
    """Notes the step and a weight that it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def begin(self) -> None:
        self.fetches = [
            v1.train.get_global_step(),
            v1.trainable_variables()[0],
        ]

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.fetches)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)


def test_hooks_run(training_of_v1: Any) -> None:
    """Hooks of v1 see the step and the weights of each checkpoint."""
    folder, losses = training_of_v1
    hook = Sees()
    for _ in evaluate_checkpoints(
        model(), DATA, folder, timeout=0, every=True, hooks=[hook]
    ):
        pass

    assert [step for step, _ in hook.seen] == list(losses)
    reader = tf.train.load_checkpoint(str(folder))
    np.testing.assert_array_equal(
        hook.seen[-1][1], reader.get_tensor("hidden/kernel")
    )


class Labels(v1.train.SessionRunHook):
    """Notes the labels of each step."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("labels:0")

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)


def test_hooks_see_labels(training_of_v1: Any) -> None:
    """What step_tensors declares is fetched in the step of the evaluation."""
    folder, _ = training_of_v1
    hook = Labels()
    declared = {"labels": tf.TensorSpec([None, 1], "float32")}
    list(
        evaluate_checkpoints(
            model(),
            DATA,
            folder,
            timeout=0,
            hooks=[hook],
            step_tensors=declared,
        )
    )

    (labels,) = hook.seen
    np.testing.assert_array_equal(labels, Y[0])


def test_summaries(training_of_v1: Any, tmp_path: Path) -> None:
    """Each value is a summary with the step of the checkpoint."""
    folder, losses = training_of_v1
    found = evaluate_checkpoints(
        model(),
        DATA,
        folder,
        timeout=0,
        every=True,
        log_dir=tmp_path / "eval",
        final_ops={"twice": lambda logs: 2 * logs["loss"]},
    )
    assert [step for step, _ in found] == list(losses)

    written = events(tmp_path / "eval")
    assert [(s, tag) for s, tag, _ in written] == [
        (step, tag) for step in losses for tag in ("loss", "mae", "twice")
    ]
    for step, tag, value in written:
        if tag != "mae":
            expected = losses[step] * (2 if tag == "twice" else 1)
            assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("choose", [min, max])
def test_the_best(training_of_v1: Any, tmp_path: Path, choose: Any) -> None:
    """The best one is kept, and restored as any other."""
    folder, losses = training_of_v1
    expected = choose(losses, key=losses.get)
    for _ in range(2):  # the second time, none is better
        found = evaluate_checkpoints(
            model(),
            DATA,
            folder,
            timeout=0,
            every=True,
            best=("loss", choose),
            best_dir=tmp_path / "best",
        )
        assert len(list(found)) == 3
    ((step, values),) = evaluate_checkpoints(
        model(), DATA, tmp_path / "best", timeout=0
    )

    assert step == expected
    assert values["loss"] == pytest.approx(losses[expected], rel=1e-5)
    assert {file.name for file in (tmp_path / "best").iterdir()} == {
        "best.json",
        "checkpoint",
        *(
            f"model.ckpt-{expected}.{end}"
            for end in ("index", "meta", "data-00000-of-00001")
        ),
    }


@pytest.mark.parametrize("how", ["itself", "a link", "a link named best"])
def test_the_best_is_never_kept_in_the_folder_itself(
    how: str, tmp_path: Path
) -> None:
    """A folder that would be written over is refused, also by a link."""
    folder = tmp_path / "training"
    folder.mkdir()
    Original(PAIRS["momentum"].original).save(folder / "m")
    link = (folder / "best") if how == "a link named best" else tmp_path / "l"
    link.symlink_to(folder)
    best_dir = {"itself": f"{folder}/../training/", "a link": link}.get(how)
    before = sorted(os.listdir(folder))
    with pytest.raises(ArgumentError, match="folder of the checkpoints itself"):
        evaluate_checkpoints(
            model(),
            DATA,
            folder,
            timeout=0,
            every=True,
            best=("loss", min),
            best_dir=best_dir,
        )

    assert sorted(os.listdir(folder)) == before


def test_a_folder_that_is_not_there_yet_is_compared_too(
    tmp_path: Path,
) -> None:
    """The best one can't be kept in a folder that will be that of both."""
    with pytest.raises(ArgumentError, match="folder of the checkpoints itself"):
        evaluate_checkpoints(
            model(),
            DATA,
            tmp_path / "later",
            best=("loss", min),
            best_dir=tmp_path / "other" / ".." / "later",
        )


def test_files_of_keras_while_they_are_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A file that is not whole is skipped twice, and evaluated when it is."""
    trained = training.begin(model())
    path = tmp_path / "last.weights.h5"
    trained.save_weights(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(time, "sleep", lambda _: path.write_bytes(whole))

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        found: Iterator[Any] = evaluate_checkpoints(
            model(), DATA, tmp_path, min_interval_secs=0, timeout=60
        )
        step, values = next(found)
        found.close()

    assert step == 0
    expected = trained.evaluate(*DATA, verbose=0, return_dict=True)
    assert values["loss"] == pytest.approx(expected["loss"])
    assert caplog.text.count("A checkpoint is skipped") == 2


def test_what_is_deleted_or_damaged_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One damaged checkpoint does not end the evaluation of the others."""
    program = Original(PAIRS["momentum"].original)
    for step in (1, 2, 3):
        program.save(tmp_path / "m", global_step=step)
    (data,) = tmp_path.glob("m-2.data*")
    data.write_bytes(data.read_bytes()[:10])
    found = evaluate_checkpoints(
        model(), DATA, tmp_path, timeout=0, every=True, best=("loss", min)
    )
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        steps = [step for step, _ in found]

    assert len(steps) == 2
    assert caplog.text.count("A checkpoint is skipped") == 1
    assert not list((tmp_path / "best").glob(".part*"))


def test_another_model_is_an_error(tmp_path: Path) -> None:
    """The checkpoint of another model ends the evaluation, and says why."""
    write_v1(tmp_path / "m", {"other/kernel": np.ones((9, 9), "f")})
    found = evaluate_checkpoints(model(), DATA, tmp_path, timeout=0)

    with pytest.raises(CheckpointError, match="lacks 4 of the 4 weights"):
        next(found)


def test_moving_averages_and_names(tmp_path: Path) -> None:
    """Checkpoints of v1 are restored by the map, with their averages."""
    program = Original(
        PAIRS["adam"].original, rename=lambda n: f"net/{n}", average=True
    )
    program.train(3)
    program.save(tmp_path / "m")
    made = model()
    ((step, _),) = evaluate_checkpoints(
        made,
        DATA,
        tmp_path,
        timeout=0,
        names={"": "net/"},
        moving_averages=True,
    )

    reader = tf.train.load_checkpoint(str(tmp_path))
    name = "net/hidden/kernel/ExponentialMovingAverage"
    np.testing.assert_array_equal(
        made.get_weights()[0], reader.get_tensor(name)
    )
    assert step == 3


def test_options_of_evaluate(training_of_v1: Any) -> None:
    """Further arguments go to evaluate, and callbacks run with ours."""
    folder, _ = training_of_v1
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_test_batch_end=lambda batch, logs: seen.append(batch)
    )
    data = np.concatenate(X), np.concatenate(Y), np.ones(24 * 4)
    list(
        evaluate_checkpoints(
            model(),
            data,
            folder,
            timeout=0,
            batch_size=8,
            steps=2,
            callbacks=callback,
        )
    )

    assert seen == [0, 1]


ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "a generator": ({"data": (_ for _ in ())}, "a generator does not give"),
    "no data": ({"data": None}, "a NoneType does not give"),
    "no folder": ({"checkpoint_dir": None}, "None is not a path"),
    "a file": ({"checkpoint_dir": __file__}, "is a file"),
    "a negative time": ({"min_interval_secs": -1}, "-1 is no time"),
    "no interval": ({"min_interval_secs": None}, "None is no time"),
    "a text as time": ({"timeout": "1"}, "'1' is no time"),
    "no function": ({"timeout_fn": 1}, "1 can't be called"),
    "no pair": ({"best": "loss"}, "'loss' does not tell"),
    "a mode": ({"best": ("loss", "min")}, "does not tell what is the best"),
    "a folder alone": ({"best_dir": "best"}, "nothing tells which"),
    "step tensors": (
        {"hooks": [], "step_tensors": ["labels"]},
        "a list is not a mapping of step tensors",
    ),
    "step tensors alone": ({"step_tensors": {}}, "there are no hooks"),
    "a map": ({"names": ["a"]}, "a list is not a mapping"),
    "averages": ({"moving_averages": 1}, "neither a boolean nor a name"),
    "an option": ({"epochs": 1}, "'epochs' can't be given.*'steps'"),
    "an own option": ({"return_dict": False}, "'return_dict' can't be given"),
    "not compiled": ({"model": model_of()}, "is not compiled"),
    "no model": ({"model": None}, "is not a Keras model"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_are_checked_at_once(case: str, tmp_path: Path) -> None:
    """An invalid argument is an error before the first checkpoint."""
    changes, text = ARGUMENTS[case]
    arguments = {"model": model(), "data": DATA, "checkpoint_dir": tmp_path}

    with pytest.raises(ArgumentError, match=text):
        evaluate_checkpoints(**(arguments | changes))


def test_a_checkpoint_is_no_folder(training_of_v1: Any) -> None:
    """The path of one checkpoint is an error that names its folder."""
    folder, _ = training_of_v1
    with pytest.raises(ArgumentError, match="is a checkpoint, not a folder"):
        evaluate_checkpoints(model(), DATA, folder / "model.ckpt-2", timeout=0)


def test_a_folder_that_was_moved_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A state that names the paths of elsewhere is a warning with them."""
    (tmp_path / "old").mkdir()
    Original(PAIRS["momentum"].original).save(tmp_path / "old" / "m")
    (tmp_path / "old").rename(tmp_path / "new")
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        found = evaluate_checkpoints(
            model(), DATA, tmp_path / "new", timeout=0, every=True
        )
        assert list(found) == []

    assert len(caplog.records) == 1
    assert f"names what is not there: '{tmp_path}/old/m'" in caplog.text


def test_a_log_dir_in_a_file(tmp_path: Path) -> None:
    """A folder that can't be written is an error before, too."""
    (tmp_path / "file").touch()
    with pytest.raises(WriterError, match="is not a folder"):
        evaluate_checkpoints(model(), DATA, tmp_path, log_dir=tmp_path / "file")


def test_the_folder_may_be_left(
    training_of_v1: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative folder is that of the call, not of the evaluation."""
    folder, _ = training_of_v1
    monkeypatch.chdir(folder.parent)
    found = evaluate_checkpoints(model(), DATA, folder.name, timeout=0)
    monkeypatch.chdir(tmp_path)

    assert [step for step, _ in found] == [6]
    assert os.listdir(tmp_path) == []
