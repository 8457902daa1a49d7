# SPDX-License-Identifier: Apache-2.0
"""Hooks see the batches of the call that they are passed to, and no others."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._step.step_function import StepFunction
from tests import models
from tests.flavors import keras
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


class Sees(v1.train.SessionRunHook):
    """Fetches the features of each step, and counts."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("features:0")

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.batches.append(run_values.results)


class Extra(keras.callbacks.Callback):
    """Trains, tests or predicts a batch of its own in the middle of a run."""

    def __init__(self, method: str, moment: str) -> None:
        super().__init__()
        self.method = method
        setattr(self, moment, self.extra)

    def extra(self, batch: int, logs: Any = None) -> None:
        x = np.full((2, 3), 7.0, "f")
        args = (x,) if self.method == "predict_on_batch" else (x, x[:, :1])
        getattr(self.model, self.method)(*args)


CALLS = {
    "fit": ("train_on_batch", "on_train_batch"),
    "evaluate": ("test_on_batch", "on_test_batch"),
    "predict": ("predict_on_batch", "on_predict_batch"),
}


@pytest.mark.parametrize("moment", ["begin", "end"])
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("method", CALLS)
def test_a_batch_apart(
    model: Any, method: str, is_first: bool, moment: str
) -> None:
    """A batch that another callback runs takes none away from the hooks."""
    data, hook = models.tiny_data(), Sees()
    on_batch, event = CALLS[method]
    extra = Extra(on_batch, f"{event}_{moment}")
    callbacks = [extra, SessionRunHookCallback(hook)]
    args = (data.x,) if method == "predict" else (data.x, data.y)
    more = {"shuffle": False} if method == "fit" else {}
    getattr(model, method)(
        *args,
        batch_size=4,
        verbose=0,
        callbacks=callbacks if is_first else callbacks[::-1],
        **more,
    )

    np.testing.assert_array_equal(np.concatenate(hook.batches), data.x)
    assert not {name for name in vars(model) if name.endswith("_on_batch")}


def test_its_training_is_that_of_plain_keras() -> None:
    """The batch apart trains as it does without hooks."""
    plain, hooked = models.tiny_model(), models.tiny_model()
    extra = ("train_on_batch", "on_train_batch_begin")
    models.fit(plain, Extra(*extra))
    models.fit(hooked, SessionRunHookCallback(Sees()), Extra(*extra))

    for one, other in zip(
        plain.get_weights(), hooked.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_the_last_step_is_that_of_fit(model: Any) -> None:
    """FinalOpsCallback gives the last batch of fit, not the one apart."""
    final = FinalOpsCallback({"x": "features"})
    models.fit(model, final, Extra("train_on_batch", "on_train_batch_end"))

    np.testing.assert_array_equal(
        final.final_ops_values["x"], models.tiny_data().x[4:]
    )


def test_a_model_that_is_compiled_in_mid_fit() -> None:
    """An error, because hooks would follow an optimizer that is not used."""

    class Compiles(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.compile("adam", "mse", jit_compile=False)
            self.model.make_train_function()

    model = models.tiny_model()
    hook = v1.train.StopAtStepHook(last_step=9)
    with pytest.raises(errors.HookUsageError, match="was recompiled"):
        models.fit(model, SessionRunHookCallback(hook), Compiles(), epochs=3)

    # Between two calls it is not an error.
    models.fit(model, SessionRunHookCallback(hook))
    assert int(model.optimizer.iterations.numpy()) == 2


@pytest.mark.parametrize(
    ("declared", "value"),
    [("uint8", 1000), ("int32", 2**40), ("uint64", -1), ("float32", 2**24 + 1)],
)
def test_a_declaration_that_is_too_narrow(declared: str, value: int) -> None:
    """A value that the declared dtype can't hold is an error."""
    model, hook = models.tiny_model(), Fetches("labels:0")
    x = models.tiny_data().x
    y = np.full((8, 1), value, "int64")
    spec = {"labels": tf.TensorSpec([None, 1], declared)}
    callback = SessionRunHookCallback(hook, step_tensors=spec)
    with pytest.raises(errors.StepTensorError, match=r"int64.*instead of"):
        model.fit(x, y, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("declared", ["uint8", "int32", "int64", "float32"])
def test_a_declaration_that_holds_the_value(declared: str) -> None:
    """A value that fits comes in the declared dtype."""
    model, hook = models.tiny_model(), Fetches("labels:0")
    x, y = models.tiny_data().x, np.full((8, 1), 232, "int64")
    spec = {"labels": tf.TensorSpec([None, 1], declared)}
    callback = SessionRunHookCallback(hook, step_tensors=spec)
    model.fit(x, y, verbose=0, callbacks=[callback])

    assert hook.results.dtype == declared
    np.testing.assert_array_equal(hook.results, y)


class Fetches(v1.train.SessionRunHook):
    """Fetches one name in each step."""

    def __init__(self, name: str) -> None:
        self.name = name

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.name)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.results = run_values.results


@pytest.mark.parametrize("moment", ["on_epoch_begin", "on_train_batch_begin"])
def test_a_step_that_is_made_anew_in_mid_fit(moment: str) -> None:
    """Hooks and final ops follow, as when layers are frozen in mid-fit."""

    class Remakes(keras.callbacks.Callback):
        pass

    def remake(self: Any, index: int, logs: Any = None) -> None:
        if index == 1:
            self.model.make_train_function(force=True)

    setattr(Remakes, moment, remake)
    losses: list[float] = []

    class Losses(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs("loss:0")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            losses.append(float(run_values.results))

    model = models.tiny_model()
    last = v1.train.FinalOpsHook({"loss": "loss:0"})
    final = FinalOpsCallback({"loss": "loss:0"})
    callback = SessionRunHookCallback([Losses(), last])
    models.fit(model, final, callback, Remakes(), epochs=4)

    assert len(losses) == int(to_numpy(model.optimizer.iterations))
    assert last.final_ops_values["loss"] == losses[-1]
    assert final.final_ops_values["loss"] == losses[-1]
    assert not isinstance(model.train_function, StepFunction)


def test_a_model_that_is_compiled_when_all_steps_have_run() -> None:
    """The hooks end, and nothing of theirs stays on the model."""

    class Compiles(keras.callbacks.Callback):
        def on_train_end(self, logs: Any = None) -> None:
            self.model.compile("adam", "mse", jit_compile=False)

    model = models.tiny_model()
    before = set(vars(model))
    last = v1.train.FinalOpsHook({"loss": "loss:0"})
    models.fit(model, Compiles(), SessionRunHookCallback(last))

    assert last.final_ops_values["loss"] > 0
    assert not {name for name in set(vars(model)) - before if "fit" in name}
    assert not isinstance(model.train_function, StepFunction)
