# SPDX-License-Identifier: Apache-2.0
"""The first step of Keras 2, whose slots were made before."""

from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._keras import optimizers
from final_ops_callback._keras.first_trace import FirstTrace
from tests import models
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_keras_3


def early(**optimizer: Any) -> Any:
    """Returns a model of Keras 2 whose slots were made and noted."""
    model = models.tiny_model(KERAS_2, **optimizer)
    optimizers.build(model)
    FirstTrace.note_early_slots(model)
    return model


def traces_of(model: Any, first_trace: FirstTrace | None) -> int:
    """Returns how often the first step is traced."""
    traced = []
    step = model.train_step

    def noted(data: Any) -> Any:
        traced.append(data)
        return step(data)

    vars(model)["train_step"] = noted
    if first_trace is None:
        models.fit(model)
    else:
        with first_trace.installed():
            models.fit(model)
    return len(traced)


def test_the_first_step_is_traced_as_without_hooks() -> None:
    """Without the help, early slots would save a trace."""
    alone = traces_of(models.tiny_model(KERAS_2), None)
    helped = early()
    unhelped = early()

    assert traces_of(helped, FirstTrace.needed(helped)) == alone
    assert traces_of(unhelped, None) < alone


def test_it_is_needed_once() -> None:
    """The second training of a model needs none, nor one with late slots."""
    model = early()

    assert FirstTrace.needed(model) is not None
    assert FirstTrace.needed(model) is None
    assert FirstTrace.needed(models.tiny_model(KERAS_2)) is None


@needs_keras_3
def test_keras_3_needs_none() -> None:
    """It makes nothing in a trace."""
    model = models.tiny_model(keras)
    optimizers.build(model)
    FirstTrace.note_early_slots(model)

    assert FirstTrace.needed(model) is None


def test_averages_follow_weights_that_were_set() -> None:
    """Those that somebody has restored meanwhile stay as they are."""
    model = early(use_ema=True)
    (average, kernel), (other, _) = optimizers.averages_of(model)
    kernel.assign(np.full(kernel.shape, 5.0))
    other.assign(np.full(other.shape, 7.0))
    first_trace = FirstTrace.needed(model)
    assert first_trace is not None
    with first_trace.installed():
        pass

    np.testing.assert_array_equal(average, kernel)
    np.testing.assert_array_equal(other, np.full(other.shape, 7.0))


def test_an_eager_step_is_left_alone() -> None:
    """It is not traced, so nothing is wrapped, and nothing stays."""
    model = early()
    model.run_eagerly = True
    first_trace = FirstTrace.needed(model)
    assert first_trace is not None
    with first_trace.installed():
        assert "train_step" not in vars(model)

    traced = early()
    wrapping = FirstTrace.needed(traced)
    assert wrapping is not None
    with wrapping.installed():
        assert "train_step" in vars(traced)
    assert "train_step" not in vars(traced)
    assert tf.executing_eagerly()
