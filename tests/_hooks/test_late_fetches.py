# SPDX-License-Identifier: Apache-2.0
"""What hooks may ask for later."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks.late_fetches import may_ask_after_a_step
from final_ops_callback._hooks.late_fetches import may_ask_late
from final_ops_callback._hooks.late_fetches import names_written

v1 = tf.compat.v1
Base = v1.train.SessionRunHook


class Asking(Base):
    """A hook of the user's that asks in a step."""

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("loss:0")


class Ending(Base):
    """A hook of the user's that asks at the end."""

    def end(self, session: Any) -> None:
        for name in ("accuracy:0", "plain"):
            session.run(name)


class After(Base):
    """A hook of the user's that asks after a step."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.session.run("loss:0")


class AfterInside(Base):
    """A hook of the user's that asks in a function inside of a method."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        def value() -> Any:
            return run_context.session.run("loss:0")

        value()


class NothingAfter(Base):
    """A hook of the user's that only counts."""

    runs = 0

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.runs += 1


@pytest.mark.parametrize(
    ("hook", "late"),
    [
        (Asking(), True),
        (Ending(), False),
        (Base(), False),
        (v1.train.LoggingTensorHook(["a"], 1), False),
    ],
)
def test_hooks_of_the_user_may_ask_late(hook: Any, late: bool) -> None:
    """Stock hooks look up what they ask for when they begin."""
    assert may_ask_late([Base(), hook]) is late


@pytest.mark.parametrize(
    ("make", "may_ask"),
    [
        (Ending, True),
        (After, True),
        (AfterInside, True),
        (NothingAfter, False),
        (Asking, False),
        (lambda: v1.train.FinalOpsHook("a"), True),
        (lambda: v1.train.LoggingTensorHook(["a"], at_end=True), True),
        (lambda: v1.train.LoggingTensorHook(["a"], 1), False),
        (lambda: v1.train.CheckpointSaverHook("folder", save_steps=1), False),
        (lambda: v1.train.StepCounterHook(1), False),
    ],
)
def test_hooks_may_ask_in_after_run_and_in_end(
    make: Any, may_ask: bool
) -> None:
    """Stock hooks that only write there do not."""
    assert may_ask_after_a_step([make()]) is may_ask


def test_names_are_found_in_hooks_and_in_their_code() -> None:
    """In what a hook was given also without an output."""
    known = ["loss", "accuracy", "plain", "given"]
    final = v1.train.FinalOpsHook({"x": ["given", "nothing:0"]})

    assert names_written([Asking()], known) == ["loss"]
    # A text in the code counts only if it is one of a tensor.
    assert names_written([Ending()], known) == ["accuracy"]
    assert names_written([final], known) == ["given"]


def test_a_list_that_holds_itself_is_searched() -> None:
    """The search ends."""
    hook = Base()
    hook.names = names = ["loss"]
    names.append(names)

    assert names_written([hook], ["loss"]) == ["loss"]
