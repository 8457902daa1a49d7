# SPDX-License-Identifier: Apache-2.0
"""A hook that runs its session in `after_run` gets the values of that step."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models

v1 = tf.compat.v1
OUT = tf.TensorSpec([None, 1], "float32")


class AfterEach(v1.train.SessionRunHook):
    """Fetches in `before_run`, and runs the same in `after_run`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fetched: list[Any] = []
        self.ran: list[Any] = []

    def begin(self) -> None:
        graph = v1.get_default_graph()
        self.tensor = tf.identity(graph.get_tensor_by_name(self.name)) * 2.0

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.tensor)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.fetched.append(run_values.results)
        self.ran.append(run_context.session.run(self.tensor))


class OnlyAfter(AfterEach):
    """Does not fetch in `before_run`, as hooks that write summaries do."""

    def before_run(self, run_context: Any) -> None:
        return None


class ByName(v1.train.SessionRunHook):
    """Runs a name that only its code has."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.loss = run_context.session.run("loss:0")


def run(model: Any, method: str, *hooks: Any) -> Any:
    """Calls a method of the model with hooks."""
    data = models.tiny_data()
    args = (data.x,) if method == "predict" else (data.x, data.y)
    more = {"shuffle": False} if method == "fit" else {}
    return getattr(model, method)(
        *args,
        batch_size=4,
        verbose=0,
        callbacks=[SessionRunHookCallback(list(hooks))],
        **more,
    )


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("fit", "loss:0"),
        ("fit", "predictions:0"),
        ("fit", "gradients/global_norm:0"),
        ("evaluate", "loss:0"),
        ("predict", "predictions:0"),
    ],
)
def test_it_gets_what_it_fetched(model: Any, method: str, name: str) -> None:
    """With a fetch in `before_run` or without, values are those of the step."""
    both, alone = AfterEach(name), OnlyAfter(name)

    run(model, method, both, alone)

    assert len(both.fetched) == 2
    np.testing.assert_array_equal(both.ran, both.fetched)
    np.testing.assert_array_equal(alone.ran, both.fetched)


def test_alone_it_gets_the_values_of_the_step() -> None:
    """No other hook has to fetch them, or to have an `end`."""
    both, alone = AfterEach("predictions:0"), OnlyAfter("predictions:0")
    run(models.tiny_model(), "fit", both)

    run(models.tiny_model(), "fit", alone)

    np.testing.assert_array_equal(alone.ran, both.fetched)


def test_a_name_in_the_code_is_enough(model: Any) -> None:
    """Nothing has to be looked up in `begin`."""
    hook, seen = ByName(), AfterEach("loss:0")

    run(model, "fit", hook, seen)

    assert hook.loss * 2 == pytest.approx(seen.fetched[-1])


class FeedsOtherData(v1.train.SessionRunHook):
    """Asks for predictions of its own data, as v1 hooks validated."""

    def __init__(self, fetch: str) -> None:
        self.fetch = fetch

    def begin(self) -> None:
        tensor = v1.get_default_graph().get_tensor_by_name
        self.features = tensor("features:0")
        self.fetched = tf.identity(tensor(self.fetch))

    def after_run(self, run_context: Any, run_values: Any) -> None:
        other = np.zeros((4, 3), "float32")
        self.value = run_context.session.run(
            self.fetched, {self.features: other}
        )


@pytest.mark.parametrize("fetch", ["predictions:0", "loss:0", "out:0"])
def test_values_of_other_data_are_refused(model: Any, fetch: str) -> None:
    """A value of the step is never taken for one of the data that are fed."""
    with pytest.raises(errors.StepTensorError, match="compute it anew"):
        run(model, "fit", FeedsOtherData(fetch))


def test_what_the_feed_alone_determines_is_computed(model: Any) -> None:
    """An operation on the fed data gets them."""
    hook = FeedsOtherData("features:0")

    run(model, "fit", hook)

    np.testing.assert_array_equal(hook.value, np.zeros((4, 3)))
