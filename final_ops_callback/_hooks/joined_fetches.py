# SPDX-License-Identifier: Apache-2.0
"""Lets the call of a step run the fetches of the hooks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.requests import StepRequests
from final_ops_callback._session.plan import Plan
from final_ops_callback._step.fusion import Fusion


class JoinedFetches:
    """The fetches that the call of a step may run: a `StepPart`.

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

    def forget(self) -> None:
        """Frees the functions that were made, because the run is over."""
        self.fusion = Fusion()
        # A reference cycle through the graph is never collected.
        self._requests = None

    def of(self, requests: StepRequests) -> JoinedFetches:
        """Returns this object, for the fetches of a step.

        Args:
            requests: The requests of the coming step, of which some wait.
        """
        self._requests = requests
        return self

    @property
    def key(self) -> Any:
        """Identifies the fetches."""
        return self._plan

    def run(self) -> None:
        """Runs the early fetches by themselves.

        Raises:
            StopIteration: They have ended the run of the hooks, as the end of
                the data does.
        """
        requests, self._requests = self._waiting, None
        self._guarded(requests.before)
        if requests.is_pending:
            raise StopIteration

    def trace_before(self) -> dict[str, tf.Tensor]:
        """Adds the early fetches to the graph that is being traced."""
        return self._plan.trace_before()

    def trace_after(
        self, before: dict[str, tf.Tensor], step_values: Mapping[str, Any]
    ) -> dict[str, tf.Tensor] | None:
        """Adds the late fetches to the graph, if their values fit as they are.

        Args:
            before: What `trace_before` returned.
            step_values: Mapping from the names of step tensors to values.
        """
        return self._plan.trace_after(before, step_values)

    def receive(
        self, before: dict[str, tf.Tensor], after: dict[str, tf.Tensor]
    ) -> None:
        """Takes the values of the fetches from the call of the step.

        Args:
            before: The values of `trace_before`.
            after: The values of `trace_after`; empty if it added nothing.
        """
        requests, self._requests = self._waiting, None
        requests.receive(before, after or None)

    def raise_own(self, error: tf.errors.OpError) -> None:
        """Raises the error of a fetch as v1 named it, if a fetch caused it.

        Args:
            error: The error that the call of the step has raised.
        """
        self._guarded(functools.partial(self._waiting.raise_own, error))

    @property
    def _waiting(self) -> StepRequests:
        if self._requests is None:
            raise RuntimeError("no step was asked for")
        return self._requests

    @property
    def _plan(self) -> Plan:
        if self._waiting.plan is None:
            raise RuntimeError("nothing is fetched")
        return self._waiting.plan
