# SPDX-License-Identifier: Apache-2.0
"""Methods of Keras objects that are wrapped for a while."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras.wrapping import Wrappers
from final_ops_callback._keras.wrapping import take_off
from final_ops_callback._keras.wrapping import unconverted
from tests import models


class Thing:
    """Something with a method."""

    def method(self) -> str:
        return "own"


def around(method: Callable[[], str]) -> Callable[[], str]:
    """Returns a wrapper that shows."""
    return lambda: f"<{method()}>"


def test_a_wrapper_stands_until_it_is_taken_off() -> None:
    """The method is the wrapper, and then the one of the class again."""
    thing = Thing()
    before = Wrappers([(thing, "method", around)]).put_on()
    assert thing.method() == "<own>"
    take_off(before)

    assert thing.method() == "own"
    assert vars(thing) == {}


def test_a_method_of_the_instance_comes_back() -> None:
    """What somebody else has put on the instance is put back."""
    thing = Thing()
    vars(thing)["method"] = other = lambda: "other"
    before = Wrappers([(thing, "method", around)]).put_on()
    assert thing.method() == "<other>"
    take_off(before)

    assert vars(thing) == {"method": other}


def test_a_wrapper_is_made_once() -> None:
    """The second time the same wrapper is put on, unless the method is new."""
    thing, made = Thing(), []

    def counted(method: Any) -> Any:
        made.append(method)
        return around(method)

    wrappers = Wrappers([(thing, "method", counted)])
    for _ in range(3):
        take_off(wrappers.put_on())
    assert len(made) == 1
    vars(thing)["method"] = lambda: "other"
    before = wrappers.put_on()

    assert thing.method() == "<other>"
    assert len(made) == 2
    take_off(before)


def test_two_wrappers_of_one_method_lie_in_each_other() -> None:
    """They are taken off in the other order."""
    thing = Thing()
    place = (thing, "method", around)
    before = Wrappers([place, place]).put_on()
    assert thing.method() == "<<own>>"
    take_off(before)

    assert thing.method() == "own"


def test_a_wrapper_that_fails_leaves_none() -> None:
    """If one can't be made, those before it are taken off."""

    def failing(method: Any) -> Any:
        raise ValueError("no wrapper")

    first, second = Thing(), Thing()
    wrappers = Wrappers(
        [(first, "method", around), (second, "method", failing)]
    )
    with pytest.raises(ValueError, match="no wrapper"):
        wrappers.put_on()

    assert vars(first) == vars(second) == {}


def test_keras_does_not_track_a_wrapper() -> None:
    """A model has the same variables and layers with a wrapper on it."""
    model = models.tiny_model()
    parts = len(model.variables), len(model.layers)
    before = Wrappers([(model, "train_step", around)]).put_on()

    assert (len(model.variables), len(model.layers)) == parts
    take_off(before)


def test_autograph_keeps_out() -> None:
    """A condition on a tensor is not converted in what is unconverted."""

    def sign(x: Any) -> Any:
        return 1 if x > 0 else -1

    converted = tf.function(sign)
    plain = tf.function(unconverted(sign))

    np.testing.assert_equal(converted(tf.constant(-2.0)).numpy(), -1)
    with pytest.raises(TypeError, match="symbolic"):
        plain(tf.constant(-2.0))
