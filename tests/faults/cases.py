# SPDX-License-Identifier: Apache-2.0
"""Defines the cases of the grid, and the checks of each case."""

import contextlib
import dataclasses
import gc
import pathlib
import re
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback import errors
from tests.contract import drivers
from tests.faults import places
from tests.faults import world

TEXT = "the fault that was put in"
ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError(TEXT),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(TEXT),
    "SystemExit": lambda: SystemExit(TEXT),
    "MemoryError": lambda: MemoryError(TEXT),
    "OutOfRangeError": lambda: tf.errors.OutOfRangeError(None, None, TEXT),
    "StopIteration": lambda: StopIteration(TEXT),
}
END_OF_INPUT = ("OutOfRangeError", "StopIteration")


@dataclasses.dataclass(frozen=True)
class Case:
    """One point of the grid."""

    flavor: str
    phase: str
    place: places.Place
    moment: int
    error: str

    def __str__(self) -> str:
        call = world.CALLS[self.phase]
        where = self.place.name.replace(" ", "_")
        return f"{self.flavor}-{call}-{where}-{self.moment}-{self.error}"


CASES = [
    Case(flavor, phase, place, moment, error)
    for flavor in world.FLAVORS
    for place in places.PLACES
    for phase in place.phases
    for moment in place.moments
    for error in ERRORS
]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        kind: The type of the exception that escaped, or `None`.
        text: Its text.
        itself: Whether it is the very object that was raised, or an error of
            this package that came of it.
    """

    kind: Any = None
    text: str | None = ""
    itself: bool = False


def text_of(error: BaseException) -> str:
    """Returns the text of an exception, without the way that led to it."""
    # TensorFlow numbers the functions that it traced, and lists the calls.
    text = re.sub(r"(__inference_\w+)_\d+", r"\1", str(error))
    return re.sub(r"^ +File .*\n(    .*\n)*\n?", "", text, flags=re.MULTILINE)


def outcome(action: Callable[[], Any], fault: world.Fault) -> Outcome:
    """Calls a function, and returns how it ended, without the exception."""
    fault.armed = True
    try:
        action()
    except BaseException as error:
        if isinstance(error, errors.WriterError):
            # Not its cause: Keras raises it anew, `from None`.
            return Outcome(type(error), None, error.__context__ is fault.error)
        return Outcome(type(error), text_of(error), error is fault.error)
    finally:
        fault.armed = False
        # Its frames hold all that they saw.
        fault.error.__traceback__ = None
    return Outcome()


def scene_of(case: Case, folder: pathlib.Path) -> places.Scene:
    """Sets the scene of a case."""
    fault = world.Fault(ERRORS[case.error](), case.moment)
    if case.place.built:
        model = world.model_of(case.flavor, case.place.eager)
        world.reset(model)
    else:
        model = world.new_model(case.flavor, built=False)
    scene = places.Scene(case.flavor, case.phase, fault, folder, model)
    no_step = case.moment == 0 and case.error in END_OF_INPUT
    scene.last_step = not (case.place.in_step and no_step)
    case.place.build(scene)
    return scene


def expected(case: Case, folder: pathlib.Path) -> Outcome:
    """Returns how the case has to end."""
    scene = scene_of(case, folder)
    error = scene.fault.error
    if case.place.oracle == "hook" and case.error in END_OF_INPUT:
        return Outcome()
    if case.place.oracle == "disk" and isinstance(error, tf.errors.OpError):
        return Outcome(errors.WriterError, None, True)
    if case.place.oracle in ("itself", "hook", "disk"):
        return Outcome(type(error), str(error), True)
    if scene.alone is None:
        return outcome(scene.run, scene.fault)

    def alone() -> None:
        with scene.around():
            scene.alone()

    return outcome(alone, scene.fault)


@dataclasses.dataclass(frozen=True)
class Aftermath:
    """The state after a run with a fault.

    Attributes:
        ended: How it ended.
        raised: Whether the fault occurred.
        values: The final values.
        by_phase: The final values of each phase.
        parts: The names of files that are half-written.
        marks: The objects of this package on the case's own model.
        seen: What a later training of that model shows.
    """

    ended: Outcome
    raised: bool
    values: Any
    by_phase: Any
    parts: list[str]
    marks: list[str]
    seen: Any


def aftermath(case: Case, folder: pathlib.Path) -> Aftermath:
    """Runs a case with callbacks of ours, which had values before."""
    scene, ended, values, by_phase = hurt(case, folder)
    parts = [path.name for path in folder.rglob("*") if ".part" in path.name]
    marks, seen = [], None
    if not case.place.built:
        gc.collect()
        marks = world.ours_on(scene.model)
        seen = world.seen_by_fresh(scene.model, case.flavor)
    return Aftermath(
        ended, scene.fault.raised, values, by_phase, parts, marks, seen
    )


def hurt(case: Case, folder: pathlib.Path) -> tuple[Any, Outcome, Any, Any]:
    """Runs a case; its callbacks and their objects are freed on return."""
    scene = scene_of(case, folder)
    hooks, final = scene.ours()
    if case.place.primed:
        world.run(scene.model, case.phase, [final])
        assert final.final_ops_values is not None
        for left in folder.rglob("final_ops.*"):
            left.unlink()
        world.reset(scene.model)
        scene.prepare()
    ended = outcome(lambda: scene.run(hooks, final), scene.fault)
    return scene, ended, final.final_ops_values, final.final_ops_values_by_phase


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """Makes everything that cases share, and excludes it from the count."""
    for flavor in world.FLAVORS:
        places.metric_of(flavor)
        for eager in (False, True):
            world.seen_by_fresh(world.model_of(flavor, eager), flavor)
            world.seen_unhurt(flavor, eager)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def check(case: Case, folder: pathlib.Path) -> None:
    """Checks that the original escapes, and that nothing else is different.

    Args:
        case: The case.
        folder: An empty folder.
    """
    oracle = expected(case, folder)
    before = world.all_that_lives()
    marks = drivers.marks_on(world.model_of(case.flavor, case.place.eager))

    after = aftermath(case, folder)

    left = world.all_that_lives()
    assert after.raised
    assert after.ended == oracle
    # Keras 3 fails in a predict without steps, once it has told the end.
    ended = after.ended.kind in (None, UnboundLocalError)
    has_values = case.place.values or ended
    if not case.place.untold:
        assert (after.values is not None) == has_values
    if not case.place.early:
        assert list(after.by_phase) == [case.phase] * has_values
    assert after.parts == []
    assert left == before
    assert after.marks == []
    unhurt = world.seen_unhurt(case.flavor, case.place.eager)
    if after.seen is not None:
        np.testing.assert_equal(after.seen, unhurt)
    model = world.model_of(case.flavor, case.place.eager)
    assert world.ours_on(model) == []
    assert drivers.marks_on(model) == marks
    np.testing.assert_equal(world.seen_by_fresh(model, case.flavor), unhurt)
    assert world.ours_on(model) == []
