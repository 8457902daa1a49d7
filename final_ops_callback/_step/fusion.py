# SPDX-License-Identifier: Apache-2.0
"""Runs a step of Keras, and in the same call what hooks compute before it.

v1 computed the fetches of hooks in the run of the train op. A call of its own
for them takes as long as a small step, nearly all of it outside of the kernels.
So, where that changes no value and no error, one function is made that calls
both: first what the hooks fetch, and then the step that Keras has compiled. The
step is not traced again, and nothing of it changes.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Protocol

import tensorflow as tf

from final_ops_callback._keras.direct_step import DirectStep
from final_ops_callback._keras.direct_step import JoinedStep

logger = logging.getLogger("final_ops_callback")

_MOST_MADE = 16


class EarlyPart(Protocol):
    """Interface of what a subscriber has to compute before a step.

    It has no side effects, so it may run in the call of the step.

    Attributes:
        key: Object that identifies what is computed. It is held weakly.
        fusion: The `Fusion` of the run.
    """

    key: Any
    fusion: Fusion

    def run(self) -> None:
        """Computes it now."""

    def trace(self) -> list[tf.Tensor]:
        """Adds it to the graph that is being traced; returns the results."""

    def receive(self, values: Sequence[tf.Tensor]) -> None:
        """Takes the results of a step in whose call it was computed."""

    def raise_own(self, error: tf.errors.OpError) -> None:
        """Raises the error as `run` would, if the step has not caused it."""


class Fusion:
    """Finds the functions that compute early parts in the call of a step.

    A run of hooks has one, so the functions are freed when the run is over.

    Attributes:
        count: Integer. How many functions were made.
    """

    # A function costs some ten milliseconds, so it is made for what is fetched
    # again and again. (Tests set 1.)
    occasions = 3

    def __init__(self) -> None:
        self.count = 0
        self._seen: weakref.WeakKeyDictionary[Any, dict[int, Any]] = (
            weakref.WeakKeyDictionary()
        )

    def find(
        self, direct: DirectStep, early: EarlyPart, data: Any
    ) -> JoinedStep | None:
        """Returns the function for a step and an early part, if there is one.

        Args:
            direct: The direct way to call the step, which is ready.
            early: What is computed before it.
            data: The data of the step.

        Returns:
            A function that takes the data of the step and returns a pair of
            the results of the early part and the outputs of the step; `None`
            if the early part has to run by itself.
        """
        seen = self._seen.setdefault(early.key, {})
        step = id(direct.function)  # which the functions keep alive
        found = seen.get(step, 0)
        if type(found) is not int:
            return found
        seen[step] = found + 1
        if seen[step] < self.occasions or self.count >= _MOST_MADE:
            return None
        self.count += 1
        seen[step] = _fused(direct, early, data)
        return seen[step]


def run_step(
    function: Callable[..., Any],
    data: Any,
    early: EarlyPart | None = None,
    call: Callable[[Any], Any] | None = None,
) -> Any:
    """Runs a step of Keras, and before it an early part.

    Args:
        function: The step function that Keras has made.
        data: What it is called with.
        early: What has to be computed before the step, or `None`.
        call: Function that calls the step function when it may be traced.
            Defaults to the step function itself.

    Returns:
        What the step function returns.
    """
    direct = DirectStep.of(function)
    if direct is None or not direct.is_ready(data):
        if early is not None:
            early.run()
        outputs = (call or function)(data)
        if direct is not None:
            direct.learn(data)
        return outputs
    if early is None:
        return direct(data)
    fused = early.fusion.find(direct, early, data)
    if fused is None:
        early.run()
        return direct(data)
    try:
        values, outputs = fused(data)
    except tf.errors.OpError as error:
        early.raise_own(error)
        fused.explain(error)
        raise
    early.receive(values)
    return outputs


def _fused(
    direct: DirectStep, early: EarlyPart, data: Any
) -> JoinedStep:
    """Makes one function of an early part and a step."""

    def early_and_step(data: Any) -> tuple[list[tf.Tensor], Any]:
        values = early.trace()
        with tf.control_dependencies(values):
            return values, direct.trace(data)

    return direct.joined(early_and_step, data)
