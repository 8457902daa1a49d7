# SPDX-License-Identifier: Apache-2.0
"""Where Keras keeps the step functions of a model, and how it makes another."""

import functools
from types import ModuleType
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._keras import model_functions
from final_ops_callback._keras.callback_base import Callback
from tests import models
from tests.flavors import FLAVORS

PHASES = ("train", "test", "predict")


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.mark.parametrize("phase", PHASES)
def test_the_names_are_those_of_a_model(flavor: ModuleType, phase: str) -> None:
    """A model has the method, the attribute and the callers of each phase."""
    model = models.tiny_model(flavor)

    assert callable(getattr(model, model_functions.maker_of(phase)))
    assert hasattr(model, model_functions.attribute_of(phase))
    for name in model_functions.CALLERS[phase]:
        assert callable(getattr(model, name))


@pytest.mark.parametrize("phase", PHASES)
def test_another_function_leaves_the_first_in_its_place(
    flavor: ModuleType, phase: str
) -> None:
    """The model is as it was, and the new function is another one."""
    model = models.tiny_model(flavor)
    getattr(model, model_functions.maker_of(phase))()
    before = dict(vars(model))
    made = model_functions.make_another(model, phase)

    assert made is not before[model_functions.attribute_of(phase)]
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def test_a_failure_leaves_the_first_in_its_place(flavor: ModuleType) -> None:
    """A model whose method raises keeps the function that it had."""

    class Fails(flavor.Model):  # type: ignore[name-defined,misc]
        def make_test_function(self, force: bool = False) -> None:
            self.test_function = None
            raise KeyError("no function")

    model = Fails()
    model.test_function = own = len
    with pytest.raises(KeyError, match="no function"):
        model_functions.make_another(model, "test")

    assert model.test_function is own


def test_whether_a_function_was_traced(flavor: ModuleType) -> None:
    """A function that is no step function was never traced."""
    model = models.tiny_model(flavor)
    models.fit(model)

    assert model_functions.was_traced(model.train_function)
    assert not model_functions.was_traced(None)
    assert not model_functions.was_traced(lambda: model)


def test_who_takes_its_function_early(flavor: ModuleType) -> None:
    """Keras 2 does, which has no `ops`."""
    model = models.tiny_model(flavor)

    assert model_functions.takes_function_early(model) != hasattr(flavor, "ops")


def test_a_call_of_keras_is_known_from_inside(flavor: ModuleType) -> None:
    """A callback is called from inside; whoever is not, is not."""
    model = models.tiny_model(flavor)
    seen = []

    class Asking(Callback):
        def _begin_phase(self, phase: Any) -> None:
            seen.append(model_functions.is_running(self.model))

    models.fit(model, Asking(), validate=True)

    assert seen == [True, True]
    assert not model_functions.is_running(model)


class Timed:
    """Calls a step function, and passes all else on, as a profiler does."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, data: Any) -> Any:
        return self._function(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


@pytest.mark.parametrize("phase", PHASES)
def test_what_keras_has_compiled_is_found(
    flavor: ModuleType, phase: str
) -> None:
    """It is a `tf.function`, whatever Keras puts around it."""
    model = models.tiny_model(flavor)
    getattr(model, model_functions.maker_of(phase))()
    function = getattr(model, model_functions.attribute_of(phase))
    found = model_functions.compiled_part(function)

    assert isinstance(found, tf.types.experimental.PolymorphicFunction)


@pytest.mark.parametrize("phase", PHASES)
def test_what_runs_eagerly_or_is_wrapped_has_no_compiled_part(
    flavor: ModuleType, phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The code of a user around it runs in each step; nothing is said."""
    model = models.tiny_model(flavor)
    make = getattr(model, model_functions.maker_of(phase))
    make()
    own = getattr(model, model_functions.attribute_of(phase))

    @functools.wraps(own)
    def wrapper(data: Any) -> Any:
        return own(data)

    def multi_step_on_iterator(data: Any) -> Any:
        return own(data)

    for other in (
        wrapper,
        Timed(own),
        lambda data: multi_step_on_iterator(data),
    ):
        assert model_functions.compiled_part(other) is None
    model.compile("sgd", "mse", run_eagerly=True)
    make(force=True)
    eager = getattr(model, model_functions.attribute_of(phase))

    assert model_functions.compiled_part(eager) is None
    assert not caplog.records
