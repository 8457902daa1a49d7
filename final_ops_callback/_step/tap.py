# SPDX-License-Identifier: Apache-2.0
"""Taking tensors out of the step that Keras runs.

They leave it as extra outputs of the compiled function: the step is wrapped
so that it returns what was collected beside its outputs, and the function so
that it takes that out again before Keras sees it. The model that nobody asks
is not touched, and what stands in for its function is gone with the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

from final_ops_callback._keras import compat
from final_ops_callback._keras.workers import refuse_inside
from final_ops_callback._step.collect import COLLECTED
from final_ops_callback._step.collect import OUTPUTS
from final_ops_callback._step.collect import Collector
from final_ops_callback._step.names import Source
from final_ops_callback._step.names import StepNames
from final_ops_callback._step.stand_in import END_OF_DATA
from final_ops_callback._step.stand_in import StandIn
from final_ops_callback._step.stand_in import Wish

# What was made from a function of the model is kept with it, so that the next
# callback needs no trace of its own: TensorFlow never frees all of one.
_MADE, _MOST_MADE = "_final_ops_callback_made", 8
_MANY_TRACES = 4

logger = logging.getLogger("final_ops_callback")


class StepTap:
    """What one callback takes from the steps of a model.

    Args:
        model: The Keras model.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Attributes:
        model: The Keras model.
        ran: Boolean. Whether the last step ran: not if it was skipped, and
            not if there was no data for it.
        values: Dict from the names of step tensors to their values in the
            last step.
        is_due: Boolean. Whether the next step is one that it watches. Who
            has batch methods says so before each step of its call: another
            call, after this one has failed, is none of its business.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self.ran = False
        self.values: dict[str, Any] = {}
        self.model = model
        self._function_name = f"{phase}_function"
        self._phase = phase
        self._watched: Mapping[str, Source] = {}
        self._is_optional = False
        self.is_due = True
        self._traces = 0
        self._collector: Collector | None = None
        self._tapped: Callable[..., Any] | None = None
        self._tapped_from: Any = None
        self._taken: dict[str, Source] = {}

    def arm(self, wish: Wish) -> None:
        """Prepares the next step, and no other.

        Args:
            wish: What this run wants of it.
        """
        self.ran = False
        self._stand_in().wishes.append((self, wish))

    def watch(
        self, sources: Mapping[str, Source], is_optional: bool = False
    ) -> None:
        """Takes values out of every step, until `disarm`.

        Args:
            sources: Mapping from a name to where its value is taken.
            is_optional: Boolean. Whether a step may deliver less. Defaults to
                `False`.
        """
        refuse_inside(self.model, sources)
        self.ran, self.values = False, {}
        self._watched, self._is_optional = sources, is_optional
        self._stand_in().watched_by(self)

    def watch_also(self, sources: Mapping[str, Source]) -> None:
        """Takes more out of every step that comes, as `watch` does."""
        self._watched = {**self._watched, **sources}

    @property
    def is_compiled(self) -> bool:
        """Whether the function of the step was compiled without taps."""
        own = self._stand_in().function
        return compat.was_traced(own) and not self._made(own)

    @property
    def is_optional(self) -> bool:
        """Whether a step may deliver less than what is watched."""
        return self._is_optional

    @property
    def watched(self) -> Mapping[str, Source]:
        """The sources of what is taken out of every step."""
        return self._watched

    def begin_with(self, function: Callable[[Any], None]) -> None:
        """Calls a function of the data before the next step is prepared."""
        self.ran = False
        self._stand_in().first.append(function)

    def skip(self, instead: Callable[[Any], Any]) -> None:
        """Lets a function of the data take the place of the next step."""
        self.ran = False
        self._stand_in().instead = instead

    def disarm(self) -> None:
        """Wants nothing more; the last to do so puts the own function back."""
        self._watched = {}
        own = vars(self.model)
        standing = own.get(self._function_name)
        if isinstance(standing, StandIn):
            standing.forget(self)
            if standing.is_idle:
                standing.remove()

    def settle(self) -> None:
        """Notes, at the end of a batch, that its step ran all the same.

        It does when a function was taken that no callback has seen.
        """
        own = vars(self.model)
        standing = own[self._function_name]
        if isinstance(standing, StandIn) and standing.wishes:
            for tap, _ in standing.wishes:
                tap.ran, tap.values = True, {}
            standing.wishes = []
            if standing.is_idle:
                standing.remove()

    def call_tapped(
        self,
        data: Any,
        sources: Mapping[str, Source],
        optional: Collection[str] = (),
    ) -> tuple[Any, dict[str, Any]]:
        """Calls the step function that has extra outputs.

        Args:
            data: What the step gets.
            sources: Mapping from a name to where its value is taken. What was
                taken in an earlier step is taken again, so that a hook that
                asks now and then costs no new trace.
            optional: Collection of the names of those that may be missing.
                Defaults to none.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.
        """
        own = vars(self.model)[self._function_name]
        if self._tapped_from is not own:
            self._tapped, self._taken = None, {}
        if self._tapped is None or sources.items() - self._taken.items():
            self._make_tapped(sources, optional, own)
        collector, tapped = self._collector, self._tapped
        if collector is None or tapped is None:
            raise RuntimeError("_make_tapped makes them")
        collector.check(sources.keys() - set(optional))
        try:
            with collector.installed():
                outputs = tapped(data)
        except END_OF_DATA:
            raise
        except BaseException:
            # What the step can't deliver is not asked for a second time.
            self._made(own).pop(frozenset(self._taken.items()), None)
            self._tapped, self._taken = None, {}
            raise
        return outputs[OUTPUTS], outputs[COLLECTED]

    def _stand_in(self) -> StandIn:
        """Returns what stands in; callbacks in one call of Keras share it."""
        own = vars(self.model)
        function = own[self._function_name]
        if isinstance(function, StandIn) and function.is_of_another_fit:
            function.remove()
            function = function.function
        if not isinstance(function, StandIn):
            # Not by setattr, because Keras tracks what is set on a model.
            StandIn(self.model, self._function_name, function).place()
        return own[self._function_name]

    @staticmethod
    def _made(own: Any) -> dict[Any, tuple[Any, Collector]]:
        return getattr(own, "__dict__", {}).setdefault(_MADE, {})

    def _make_tapped(
        self,
        sources: Mapping[str, Source],
        optional: Collection[str],
        own: Any,
    ) -> None:
        taken = {**self._taken, **sources}
        made, key = self._made(own), frozenset(taken.items())
        if key not in made:
            while len(made) >= _MOST_MADE:
                made.pop(next(iter(made)))
            made[key] = self._new_tapped(taken, optional)
            self._traces += 1
            if self._traces == _MANY_TRACES:
                logger.warning(
                    "The %s step of %r was compiled %d times, because hooks "
                    "asked for something new again and again, now for %s. "
                    "Each costs as much as the first step: look the names up "
                    "in begin, or declare them in step_tensors.",
                    self._phase,
                    self.model.name,
                    self._traces,
                    sorted(sources),
                )
        self._tapped, self._collector = made[key]
        self._tapped_from, self._taken = own, taken

    def _new_tapped(
        self, taken: dict[str, Source], optional: Collection[str]
    ) -> tuple[Any, Collector]:
        collector = Collector(
            self.model,
            self._phase,
            taken,
            StepNames(self.model, self._phase).layers,
            optional,
        )
        before = dict(vars(self.model))
        try:
            with collector.installed():
                getattr(self.model, f"make_{self._phase}_function")(force=True)
            return getattr(self.model, self._function_name), collector
        finally:
            # Keras 2 keeps a second reference beside the function.
            for name in (self._function_name, f"{self._phase}_tf_function"):
                if name in before:
                    vars(self.model)[name] = before[name]
