# SPDX-License-Identifier: Apache-2.0
"""What differs between the optimizers of the flavors."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import optimizer_compat
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import needs_keras_3
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def loss_scale(flavor: Any) -> Any:
    """Returns the class that scales a loss, of a flavor of Keras."""
    if hasattr(flavor.optimizers, "LossScaleOptimizer"):
        return flavor.optimizers.LossScaleOptimizer
    return flavor.mixed_precision.LossScaleOptimizer


def weight_of(flavor: Any) -> Any:
    """Returns a weight of a layer, of a flavor of Keras."""
    layer = flavor.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    layer.build((None, 1))
    return layer.trainable_variables[0]


@flavors
def test_an_optimizer_is_known(flavor: Any) -> None:
    """One of each flavor is, and its class and a schedule are not."""
    schedule = flavor.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)

    assert optimizer_compat.is_optimizer(flavor.optimizers.SGD())
    assert not optimizer_compat.is_optimizer(flavor.optimizers.SGD)
    assert not optimizer_compat.is_optimizer(schedule)
    assert not optimizer_compat.is_optimizer(None)


def test_a_legacy_optimizer_is_known() -> None:
    """It is an optimizer, and told apart from the others."""
    legacy = KERAS_2.optimizers.legacy.Adam()

    assert optimizer_compat.is_optimizer(legacy)
    assert optimizer_compat.is_legacy(legacy)
    assert not optimizer_compat.is_legacy(KERAS_2.optimizers.Adam())
    assert optimizer_compat.name_of(legacy) == legacy.get_config()["name"]


@flavors
def test_the_inner_optimizer_updates(flavor: Any) -> None:
    """That of a loss scale is the one inside, others are their own."""
    inner = flavor.optimizers.SGD(name="inside")

    assert optimizer_compat.inner_of(inner) is inner
    assert optimizer_compat.inner_of(loss_scale(flavor)(inner)) is inner
    assert optimizer_compat.name_of(inner) == "inside"


@flavors
def test_the_uncounted_name_is_that_of_the_first(flavor: Any) -> None:
    """In a fresh process, Keras gives the first one of a kind this name."""
    clear = flavor.backend.clear_session
    for kind in ("SGD", "Adam", "RMSprop", "Adagrad", "AdamW"):
        clear()
        optimizer = getattr(flavor.optimizers, kind)()

        assert optimizer_compat.uncounted_name(optimizer) == optimizer.name


@flavors
@pytest.mark.parametrize("is_schedule", [False, True])
def test_the_rate_of_the_next_step_is_the_one_it_takes(
    flavor: Any, is_schedule: bool
) -> None:
    """The weight moves by the rate that was told before."""
    rate: Any = 0.5
    if is_schedule:
        rate = flavor.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer, weight = flavor.optimizers.SGD(rate), weight_of(flavor)
    optimizer.build([weight])
    for _ in range(3):
        told = float(optimizer_compat.rate_of_next(optimizer))
        before = float(to_numpy(weight)[0, 0])
        optimizer.apply_gradients([(tf.ones([1, 1]), weight)])
        moved = before - float(to_numpy(weight)[0, 0])

        assert told == pytest.approx(moved)


@flavors
def test_gradients_are_those_of_the_variables(flavor: Any) -> None:
    """They are found in pairs, also where they come as an iterator."""
    optimizer, weight = flavor.optimizers.SGD(1.0), weight_of(flavor)
    optimizer.build([weight])
    name, values_of = optimizer_compat.gradients_given(optimizer)
    gradient = tf.fill([1, 1], 3.0)
    given = (
        (iter([gradient]), [weight])
        if name == "apply"
        else (iter([(gradient, weight)]),)
    )
    found, args, kwargs = values_of(*given)
    getattr(optimizer, name)(*args, **kwargs)

    ((value, variable, is_aggregated),) = found
    assert value is gradient
    assert variable is weight
    assert not is_aggregated
    assert float(to_numpy(weight)[0, 0]) == 1.0 - 3.0


@needs_keras_3
def test_gradients_of_a_scaled_loss_are_scaled_back() -> None:
    """They are what they would be without the scale."""
    flavor = FLAVORS["keras"]
    optimizer = loss_scale(flavor)(flavor.optimizers.SGD(1.0), 8.0)
    weight = weight_of(flavor)
    optimizer.build([weight])
    _, values_of = optimizer_compat.gradients_given(optimizer)
    ((value, *_),), *_ = values_of([tf.fill([1, 1], 16.0)], [weight])

    np.testing.assert_array_equal(value, [[2.0]])


def test_keras_2_says_whether_gradients_are_of_all_replicas() -> None:
    """The argument by which a step says so is understood."""
    optimizer = KERAS_2.optimizers.SGD()
    _, values_of = optimizer_compat.gradients_given(optimizer)
    pair = (tf.ones([]), tf.Variable(1.0))
    for option, is_aggregated in (
        ({"skip_gradients_aggregation": True}, True),
        ({"experimental_aggregate_gradients": False}, True),
        ({"experimental_aggregate_gradients": True}, False),
    ):
        ((_, _, told),), _, kwargs = values_of([pair], **option)

        assert told is is_aggregated
        assert kwargs == option
