# SPDX-License-Identifier: Apache-2.0
"""The state of training metrics, kept from a validation."""

from typing import Any

import pytest

from final_ops_callback._final_ops.training_metrics import TrainingMetrics
from final_ops_callback._final_ops.training_metrics import is_as_it_was
from final_ops_callback._final_ops.training_metrics import is_as_new
from final_ops_callback._final_ops.training_metrics import state_of
from tests.flavors import FLAVORS

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def mean_of(flavor: Any, *values: float) -> Any:
    """Returns a mean that has seen some values."""
    metric = flavor.metrics.Mean()
    for value in values:
        metric.update_state(value)
    return metric


def validate(metric: Any, value: float) -> None:
    """Does to a metric what an evaluate does."""
    metric.reset_state()
    metric.update_state(value)


@flavors
def test_the_training_state_is_in_place_for_a_while(flavor: Any) -> None:
    """Afterwards the metric has what the validation has left."""
    metric, kept = mean_of(flavor, 1.0, 3.0), TrainingMetrics()
    kept.take([metric])
    validate(metric, 7.0)
    kept.note_validation()
    with kept.in_place():
        assert float(metric.result()) == 2.0

    assert float(metric.result()) == 7.0


@flavors
def test_it_is_set_back_after_an_error(flavor: Any) -> None:
    """A leaf may fail while the training state is in place."""
    metric, kept = mean_of(flavor, 1.0), TrainingMetrics()
    kept.take([metric])
    validate(metric, 7.0)

    def fail() -> None:
        with kept.in_place():
            raise ValueError("a leaf")

    with pytest.raises(ValueError, match="a leaf"):
        fail()

    assert float(metric.result()) == 7.0


@flavors
def test_a_metric_that_keras_does_not_know_may_have_moved(flavor: Any) -> None:
    """If it was written since, what it has is not of the validation."""
    for moved, expected in ((False, 1.0), (True, 8.0)):
        metric, kept = mean_of(flavor, 1.0), TrainingMetrics()
        kept.take([], [metric])
        validate(metric, 7.0)
        kept.note_validation()
        if moved:
            metric.update_state(9.0)
        with kept.in_place():
            assert float(metric.result()) == expected


@flavors
def test_what_is_forgotten_is_not_in_place(flavor: Any) -> None:
    """A new epoch has begun."""
    metric, kept = mean_of(flavor, 1.0), TrainingMetrics()
    kept.take([metric])
    validate(metric, 7.0)
    kept.forget()
    with kept.in_place():
        assert float(metric.result()) == 7.0


@flavors
def test_a_metric_tells_whether_it_was_updated(flavor: Any) -> None:
    """After a reset it is as new, and an update changes its state."""
    metric = mean_of(flavor)
    before = state_of([metric])
    assert is_as_new(metric)
    assert is_as_it_was(before)
    metric.update_state(1.0)
    assert not is_as_new(metric)
    assert not is_as_it_was(before)
    metric.reset_state()

    assert is_as_new(metric)
    assert is_as_it_was(before)


def test_a_metric_without_variables_is_not_as_new() -> None:
    """Nothing is known of it."""

    class Bare:
        variables = ()

    assert not is_as_new(Bare())
