# SPDX-License-Identifier: Apache-2.0
"""The step tensors that a run of hooks takes out of each step."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks import selection
from final_ops_callback._hooks.selection import StepSelection
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.lookup import StepNames
from tests import models

v1 = tf.compat.v1


class AsksAtTheEnd(v1.train.SessionRunHook):
    """Has a method `end`, in which it may ask for anything."""

    def end(self, session: Any) -> None:
        session.run("out:0")


class AsksInSteps(v1.train.SessionRunHook):
    """Has a method `before_run`, which asks for nothing by name."""

    def before_run(self, run_context: Any) -> None:
        return None


def begun(
    *hooks: Any, looked_up: tuple[str, ...] = (), is_idle: bool = False
) -> StepSelection:
    """Returns the tensors of a run that began."""
    model = models.tiny_model()
    tensors = StepSelection(model, StepNames(model, "train"), ["features"])
    instrumented = InstrumentedStep(model, "train")
    tensors.begin(list(hooks), looked_up, is_idle, instrumented, None)
    return tensors


def test_a_plain_step_delivers_what_is_fetched() -> None:
    """Without randomness, and without `end`, nothing else is taken."""
    tensors = begun(AsksInSteps(), looked_up=("loss",))
    assert not tensors.is_asked_later
    assert dict(tensors.to_take) == {}
    tensors.note_fetches(["loss", "mae"], has_run=False)

    assert set(tensors.to_take) == {"loss"}
    assert set(tensors.may_lack) == set()
    assert tensors.fetched == ["loss", "mae"]
    assert not tensors.all_inside
    tensors.note_fetches(["loss"], has_run=True)
    assert tensors.all_inside


def test_what_end_may_ask_for_is_kept_of_each_step() -> None:
    """Looked up, declared, or written in the code of the hook."""
    tensors = begun(AsksAtTheEnd(), looked_up=("loss",))

    assert tensors.is_asked_later
    assert set(tensors.to_take) == {"loss", "features", "out"}
    assert set(tensors.may_lack) == set(tensors.to_take)
    tensors.note_fetches(["loss"], has_run=False)
    assert set(tensors.may_lack) == {"features", "out"}


def test_a_random_step_keeps_one_function(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It delivers from the start what may be asked for; more is warned of."""
    monkeypatch.setattr(selection, "may_be_random", lambda model: True)
    tensors = begun(AsksInSteps())
    assert set(tensors.to_take) >= {"loss", "features", "predictions"}
    tensors.note_fetches(["loss"], has_run=True)
    assert caplog.text == ""
    tensors.note_fetches(["out"], has_run=True)

    assert "asks for ['out'] after the first step" in caplog.text
    tensors.note_fetches([], has_run=True)
    assert "out" in tensors.to_take


def test_an_idle_run_is_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks that have nothing to do in a step ask for nothing in it."""
    monkeypatch.setattr(selection, "may_be_random", lambda model: True)
    tensors = begun(is_idle=True)

    assert dict(tensors.to_take) == {}
