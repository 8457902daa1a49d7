# SPDX-License-Identifier: Apache-2.0
"""Hooks of any package may stop after a number of evaluations."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback import SessionRunHookCallback
from tests import models

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
X, Y, _ = models.tiny_data()


class Copied(v1.train.SessionRunHook):
    """A hook of another package, with the protocol and no common class."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tensor: Any = None
        self.seen: list[int] = []

    def _set_evals_completed_tensor(self, updated_eval_step: Any) -> None:
        self._tensor = updated_eval_step

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs({"evals_completed": self._tensor})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        completed = int(run_values.results["evals_completed"])
        self.seen.append(completed)
        if completed >= self._most:
            run_context.request_stop()


class Around(v1.train.SessionRunHook):
    """A hook that passes each call on to those inside of it."""

    def __init__(self, *inner: Any) -> None:
        self.inner = inner

    def begin(self) -> None:
        for hook in self.inner:
            hook.begin()

    def after_create_session(self, session: Any, coord: Any) -> None:
        for hook in self.inner:
            hook.after_create_session(session, coord)

    def before_run(self, run_context: Any) -> Any:
        (hook,) = self.inner
        return hook.before_run(run_context)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        (hook,) = self.inner
        hook.after_run(run_context, run_values)


class Counts(v1.train.SessionRunHook):
    """Counts the runs."""

    runs = 0

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.runs += 1


HOOKS: dict[str, Callable[[int], Any]] = {
    "TensorFlow's": evaluation._StopAfterNEvalsHook,
    "copied": Copied,
    "around TensorFlow's": lambda n: Around(evaluation._StopAfterNEvalsHook(n)),
    "around a copied one": lambda n: Around(Copied(n)),
    "around one around": lambda n: Around(Around(Copied(n))),
}


def original_runs(most: int) -> int:
    """Returns how many runs v1's own evaluate makes of eight batches."""
    counts = Counts()
    with tf.Graph().as_default():
        batch = v1.data.make_one_shot_iterator(
            tf.data.Dataset.range(8)
        ).get_next()
        evaluation._evaluate_once(
            checkpoint_path=None,
            eval_ops=tf.identity(batch),
            hooks=[evaluation._StopAfterNEvalsHook(most), counts],
        )
    return counts.runs


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("make", HOOKS.values(), ids=HOOKS.keys())
def test_evaluate_stops_where_v1_stops(
    make: Callable[[int], Any], most: int
) -> None:
    """As many batches are evaluated as in the original."""
    counts = Counts()
    model = models.tiny_model()

    model.evaluate(
        X,
        Y,
        batch_size=1,
        verbose=0,
        callbacks=[SessionRunHookCallback([make(most), counts])],
    )

    assert counts.runs == original_runs(most) == most


def test_two_hooks_count_one_evaluation_each() -> None:
    """Each run counts once, however many hooks ask."""
    first, second = Copied(9), Copied(9)
    model = models.tiny_model()

    model.evaluate(
        X,
        Y,
        batch_size=2,
        verbose=0,
        callbacks=[SessionRunHookCallback([first, Around(second)])],
    )

    assert first.seen == second.seen == [1, 2, 3, 4]


def test_fit_tells_no_evaluations() -> None:
    """As in v1, training counts no evaluations, and the hook gets no tensor."""
    hook = Copied(1)

    with pytest.raises(TypeError, match="None"):
        models.fit(models.tiny_model(), SessionRunHookCallback(hook))
