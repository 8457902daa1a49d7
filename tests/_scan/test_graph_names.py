# SPDX-License-Identifier: Apache-2.0
"""The names of the graph under Keras, as a run has them."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._scan import graph_names
from tests import models

v1 = tf.compat.v1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("self._loss", "loss:0"),
        ("cross_entropy", "loss:0"),
        ("lrn_rate", "learning_rate:0"),
        ("global_step", "global_step:0"),
        ("train_accuracy", "accuracy:0"),
        ("logits", "predictions:0"),
        ("labels", "labels:0"),
        ("train_op", ""),
    ],
)
def test_what_old_names_probably_mean(text: str, name: str) -> None:
    """What scripts call a tensor leads to its name under Keras."""
    assert graph_names.guess(text) == name


def test_the_guesses_are_there_in_a_run(model: Any) -> None:
    """Each name that is proposed can be fetched in fit, but the metric."""
    names = {name for _, name in graph_names._GUESSES} - {"accuracy:0"}
    seen: dict[str, Any] = {}

    class Fetches(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs({name: name for name in names})

        def after_run(self, run_context: Any, run_values: Any) -> None:
            seen.update(run_values.results)

    declared = {"labels": tf.TensorSpec(None, tf.float32)}
    models.fit(model, SessionRunHookCallback(Fetches(), step_tensors=declared))

    assert set(seen) == names


def test_what_is_not_a_tensor() -> None:
    """A text with spaces, or without a number, is no name of a tensor."""
    assert graph_names.looks_like_tensor("a/b_1:0")
    assert not graph_names.looks_like_tensor("loss: 0")
    assert not graph_names.looks_like_tensor("loss")
