# SPDX-License-Identifier: Apache-2.0
"""The summaries of an evaluation are v1's."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.eval_summaries import EvalSummaries
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import WriterError

v1 = tf.compat.v1


def events(folder: Path) -> list[tuple[int, str, float]]:
    """Returns step, tag and value of each scalar in the files of a folder."""
    return [
        (event.step, value.tag, value.simple_value)
        for path in sorted(folder.glob("events.out.tfevents.*"))
        for event in v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


def test_the_events_are_those_of_v1(tmp_path: Path) -> None:
    """Tags, values and steps are those of v1's writer, in one file."""
    values: list[dict[str, Any]] = [
        {"loss": 0.5, "accuracy": 0.25},
        {"loss": 0.125, "accuracy": 0.75},
    ]
    ours = EvalSummaries(tmp_path / "ours")
    with tf.Graph().as_default():
        original = v1.summary.FileWriter(str(tmp_path / "v1"))
    for step, some in zip((100, 200), values, strict=True):
        ours.write(some, step)
        summary = v1.Summary()
        for tag, value in some.items():
            summary.value.add(tag=tag, simple_value=value)
        original.add_summary(summary, step)
    original.close()
    ours.close()

    assert events(tmp_path / "ours") == events(tmp_path / "v1")
    assert len(list((tmp_path / "ours").iterdir())) == 1


def test_what_has_no_summary_is_left_out(tmp_path: Path) -> None:
    """A text is no scalar, and stands in no one's way."""
    writer = EvalSummaries(tmp_path)
    writer.write({"text": "a", "loss": 1.0}, 1)
    writer.close()

    assert events(tmp_path) == [(1, "loss", 1.0)]


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    """Without values there is no folder."""
    EvalSummaries(tmp_path / "eval").close()

    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file in the way, or no path, is an error at once."""
    (tmp_path / "file").touch()
    with pytest.raises(WriterError, match="is not a folder"):
        EvalSummaries(tmp_path / "file" / "eval")
    with pytest.raises(ArgumentError, match="is not a path"):
        EvalSummaries(3)  # type: ignore[arg-type]
