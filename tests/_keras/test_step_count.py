# SPDX-License-Identifier: Apache-2.0
"""Which variable counts the steps of a training."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._keras import step_count
from final_ops_callback._keras.step_count import StepCount
from tests import models
from tests.flavors import FLAVORS

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def step_of(optimizer: Any, weight: Any) -> None:
    """Makes one update."""
    optimizer.apply_gradients([(tf.zeros(weight.shape), weight)])


def model_with_other(flavor: Any) -> Any:
    """Returns a model with an optimizer beside that of compile, both built."""
    model = models.tiny_model(flavor)
    model.other = flavor.optimizers.SGD()
    for optimizer in (model.optimizer, model.other):
        optimizer.build(model.trainable_variables)
    return model


def count(counter: StepCount, *updates: Any) -> Any:
    """Counts one step that does something; returns what counts from now."""
    counter.before_step()
    for optimizer, weight in updates:
        step_of(optimizer, weight)
    return counter.after_step()


@flavors
def test_the_step_is_that_of_the_optimizer(flavor: Any) -> None:
    """Two batches a fit are two steps, and a model without one is at 0."""
    model = models.tiny_model(flavor)
    models.fit(model)
    models.fit(model)

    assert step_count.step_of(model) == 4
    assert step_count.step_of(None) == 0
    assert step_count.made_counter(model) is None


@flavors
def test_the_optimizer_of_compile_counts_if_it_moves(flavor: Any) -> None:
    """Nothing is made for a step as Keras makes it."""
    model = model_with_other(flavor)
    weight, *_ = model.trainable_variables
    counter = StepCount(model, 1, None)

    assert count(counter, (model.optimizer, weight)) is None
    assert step_count.made_counter(model) is None


@flavors
def test_a_counter_is_made_if_it_does_not_move(
    flavor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It counts the steps, also those without hooks, and is told of once."""
    model = model_with_other(flavor)
    weight, *_ = model.trainable_variables
    counter = StepCount(model, 1, None)
    made = count(counter, (model.other, weight))
    assert int(made) == 1
    assert count(counter, (model.other, weight)) is None
    assert int(made) == 2
    assert caplog.text.count("did not increase") == 1
    for _ in range(3):  # without hooks
        step_of(model.other, weight)

    assert step_count.step_of(model) == 5
    assert step_count.made_counter(model) is made
    assert int(made) == 5


@flavors
def test_two_callbacks_count_a_step_once(flavor: Any) -> None:
    """The first counts for both; when its run is over, the other does."""
    model = model_with_other(flavor)
    weight, *_ = model.trainable_variables
    first, second = StepCount(model, 1, None), StepCount(model, 1, None)

    def both() -> None:
        first.before_step()
        second.before_step()
        step_of(model.other, weight)
        first.after_step()
        second.after_step()

    both()
    both()
    made = step_count.made_counter(model)
    assert int(made) == 2
    first.end()
    count(second, (model.other, weight))

    assert int(made) == 3


@flavors
def test_another_compile_forgets_the_counter(flavor: Any) -> None:
    """After it, another optimizer may count."""
    model = model_with_other(flavor)
    weight, *_ = model.trainable_variables
    made = count(StepCount(model, 1, None), (model.other, weight))
    assert step_count.made_counter(model) is made
    model.compile("sgd", "mse")

    assert step_count.made_counter(model) is None
    assert step_count.step_of(model) == 0


@flavors
@pytest.mark.parametrize(("steps", "counted"), [(5, [3, 5, 8]), (None, [3, 6])])
def test_a_call_of_several_steps_counts_them(
    flavor: Any, steps: int | None, counted: list[int]
) -> None:
    """The last call of an epoch makes fewer, if its length is known."""
    model = model_with_other(flavor)
    weight, *_ = model.trainable_variables
    counter = StepCount(model, 3, steps)
    found = []
    for _ in counted:
        # What the step moves is not asked, as an epoch tells its length.
        count(counter, *[(model.other, weight)] * 3)
        found.append(int(step_count.made_counter(model)))

    assert found == counted
