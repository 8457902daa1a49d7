# SPDX-License-Identifier: Apache-2.0
"""The best checkpoint is kept, whatever happens."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.best import Best
from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.found import latest
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import DamagedCheckpointError
from final_ops_callback.errors import WriterError
from tests._checkpoints.training import read_v1
from tests._checkpoints.training import write_v1


def checkpoint(folder: Path, step: int) -> Found:
    """Makes a checkpoint that holds its step."""
    write_v1(folder / f"m-{step}", {"step": np.int64(step)})
    return latest(str(folder))


def offer(best: Best, found: Found, value: Any, name: str = "acc") -> bool:
    """Offers a checkpoint with a value; returns whether it was kept."""
    with best.staged(found) as stage:
        step = found.step_of_name()
        return best.keep(found, stage, {name: value, "loss": 1.0}, step)


def kept(folder: Path) -> Any:
    """Returns the step in the best checkpoint, and the files beside it."""
    prefix = tf.train.latest_checkpoint(str(folder))
    files = sorted(os.listdir(folder))
    return int(read_v1(prefix)["step"]), files


@pytest.mark.parametrize(
    ("choose", "values", "expected"),
    [
        (max, [0.5, 0.7, 0.6, 0.7], 2),
        (min, [0.5, 0.7, 0.4, 0.6], 3),
        (max, [float("nan"), 0.1, float("nan")], 2),
        (lambda old, new: new if new >= old else old, [1, 1, 1], 1),
    ],
)
def test_the_best_one_is_kept(
    tmp_path: Path, choose: Callable[..., Any], values: Any, expected: int
) -> None:
    """The folder has the first of the best ones, and nothing else."""
    best = Best("acc", choose, str(tmp_path / "best"))
    for step, value in enumerate(values, 1):
        offer(best, checkpoint(tmp_path, step), value)
    name = f"m-{expected}"

    assert kept(tmp_path / "best") == (
        expected,
        [
            "best.json",
            "checkpoint",
            f"{name}.data-00000-of-00001",
            f"{name}.index",
            f"{name}.meta",
        ],
    )


def test_a_restart_goes_on(tmp_path: Path) -> None:
    """What was the best before is compared with after a restart."""
    folder = str(tmp_path / "best")
    offer(Best("acc", max, folder), checkpoint(tmp_path, 1), 0.5)
    again = Best("acc", max, folder)
    assert again.value == 0.5

    assert not offer(again, checkpoint(tmp_path, 2), 0.4)
    assert offer(again, checkpoint(tmp_path, 3), 0.6)
    assert kept(tmp_path / "best")[0] == 3


def test_a_file_of_keras_is_copied(tmp_path: Path) -> None:
    """A copy does not change with the file that is written again."""
    path = tmp_path / "w-3.weights.h5"
    path.write_bytes(b"first")
    best = Best("acc", max, str(tmp_path / "best"))
    offer(best, latest(str(tmp_path)), 0.5)
    with path.open("r+b") as file:
        file.write(b"other")

    assert sorted(os.listdir(tmp_path / "best")) == [
        "best.json",
        "w-3.weights.h5",
    ]
    assert (tmp_path / "best" / path.name).read_bytes() == b"first"
    record = json.loads((tmp_path / "best" / "best.json").read_text())
    assert (record["value"], record["step"]) == (0.5, 3)


def test_it_is_kept_although_v1_deletes_it(tmp_path: Path) -> None:
    """The copy is made before the evaluation, in which v1 may delete it."""
    best = Best("acc", max, str(tmp_path / "best"))
    found = checkpoint(tmp_path, 1)
    with best.staged(found) as stage:
        for file in found.files():
            os.unlink(file)
        best.keep(found, stage, {"acc": 1.0}, 1)

    assert kept(tmp_path / "best")[0] == 1


def test_one_that_is_gone_is_told_from_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is missing is skipped; nothing is left behind."""
    best = Best("acc", max, str(tmp_path / "best"))
    found = checkpoint(tmp_path, 1)
    monkeypatch.setattr(
        Found, "files", lambda self: [str(tmp_path / "none.index")]
    )
    with pytest.raises(DamagedCheckpointError, match="is gone"):
        offer(best, found, 1.0)
    monkeypatch.undo()

    def fail(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "no space")

    monkeypatch.setattr(tf.io.gfile, "rename", fail)
    with pytest.raises(WriterError, match="can't be kept: no space"):
        offer(best, found, 1.0)

    assert not (tmp_path / "best").exists()


def test_no_number_is_an_error(tmp_path: Path) -> None:
    """The error lists what there is to compare."""
    best = Best("acc", max, str(tmp_path / "best"))
    found = checkpoint(tmp_path, 1)
    with pytest.raises(ArgumentError, match=r"no number.*\['loss', 'mae'\]"):
        offer(best, found, 1.0, "mae")

    with pytest.raises(ArgumentError, match="'acc' is no number"):
        offer(best, found, np.zeros(2))

    assert not (tmp_path / "best").exists()


def test_not_a_number_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """NaN is never the best, and a warning says so."""
    best = Best("acc", max, str(tmp_path / "best"))
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        offer(best, checkpoint(tmp_path, 1), float("nan"))

    assert "'acc' is NaN at step 1" in caplog.text
    assert not (tmp_path / "best").exists()


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("{", "can't be read"),
        ("[]", "can't be read"),
        ('{"name": "acc"}', "can't be read"),
        ('{"name": "loss", "value": 1, "files": []}', "best .* by 'loss'"),
    ],
)
def test_another_record_is_refused(
    tmp_path: Path, record: str, text: str
) -> None:
    """A folder of something else is never written over."""
    (tmp_path / "best.json").write_text(record)

    with pytest.raises(ArgumentError, match=text):
        Best("acc", max, str(tmp_path))
