# SPDX-License-Identifier: Apache-2.0
"""Lets the call of a step run the fetches that do not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.requests import StepRequests
from final_ops_callback._session.op_errors import is_of_a_program
from final_ops_callback._step.fusion import Fusion


class EarlyFetches:
    """The fetches of a step that its call may run first: an `EarlyPart`.

    Args:
        guarded: Function that calls a function, and ends the run of the hooks
            if that raises an error.

    Attributes:
        fusion: The `Fusion` of the run.
    """

    def __init__(self, guarded: Callable[[Callable[[], None]], None]) -> None:
        self.fusion = Fusion()
        self._guarded = guarded
        self._requests: StepRequests | None = None

    def of(self, requests: StepRequests) -> EarlyFetches | None:
        """Returns this object for the fetches that wait; `None` if none do.

        Args:
            requests: The requests of the coming step.
        """
        self._requests = requests
        return self if requests.is_pending else None

    @property
    def key(self) -> Any:
        """Identifies the fetches."""
        return self._waiting.key

    def run(self) -> None:
        """Runs the fetches by themselves.

        Raises:
            StopIteration: They have ended the run of the hooks, as the end of
                the data does.
        """
        self._guarded(self._waiting.before)
        if self._waiting.is_pending:
            raise StopIteration

    def trace(self) -> list[tf.Tensor]:
        """Adds the fetches to the graph that is being traced."""
        return self._waiting.trace()

    def receive(self, values: Sequence[tf.Tensor]) -> None:
        """Takes the values of the fetches from the call of the step."""
        self._waiting.receive(values)

    def raise_own(self, error: tf.errors.OpError) -> None:
        """Raises the error of a fetch as v1 named it, if a fetch caused it.

        The fetches have no side effects and ran before the step, so they fail
        again when they run by themselves.

        Args:
            error: The error that the call of the step has raised.
        """
        if is_of_a_program(error):
            self.run()

    @property
    def _waiting(self) -> StepRequests:
        if self._requests is None:
            raise RuntimeError("no step was asked for")
        return self._requests
