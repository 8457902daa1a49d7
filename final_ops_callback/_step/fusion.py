# SPDX-License-Identifier: Apache-2.0
"""Runs a step of Keras, and in the same call what hooks fetch.

v1 computed the fetches of hooks in the run of the train op. A call of its own
for them takes as long as a small step, nearly all of it outside of the kernels.
So, where that changes no value and no error, one function is made that calls
three: first the fetches that do not depend on the step, then the step that
Keras has compiled, then the fetches that depend on it. The step is not traced
again, and nothing of it changes.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import Protocol
from typing import TypeVar

import tensorflow as tf

from final_ops_callback._keras.direct_step import DirectStep
from final_ops_callback._keras.direct_step import JoinedStep

logger = logging.getLogger("final_ops_callback")

_Value = TypeVar("_Value")

# A script may fetch something else in each step.
_MOST_MADE = 16

# TensorFlow optimizes the graph of a new function, which takes some 5 ms for
# each of its inputs (the variables of the model), and saves some 0.1 ms per
# step. For more than a few variables, it is made when it would have paid.
_FEW, _MORE = 50, 50

_ByPart = weakref.WeakKeyDictionary[Any, _Value]

# A function from the outputs of a step to the values taken out of it.
Taken = Callable[[Any], Mapping[str, Any]]


class StepPart(Protocol):
    """Interface of what a subscriber has computed with a step.

    What comes before the step has no side effects, so it may run in the call of
    the step. By itself, it runs before the call; what comes after the step then
    runs after the call, when the subscriber is given the values of the step.

    Attributes:
        fusion: The `Fusion` of the run.
    """

    fusion: Fusion

    @property
    def key(self) -> Any:
        """Object that identifies what is computed. It is held weakly."""

    def run(self) -> None:
        """Computes what comes before the step by itself."""

    def trace_before(self) -> dict[str, tf.Tensor]:
        """Adds what comes before the step to the graph that is traced."""

    def trace_after(
        self, before: dict[str, tf.Tensor], step_values: Mapping[str, Any]
    ) -> dict[str, tf.Tensor] | None:
        """Adds what comes after the step, or returns `None` if it can't be.

        Args:
            before: What `trace_before` returned.
            step_values: Mapping from the names of the values that the step
                delivers to symbolic values.
        """

    def receive(
        self, before: dict[str, tf.Tensor], after: dict[str, tf.Tensor]
    ) -> None:
        """Takes the values that the call of the step has computed.

        Args:
            before: The values of `trace_before`.
            after: The values of `trace_after`; empty if it added nothing.
        """

    def raise_own(self, error: tf.errors.OpError) -> None:
        """Raises the error as if it ran by itself, if the step isn't to blame.

        Args:
            error: The error that the call of the step has raised.
        """


class Fusion:
    """Finds the functions that compute parts of subscribers with a step.

    A run of hooks has one, so the functions are freed when the run is over.

    Attributes:
        count: Integer. How many functions were made.
    """

    # What is fetched again and again gets a function. (Tests set 1.)
    occasions = 3

    def __init__(self) -> None:
        self.count = 0
        # By what is computed, and the id of the step that it is computed with:
        # how often that was asked for, and what was made for it.
        self._asked = _ByPart[dict[int, int]]()
        self._made = _ByPart[dict[int, JoinedStep | None]]()

    def find(
        self,
        direct: DirectStep,
        part: StepPart,
        data: Any,
        taken: Taken,
    ) -> JoinedStep | None:
        """Returns the function for a step and a part, if there is one.

        Args:
            direct: The direct way to call the step, which is ready.
            part: What is computed with it.
            data: The data of the step.
            taken: As in `StepCaller`.

        Returns:
            The function, which takes the data and returns the values of the
            part before the step, the outputs of the step, and the values of
            the part after it; `None` if the part has to run by itself.
        """
        made = self._made.setdefault(part.key, {})
        step = id(direct.function)
        if step in made:
            return made[step]
        asked = self._asked.setdefault(part.key, {})
        asked[step] = asked.get(step, 0) + 1
        occasions = self.occasions + _MORE * max(0, direct.inputs - _FEW)
        if asked[step] < occasions or self.count >= _MOST_MADE:
            return None
        self.count += 1
        made[step] = self._try(direct, part, data, taken)
        return made[step]

    def _try(
        self, direct: DirectStep, part: StepPart, data: Any, taken: Taken
    ) -> JoinedStep | None:
        if not direct.can_be_joined:
            return None
        try:
            return _fused(direct, part, data, taken)
        except Exception as error:
            # Nothing has run yet, and all can run by itself.
            logger.warning(
                "What the hooks fetch can't be computed in the call of the "
                "step, and takes longer by itself: %r.",
                error,
            )
            self.count = _MOST_MADE
            return None


def _nothing(outputs: Any) -> Mapping[str, Any]:
    return {}


class StepCaller:
    """Calls a step function of Keras in the shortest way that there is.

    Args:
        function: The step function that Keras has made.
        call: Function that calls the step function when it may be traced.
            Defaults to `None`: the step function itself.
        taken: Function that returns, from the outputs of the step, a mapping
            with the values that were taken out of it. Defaults to a function
            that returns an empty one.

    Attributes:
        function: As given.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        call: Callable[[Any], Any] | None = None,
        taken: Taken = _nothing,
    ) -> None:
        self.function = function
        self._call = call or function
        self._taken = taken
        self._direct = DirectStep.of(function)

    def __call__(self, data: Any, part: StepPart | None = None) -> Any:
        """Runs a step, and with it a part of a subscriber.

        Args:
            data: What the step function is called with.
            part: What has to be computed with the step. Defaults to `None`:
                nothing.

        Returns:
            What the step function returns.
        """
        direct = self._direct
        if direct is None or not direct.is_ready(data):
            if part is not None:
                part.run()
            outputs = self._call(data)
            if direct is not None:
                direct.learn(data)
            return outputs
        if part is None:
            return direct(data)
        fused = part.fusion.find(direct, part, data, self._taken)
        if fused is None:
            part.run()
            return direct(data)
        try:
            before, outputs, after = fused(data)
        except tf.errors.OpError as error:
            part.raise_own(error)
            fused.explain(error)
            raise
        part.receive(before, after)
        return outputs


def _fused(
    direct: DirectStep,
    part: StepPart,
    data: Any,
    taken: Taken,
) -> JoinedStep:
    """Makes one function of a step and a part."""

    # Errors of fetches lose this name (`_session.op_errors`).
    def final_ops_callback_function_step(data: Any) -> tuple[Any, Any, Any]:
        before = part.trace_before()
        outputs = direct.trace(data)  # its handles wait for what is before
        with _after_all_of_it():
            after = part.trace_after(before, taken(outputs))
        return before, outputs, after or {}

    return direct.joined(final_ops_callback_function_step, data)


def _after_all_of_it() -> Any:
    """Returns a context whose operations run after all of the graph so far."""
    graph = tf.compat.v1.get_default_graph()
    return tf.control_dependencies(graph.get_operations())
