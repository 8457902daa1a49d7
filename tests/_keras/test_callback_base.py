# SPDX-License-Identifier: Apache-2.0
"""The moments of Keras become phases."""

import copy
import pickle
from typing import Any

import pytest

from final_ops_callback._keras.callback_base import PHASES
from final_ops_callback._keras.callback_base import Callback
from tests import models
from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


class Phases(Callback):
    """Notes the phases that it lives through."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def _begin_phase(self, phase: Any) -> None:
        self.seen.append(f"+{phase}")

    def _end_phase(self, phase: Any, logs: Any) -> None:
        self.seen.append(f"-{phase}")


class Evaluating(Phases):
    """Evaluates another model, with itself, in the first epoch of a fit."""

    def __init__(self, other: Any, fails: bool) -> None:
        super().__init__()
        self.other, self.fails = other, fails
        self.models: list[Any] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self.models.append(self.model)
        if epoch == 0:
            data = models.tiny_data()
            failing = [_Failing()] if self.fails else []
            try:
                self.other.evaluate(
                    data.x, data.y, callbacks=[self, *failing], verbose=0
                )
            except ArithmeticError:
                assert self.fails


class _Failing(Callback):
    """Fails in the first batch of an evaluate."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        raise ArithmeticError("in a batch")


@flavors
def test_each_run_has_its_phase(flavor: Any) -> None:
    """An evaluate in fit is a validation, one of its own a test."""
    model, data = models.tiny_model(flavor), models.tiny_data()
    callback = Phases()
    models.fit(model, callback, validate=True)
    model.evaluate(data.x, data.y, callbacks=[callback], verbose=0)
    model.predict(data.x, callbacks=[callback], verbose=0)

    assert " ".join(callback.seen) == (
        "+train +validation -validation -train +test -test +predict -predict"
    )
    assert {name[1:] for name in callback.seen} == set(PHASES)


@flavors
def test_a_run_inside_of_fit_is_a_test(flavor: Any) -> None:
    """Afterwards the callback is in fit again, with the model of fit."""
    model, other = models.tiny_model(flavor), models.tiny_model(flavor)
    callback = Evaluating(other, fails=False)
    models.fit(model, callback, validate=True, epochs=2)

    assert " ".join(callback.seen) == (
        "+train +test -test +validation -validation +validation -validation "
        "-train"
    )
    assert [one is model for one in callback.models] == [True, True]


@flavors
def test_a_run_inside_of_fit_that_failed_is_over(flavor: Any) -> None:
    """The validation of its own epoch is one, and of the model of fit."""
    model, other = models.tiny_model(flavor), models.tiny_model(flavor)
    callback = Evaluating(other, fails=True)
    models.fit(model, callback, validate=True, epochs=2)

    assert " ".join(callback.seen) == (
        "+train +test +validation -validation +validation -validation -train"
    )
    assert [one is model for one in callback.models] == [True, True]


@flavors
def test_an_evaluate_after_a_failed_fit_is_a_test(flavor: Any) -> None:
    """The fit never ended, and the evaluate is none of its validations."""
    model, data = models.tiny_model(flavor), models.tiny_data()
    callback = Phases()
    with pytest.raises(Exception, match=r"(?i)incompatible|expected|shape"):
        model.fit(data.x[:, :2], data.y, callbacks=[callback], verbose=0)
    model.evaluate(data.x, data.y, callbacks=[callback], verbose=0)

    assert callback.seen[-2:] == ["+test", "-test"]


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_copy_has_nothing_of_a_run(duplicate: Any) -> None:
    """It has its attributes, and can be used in a run of its own."""
    callback = Phases()
    models.fit(models.tiny_model(), callback)
    made = duplicate(callback)
    assert made.seen == callback.seen
    assert made.model is None
    models.fit(models.tiny_model(), made)

    assert made.seen == ["+train", "-train"] * 2
    assert callback.seen == ["+train", "-train"]


def test_no_batch_method_costs_nobody() -> None:
    """The base says that it has none; a subclass that has one says so."""

    class WithTest(Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            """Watches the batches of an evaluation."""

    names = [
        f"_implements_{phase}_batch_hooks"
        for phase in ("train", "test", "predict")
    ]

    assert [getattr(Phases(), name)() for name in names] == [False] * 3
    assert [getattr(WithTest(), n)() for n in names] == [False, True, False]
