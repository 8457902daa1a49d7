# SPDX-License-Identifier: Apache-2.0
"""Which models may draw random numbers in their steps."""

import functools
from typing import Any

import pytest

from final_ops_callback._keras import randomness
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_keras_3

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def function_of_the_user(*args: Any) -> Any:
    """Stands for what may draw anything."""
    return args[0]


@flavors
def test_a_plain_model_draws_nothing(flavor: Any) -> None:
    """What Keras has is known, with its losses and metrics by name."""
    model = models.tiny_model(flavor)
    assert not randomness.may_be_random(model)
    model.compile("adam", "mse", metrics=["mae"])

    assert not randomness.may_be_random(model)


@flavors
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    "place", ["loss", "metric", "activation", "regularizer", "layer"]
)
def test_code_of_the_user_may_draw(
    flavor: Any, place: str, partial: bool
) -> None:
    """A function of one's own may, wherever it was given."""
    own: Any = function_of_the_user
    if partial:
        own = functools.partial(own)
    options: dict[str, Any] = {}
    if place in ("activation", "regularizer"):
        key = {"regularizer": "kernel_regularizer"}.get(place, place)
        options[key] = own
    layer = flavor.layers.Dense(1, **options)
    if place == "layer":

        class Own(flavor.layers.Dense):
            """A layer of the user's."""

        layer = Own(1)
    model = flavor.Sequential([flavor.Input((2,)), layer])
    # A function of the user's, and with it whatever it draws.
    model.compile(
        "sgd",
        own if place == "loss" else "mse",
        metrics=[own] if place == "metric" else None,
    )

    assert randomness.may_be_random(model)


@flavors
def test_a_step_of_the_user_may_draw(flavor: Any) -> None:
    """A subclass of a model, or of an optimizer, is code of the user."""

    class Model(flavor.Model):
        """A model of the user's."""

    class Optimizer(flavor.optimizers.SGD):
        """An optimizer of the user's."""

    tiny = models.tiny_model(flavor)
    assert randomness.may_be_random(Model(tiny.inputs, tiny.outputs))
    tiny.compile(Optimizer(), "mse")

    assert randomness.may_be_random(tiny)


@needs_keras_3
def test_a_dropout_of_keras_3_has_its_own_state() -> None:
    """Its seed is a variable, which every function shares."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5)])

    assert not randomness.may_be_random(model)


def test_a_dropout_of_keras_2_draws_in_the_trace() -> None:
    """So does one deep inside; Nadam counts in Python."""
    layers = KERAS_2.layers
    inner = KERAS_2.Sequential([KERAS_2.Input((2,)), layers.Dropout(0.5)])
    model = KERAS_2.Sequential([KERAS_2.Input((2,)), inner])
    tiny = models.tiny_model(KERAS_2)
    tiny.compile("nadam", "mse")

    assert randomness.may_be_random(model)
    assert randomness.may_be_random(tiny)
