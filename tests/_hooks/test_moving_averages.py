# SPDX-License-Identifier: Apache-2.0
"""Moving averages of weights that are set before the first step.

The oracle is plain Keras: the weights are set before `fit`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
X = np.random.default_rng(0).normal(size=(14, 3)).astype("f")


class Sets(v1.train.SessionRunHook):
    """Sets the weights, when the session is there or before a step."""

    def __init__(self, before_run: bool) -> None:
        self.in_before_run = before_run

    def begin(self) -> None:
        weights = v1.trainable_variables()
        self.op = tf.group(*[v.assign(tf.ones_like(v)) for v in weights])

    def after_create_session(self, session: Any, coord: Any) -> None:
        if not self.in_before_run:
            session.run(self.op)

    def before_run(self, run_context: Any) -> Any:
        if self.in_before_run:
            run_context.session.run(self.op)
            self.in_before_run = False
        return v1.train.SessionRunArgs("loss:0")


class SetsAsCallback(keras.callbacks.Callback):
    """Sets the weights when the training begins."""

    def on_train_begin(self, logs: Any = None) -> None:
        set_weights(self.model)


def set_weights(model: Any) -> None:
    model.set_weights([np.ones_like(w) for w in model.get_weights()])


def model_of(eager: bool) -> Any:
    """Returns a model whose optimizer keeps moving averages."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9)
    model.compile(optimizer, "mse", run_eagerly=eager, jit_compile=False)
    return model


def fit(model: Any, *callbacks: Any) -> list[np.ndarray]:
    """Returns the weights of the end: the averages."""
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    model.fit(X, X[:, :1], callbacks=list(callbacks), **options)
    return model.get_weights()


SETTERS: dict[str, Callable[[], list[Any]]] = {
    "session": lambda: [SessionRunHookCallback(Sets(False))],
    "before run": lambda: [SessionRunHookCallback(Sets(True))],
    "callback": lambda: [
        SessionRunHookCallback(v1.train.StopAtStepHook(last_step=9)),
        SetsAsCallback(),
    ],
    "idle": lambda: [
        SessionRunHookCallback(v1.train.FinalOpsHook(None)),
        SetsAsCallback(),
    ],
}


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("setter", SETTERS)
def test_averages_begin_with_the_weights_that_train(
    setter: str, eager: bool
) -> None:
    """The averages contain nothing of weights that were replaced."""
    model = model_of(eager)
    set_weights(model)
    expected = fit(model)

    actual = fit(model_of(eager), *SETTERS[setter]())

    for value, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(value, other)


def test_weights_that_are_set_after_an_evaluation() -> None:
    """An evaluation with hooks leaves the averages to the fit."""
    model = model_of(False)
    set_weights(model)
    expected = fit(model)

    model = model_of(False)
    callback = SessionRunHookCallback(v1.train.StopAtStepHook(last_step=9))
    model.evaluate(X, X[:, :1], verbose=0, callbacks=[callback])
    set_weights(model)
    actual = fit(model, callback)

    for value, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(value, other)
