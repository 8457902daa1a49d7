# SPDX-License-Identifier: Apache-2.0
"""One run of hooks around the steps of a model."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks.hook_run import HookRun
from final_ops_callback._keras.callback_base import Callback
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback.errors import HookUsageError
from final_ops_callback.testing import RecordingHook
from tests import models
from tests.flavors import FLAVORS

v1 = tf.compat.v1
flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def run_of(model: Any, hook: Any, phase: str = "train") -> HookRun:
    """Returns the run of a hook, for two steps of an epoch."""
    instrumented = InstrumentedStep(model, phase)
    return HookRun(model, phase, hook, None, {}, {}, 2, instrumented)


class Driving(Callback):
    """Begins a run of hooks with a call of Keras, and ends it with it."""

    def __init__(self, hook: Any, aborts: bool = False) -> None:
        super().__init__()
        self.hook, self.aborts = hook, aborts

    def _begin_phase(self, phase: Any) -> None:
        self.run = run_of(self.model, self.hook, phase)
        self.run.begin()
        if self.aborts:
            self.run.abort(RuntimeError("given up"))

    def _end_phase(self, phase: Any, logs: Any) -> None:
        if not self.aborts:
            self.run.end(logs)


def methods(hook: RecordingHook) -> list[str]:
    """Returns the names of the methods that were called."""
    return [event.method for event in hook.events]


@flavors
def test_hooks_live_around_the_steps(flavor: Any) -> None:
    """The step function stands for the run, and for no longer."""
    model, hook = models.tiny_model(flavor), RecordingHook("loss:0")
    models.fit(model, Driving(hook))
    called = methods(hook)
    models.fit(model)

    assert called == [
        "begin",
        "after_create_session",
        *["before_run", "after_run"] * 2,
        "end",
    ]
    assert methods(hook) == called


@flavors
def test_an_aborted_run_has_no_end(flavor: Any) -> None:
    """As in v1, whose hooks heard nothing of an exception."""
    model, hook = models.tiny_model(flavor), RecordingHook()
    models.fit(model, Driving(hook, aborts=True))

    assert methods(hook) == ["begin", "after_create_session"]
    assert int(model.optimizer.iterations) == 2


@flavors
def test_a_stop_is_told_to_keras(flavor: Any) -> None:
    """No step runs after it."""
    model = models.tiny_model(flavor)
    models.fit(model, Driving(v1.train.StopAtStepHook(last_step=1)))

    assert model.stop_training
    assert int(model.optimizer.iterations) == 1


@flavors
def test_another_compile_in_a_run_is_refused(flavor: Any) -> None:
    """The step and the slots of the hooks are those of the one before."""
    model = models.tiny_model(flavor)
    run = run_of(model, RecordingHook("loss:0"))
    run.begin()
    run.check_stands()
    model.compile("sgd", "mse")
    with pytest.raises(HookUsageError, match="recompiled"):
        run.check_stands()


@flavors
def test_a_model_without_variables_begins_in_its_first_step(
    flavor: Any,
) -> None:
    """Then the shapes of its inputs are known."""
    model = flavor.Sequential([flavor.layers.Dense(1)])
    model.compile("sgd", "mse")
    hook = RecordingHook()
    driving = Driving(hook)
    begun_with = []
    driving.on_epoch_begin = lambda *_: begun_with.append(methods(hook))
    models.fit(model, driving)

    assert begun_with == [[]]
    assert methods(hook)[:3] == ["begin", "after_create_session", "before_run"]
