# SPDX-License-Identifier: Apache-2.0
"""Each exception in each place at each moment: it escapes, nothing stays."""

import contextlib
import gc
import os
import pathlib
import threading
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from tests.faults import cases
from tests.faults import world

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with cases.warm():
        yield


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("case", cases.CASES, ids=str)
def test_the_exception_escapes_and_nothing_stays(
    case: cases.Case, tmp_path: pathlib.Path
) -> None:
    """The original exception escapes, the model trains on, all else is gone."""
    cases.check(case, tmp_path)


# Twins: that nothing stays is a check that can fail

KEPT: list[Any] = []


class Leaky(FinalOpsCallback):
    """Leaves something behind, and fails."""

    def __init__(self, leak: Callable[[Any], Any]) -> None:
        super().__init__("predictions")
        self._leak = leak

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        KEPT.append(self._leak(self))
        raise ValueError(cases.TEXT)


def thread_of(callback: Any) -> threading.Event:
    event = threading.Event()
    threading.Thread(target=event.wait, daemon=True).start()
    return event


LEAKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "callback": (lambda callback: callback, "LastStep"),
    "graph": (lambda callback: tf.Graph(), "Graph"),
    "session": (lambda callback: tf.compat.v1.Session(), "Session"),
    "variable": (lambda callback: tf.Variable(0), "ResourceVariable"),
    "thread": (thread_of, "threads"),
    "file": (lambda callback: open(os.devnull), "files"),  # noqa: SIM115
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("flavor", world.FLAVORS)
def test_what_stays_is_noticed(flavor: str, leak: str) -> None:
    """A callback that leaves something behind changes the counts."""
    model = world.model_of(flavor)
    before = world.all_that_lives()
    make, kind = LEAKS[leak]

    with contextlib.suppress(ValueError):
        world.run(model, "train", [Leaky(make)])

    left = world.all_that_lives()
    kept = KEPT.pop()
    for release in ("set", "close"):
        getattr(kept, release, world.nothing)()
    assert left.get(kind, 0) > before.get(kind, 0)


@pytest.mark.parametrize("flavor", world.FLAVORS)
def test_what_stays_on_a_model_is_noticed(flavor: str) -> None:
    """A callback that stays on the model is found, until it is removed."""
    model = world.model_of(flavor)

    with contextlib.suppress(ValueError):
        world.run(model, "train", [Leaky(lambda callback: callback)])

    seen = world.ours_on(model)
    KEPT.clear()
    gc.collect()
    assert seen == ["Model.train_function"]
    assert world.ours_on(model) == []


@pytest.mark.parametrize("flavor", world.FLAVORS)
def test_a_hurt_model_is_noticed(flavor: str) -> None:
    """A model that has changed shows other values."""
    model = world.new_model(flavor)
    model.optimizer.learning_rate.assign(0.2)

    seen = world.seen_by_fresh(model, flavor)

    with pytest.raises(AssertionError):
        np.testing.assert_equal(seen, world.seen_unhurt(flavor))
