# SPDX-License-Identifier: Apache-2.0
"""What stands in the place of a model's step function, and who watches it."""

import functools
import gc
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._keras import model_functions
from final_ops_callback._keras.callback_base import Callback
from final_ops_callback._step import kinds
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.step_function import StepFunction
from final_ops_callback._step.step_function import StepRequest
from final_ops_callback.testing import RecordingHook
from tests import models
from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


class Watcher:
    """Notes what it is told, and takes what it is made with."""

    def __init__(self, model: Any, *names: str, phase: str = "test") -> None:
        self.instrumented = InstrumentedStep(model, phase)
        every = {"loss": kinds.Loss(), "features": kinds.Data()}
        self.tensors = {name: every[name] for name in names}
        self.events: list[str] = []
        self.values: list[Mapping[str, Any]] = []

    def before_step(self, data: Any) -> StepRequest:
        self.events.append("before")
        return StepRequest(self.tensors)

    def after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        self.events.append("after")
        self.values.append(values)

    def no_data(self) -> None:
        self.events.append("no data")

    def step_failed(self, error: BaseException) -> None:
        self.events.append(f"failed: {error}")


def evaluate(model: Any) -> Any:
    data = models.tiny_data()
    return model.evaluate(data.x, data.y, batch_size=4, verbose=0)


def iterator() -> Any:
    data = models.tiny_data()
    dataset = tf.data.Dataset.from_tensor_slices((data.x, data.y))
    return iter(dataset.batch(4))


def standing(model: Any, *watchers: Watcher) -> StepFunction:
    """Lets watchers watch the test steps of a model."""
    evaluate(model)
    step_function = StepFunction.of(model, "test")
    for watcher in watchers:
        step_function.subscribe(watcher)
    return step_function


def test_each_step_is_seen_from_both_sides(flavor: ModuleType) -> None:
    """A watcher is asked before each step and told after it."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model)
    step_function = standing(model, watcher)
    data = iterator()
    for _ in range(2):
        model.test_function(data)

    assert watcher.events == ["before", "after"] * 2
    assert watcher.values == [{}, {}]
    assert step_function.is_installed


def test_what_several_watchers_want_is_taken_once(flavor: ModuleType) -> None:
    """Each gets the values that any of them wanted."""
    model = models.tiny_model(flavor)
    first, second = Watcher(model, "loss"), Watcher(model, "features")
    standing(model, first, second)
    model.test_function(iterator())

    for watcher in (first, second):
        [values] = watcher.values
        assert set(values) == {"loss", "features"}
    np.testing.assert_array_equal(
        first.values[0]["features"], models.tiny_data().x[:4]
    )


def test_the_end_of_the_data_is_told(flavor: ModuleType) -> None:
    """It is neither a step nor a failure."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model)
    standing(model, watcher)
    data = iterator()
    for _ in range(2):
        model.test_function(data)
    with pytest.raises((StopIteration, tf.errors.OutOfRangeError)):
        model.test_function(data)

    assert watcher.events[-2:] == ["before", "no data"]


def test_a_failure_is_told_to_all(flavor: ModuleType) -> None:
    """A watcher that raises ends the step for the others, too."""
    model = models.tiny_model(flavor)
    first, second = Watcher(model), Watcher(model)
    standing(model, first, second)

    def refuse(data: Any) -> StepRequest:
        raise KeyError("no")

    second.before_step = refuse  # type: ignore[method-assign]
    with pytest.raises(KeyError, match="no"):
        model.test_function(iterator())

    assert first.events == ["before", "failed: 'no'"]
    assert second.events == ["failed: 'no'"]


def test_something_else_may_take_the_place_of_a_step(
    flavor: ModuleType,
) -> None:
    """Then there was no step, and nobody is told of one."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model)
    standing(model, watcher)
    instead = StepRequest(instead=lambda data: "instead")
    watcher.before_step = lambda data: instead  # type: ignore[method-assign]

    assert model.test_function(iterator()) == "instead"
    assert watcher.events == []


def test_the_last_one_puts_the_function_back(flavor: ModuleType) -> None:
    """The model has its own function again, and its own methods."""
    model = models.tiny_model(flavor)
    evaluate(model)
    before = dict(vars(model))
    first, second = Watcher(model), Watcher(model)
    step_function = standing(model, first, second)
    assert model.test_function is step_function
    step_function.unsubscribe(first)
    assert model.test_function is step_function
    step_function.unsubscribe(second)

    assert vars(model).keys() == before.keys()
    assert model.test_function is before["test_function"]


def test_a_watcher_that_is_gone_watches_no_more(flavor: ModuleType) -> None:
    """Nobody has to unsubscribe who was let go."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model)
    standing(model, watcher)
    own = StepFunction.of(model, "test").function
    del watcher
    gc.collect()

    assert model.test_function is own


def test_a_call_inside_finds_the_own_function(flavor: ModuleType) -> None:
    """`evaluate` in a run that is watched is not watched."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model)
    step_function = standing(model, watcher)
    evaluate(model)

    assert watcher.events == []
    assert model.test_function is step_function


def test_a_function_that_is_made_anew_is_watched(flavor: ModuleType) -> None:
    """`make_test_function(force=True)` leaves the watchers in their place."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model, "loss")
    step_function = standing(model, watcher)
    own = step_function.function
    model.make_test_function(force=True)
    model.test_function(iterator())

    assert step_function.is_installed
    assert step_function.function is not own
    assert watcher.events == ["before", "after"]


class Failing(Callback):
    """Raises an error in the second batch of any call."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1:
            raise ArithmeticError("in another callback")

    on_test_batch_end = on_predict_batch_end = on_train_batch_end


CALLS = {
    "train": lambda model, x, y, **more: model.fit(x, y, **more),
    "test": lambda model, x, y, **more: model.evaluate(x, y, **more),
    "predict": lambda model, x, y, **more: model.predict(x, **more),
}


@pytest.mark.parametrize("phase", CALLS)
def test_the_next_call_finds_nothing_of_a_run_that_failed(
    flavor: ModuleType, phase: str
) -> None:
    """Another callback has failed, of which Keras does not tell anybody."""
    model, data = models.tiny_model(flavor), models.tiny_data()
    call = functools.partial(
        CALLS[phase], model, data.x, data.y, batch_size=4, verbose=0
    )
    # Hooks in Keras 2 note slots that they make before the first training.
    models.fit(model)
    call()
    before = set(vars(model))
    hook = RecordingHook()
    callback = SessionRunHookCallback(hook, on=phase)
    with pytest.raises(ArithmeticError, match="in another callback"):
        call(callbacks=[callback, Failing()])
    seen = len(hook.events)
    call()

    assert len(hook.events) == seen
    assert set(vars(model)) == before
    assert not isinstance(
        vars(model)[model_functions.attribute_of(phase)], StepFunction
    )
    call(callbacks=[callback])
    assert len(hook.events) > seen


def test_a_run_of_a_custom_loop_goes_on(flavor: ModuleType) -> None:
    """Its calls are not inside a call of Keras, which says nothing of it."""
    model = models.tiny_model(flavor)
    watcher = Watcher(model, phase="train")
    models.fit(model)
    step_function = StepFunction.of(model, "train")
    step_function.subscribe(watcher)
    models.fit(model)

    assert watcher.events == []
    assert step_function.is_installed
    step_function(iterator())
    assert watcher.events == ["before", "after"]
    step_function.unsubscribe(watcher)
