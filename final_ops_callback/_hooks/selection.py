# SPDX-License-Identifier: Apache-2.0
"""Which step tensors the hooks of one run take out of each step."""

from __future__ import annotations

import logging
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from final_ops_callback._hooks.late_fetches import may_ask_after_a_step
from final_ops_callback._hooks.late_fetches import may_ask_late
from final_ops_callback._hooks.late_fetches import names_written
from final_ops_callback._keras.randomness import may_be_random
from final_ops_callback._keras.workers import refuse_inside
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.kinds import ALWAYS_THERE
from final_ops_callback._step.lookup import StepNames

logger = logging.getLogger("final_ops_callback")


class StepSelection:
    """The step tensors that the hooks of one run take out of each step.

    Besides the fetches of a step, these are the tensors that hooks may ask
    for later. Their fetches in `end` are about the last step, which is known
    as the last one only afterwards. If a step may draw random numbers, it
    keeps one function for the whole run, because another one would draw other
    numbers: that function has to deliver what hooks may ask for in any step.

    Args:
        model: The Keras model.
        names: The `StepNames` of the model.
        declared: Iterable of the names that the user has declared.

    Attributes:
        to_take: Mapping from names to the tensors to take out of the next
            step.
        may_lack: Collection of those names that the step may not deliver.
        fetched: List of the names that the hooks fetch of the next step.
        all_inside: Boolean. Whether the step itself delivers all of these.
        is_asked_later: Boolean. Whether hooks may fetch the values of a step
            after it, in `after_run` or `end`.
    """

    def __init__(
        self, model: Any, names: StepNames, declared: Iterable[str]
    ) -> None:
        self._model = model
        self._names = names
        self._declared = list(declared)
        self._wanted: Mapping[str, TakenTensor] = {}
        # Whether the step keeps one function for the whole run.
        self._is_pinned = False
        # What is taken out of every step, if the step delivers it.
        self._watched: Mapping[str, TakenTensor] = {}
        self.to_take: Mapping[str, TakenTensor] = {}
        self.may_lack: Collection[str] = ()
        self.fetched: list[str] = []
        self.all_inside = True
        self.is_asked_later = False

    def begin(
        self,
        hooks: list[Any],
        looked_up: Iterable[str],
        is_idle: bool,
        instrumented: InstrumentedStep,
        function: Any,
    ) -> None:
        """Decides what is taken out of every step of the run that begins.

        Args:
            hooks: List of the hooks, which have begun.
            looked_up: Iterable of the names that were looked up in the graph.
            is_idle: Boolean. Whether no hook has anything to do in a step.
            instrumented: The `InstrumentedStep` of the model.
            function: The step function that Keras has made, or `None`.

        Raises:
            StepTensorError: There are several workers.
        """
        self.is_asked_later = may_ask_after_a_step(hooks)
        written = names_written(hooks, self._names.known())
        may_ask = [*looked_up, *self._declared, *written]
        is_random = may_be_random(self._model)
        self._is_pinned = is_random and not is_idle
        asked = list(may_ask) if self._is_pinned else []
        if self._is_pinned and may_ask_late(hooks):
            asked += ALWAYS_THERE
        if self.is_asked_later:
            asked += may_ask
        watched = self._names.taken(asked)
        refuse_inside(self._model, watched)
        self._watched = watched
        self._combine()
        if (
            watched
            and is_random
            and instrumented.was_compiled_without(function)
        ):
            logger.warning(
                "The step of %r, which may draw random numbers, was compiled "
                "before hooks asked for %s. It is recompiled, and its random "
                "operations start over: the training differs from one without "
                "hooks. Use the hooks from the first fit on.",
                self._model.name,
                sorted(watched),
            )

    def note_fetches(self, names: list[str], has_run: bool) -> None:
        """Notes the fetches of the next step, if they are not the last ones.

        Args:
            names: List of the names of the step tensors.
            has_run: Boolean. Whether a step of this run has run.

        Raises:
            StepTensorError: There are several workers.
        """
        self.fetched = list(names)
        self._wanted = self._names.taken(names)
        self.all_inside = len(self._wanted) == len(self.fetched)
        refuse_inside(self._model, self._wanted)
        if self._is_pinned:
            self._pin(has_run)
        self._combine()

    def _pin(self, has_run: bool) -> None:
        """Takes the fetches out of every step from now on, in one function."""
        new = self._wanted.keys() - self._watched.keys()
        if new and has_run:
            logger.warning(
                "A hook asks for %s after the first step. The step of %r, "
                "which may draw random numbers, is recompiled, and its "
                "random operations start over: the training differs from one "
                "without hooks. Look up the names in begin, or declare them "
                "in step_tensors.",
                sorted(new),
                self._model.name,
            )
        self._watched = {**self._watched, **self._wanted}

    def _combine(self) -> None:
        self.to_take = {**self._watched, **self._wanted}
        self.may_lack = self._watched.keys() - self._wanted.keys()
