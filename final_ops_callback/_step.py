# SPDX-License-Identifier: Apache-2.0
"""Taking tensors out of the step that Keras runs.

They leave it as extra outputs of the compiled function: the step is wrapped
so that it returns what was collected beside its outputs, and the function so
that it takes that out again before Keras sees it. The model that nobody asks
is not touched, and what stands in for its function is gone with the run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._collect import COLLECTED
from final_ops_callback._collect import OUTPUTS
from final_ops_callback._collect import Collector
from final_ops_callback._step_names import Source
from final_ops_callback._step_names import StepNames
from final_ops_callback._trace import traced_into

# What ends the data is no failure.
_END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)


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
    """

    def __init__(self, model: Any, phase: str) -> None:
        self.ran = False
        self.values: dict[str, Any] = {}
        self.model = model
        self._function_name = f"{phase}_function"
        self._phase = phase
        self._watched: Mapping[str, Source] = {}
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

    def watch(self, sources: Mapping[str, Source]) -> None:
        """Takes values out of every step, until `disarm`.

        Args:
            sources: Mapping from a name to where its value is taken.
        """
        self.ran, self.values = False, {}
        self._watched = sources
        self._stand_in().watchers.append(weakref.ref(self))

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
        if isinstance(standing, _StandIn):
            standing.forget(self)
            if standing.is_idle:
                own[self._function_name] = standing.function

    def settle(self) -> None:
        """Notes, at the end of a batch, that its step ran all the same.

        It does when a function was taken that no callback has seen.
        """
        own = vars(self.model)
        standing = own[self._function_name]
        if isinstance(standing, _StandIn) and standing.wishes:
            for tap, _ in standing.wishes:
                tap.ran, tap.values = True, {}
            standing.wishes = []
            if standing.is_idle:
                own[self._function_name] = standing.function

    def call_tapped(
        self, data: Any, sources: Mapping[str, Source]
    ) -> tuple[Any, dict[str, Any]]:
        """Calls the step function that has extra outputs.

        Args:
            data: What the step gets.
            sources: Mapping from a name to where its value is taken. What was
                taken in an earlier step is taken again, so that a hook that
                asks now and then costs no new trace.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.
        """
        own = vars(self.model)[self._function_name]
        if self._tapped_from is not own:
            self._tapped, self._taken = None, {}
        if self._tapped is None or sources.items() - self._taken.items():
            self._make_tapped(sources, own)
        collector, tapped = self._collector, self._tapped
        if collector is None or tapped is None:
            raise RuntimeError("_make_tapped makes them")
        try:
            with collector.installed():
                outputs = tapped(data)
        except _END_OF_DATA:
            raise
        except BaseException:
            # What the step can't deliver is not asked for a second time.
            self._tapped, self._taken = None, {}
            raise
        return outputs[OUTPUTS], outputs[COLLECTED]

    def _stand_in(self) -> _StandIn:
        """Returns what stands in; callbacks in one call of Keras share it."""
        own = vars(self.model)
        function = own[self._function_name]
        if not isinstance(function, _StandIn):
            # Not by setattr, because Keras tracks what is set on a model.
            own[self._function_name] = _StandIn(
                self.model, self._function_name, function
            )
        return own[self._function_name]

    def _make_tapped(self, sources: Mapping[str, Source], own: Any) -> None:
        taken = {**self._taken, **sources}
        collector = Collector(
            self.model,
            self._phase,
            taken,
            StepNames(self.model, self._phase).layers,
        )
        before = dict(vars(self.model))
        try:
            with collector.installed():
                getattr(self.model, f"make_{self._phase}_function")(force=True)
            self._tapped = getattr(self.model, self._function_name)
        finally:
            # Keras 2 keeps a second reference beside the function.
            for name in (self._function_name, f"{self._phase}_tf_function"):
                if name in before:
                    vars(self.model)[name] = before[name]
        self._tapped_from, self._taken = own, taken
        self._collector = collector


@dataclasses.dataclass
class Wish:
    """What one run of hooks wants of the next step.

    Attributes:
        sources: Mapping from the name of a step tensor to where its value is
            taken in the step. What the step logs is not among them.
        around: Context in which the step runs.
        trace: A `tf.compat.v1.RunMetadata` for the trace of it, or `None`.
        failed: Called when it fails, before the exception goes on.
        no_data: Called when there was no data for it.
    """

    sources: Mapping[str, Source]
    around: contextlib.AbstractContextManager[Any]
    trace: Any
    failed: Callable[[BaseException], None]
    no_data: Callable[[], None]


class _StandIn:
    """Stands for the step function of a model while somebody wants a step.

    Args:
        model: The Keras model.
        name: String. The attribute that it stands in.
        function: The model's own function.
    """

    def __init__(
        self, model: Any, name: str, function: Callable[..., Any]
    ) -> None:
        self.function = function
        self.first: list[Callable[[Any], None]] = []
        self.instead: Callable[[Any], Any] | None = None
        self.wishes: list[tuple[StepTap, Wish]] = []
        self.watchers: list[weakref.ref[StepTap]] = []
        self._own = vars(model)
        self._name = name
        self._history = self._own.get("history")

    @property
    def is_idle(self) -> bool:
        """Whether nobody wants anything of the next step."""
        return not (self.first or self.instead or self.wishes or self.watchers)

    def forget(self, tap: StepTap) -> None:
        """Drops what is wanted of one step, and what a tap watches."""
        self.first, self.instead, self.wishes = [], None, []
        self.watchers = [ref for ref in self.watchers if ref() is not tap]

    def __call__(self, data: Any) -> Any:
        # The model is as it was while its step runs.
        self._own[self._name] = self.function
        if self._own.get("history") is not self._history:
            # Another callback failed after this was armed, and this is a fit
            # of its own: it gets the plain step.
            return self.function(data)
        first, self.first = self.first, []
        instead, self.instead = self.instead, None
        wishes, self.wishes = self.wishes, []
        watching = [tap for ref in self.watchers if (tap := ref())]
        if first:
            return self._begin(data, first, wishes, watching)
        if instead is not None:
            outputs = instead(data)
        else:
            outputs = self._run(data, wishes, watching)
        self._stay(watching)
        return outputs

    def _begin(
        self,
        data: Any,
        first: list[Callable[[Any], None]],
        wishes: list[tuple[StepTap, Wish]],
        watching: list[StepTap],
    ) -> Any:
        # Each arms what it wants of this step anew.
        self._stay(watching)
        for function in first:
            function(data)
        standing = self._own[self._name]
        if isinstance(standing, _StandIn):
            standing.wishes[:0] = wishes
            return standing(data)
        return self._run(data, wishes, [])

    def _stay(self, watching: list[StepTap]) -> None:
        if watching and self._own[self._name] is self.function:
            self._own[self._name] = self

    def _run(
        self,
        data: Any,
        wishes: list[tuple[StepTap, Wish]],
        watching: list[StepTap],
    ) -> Any:
        try:
            outputs, values = self._run_tapped(data, wishes, watching)
        except _END_OF_DATA:
            for _, wish in wishes:
                wish.no_data()
            self._stay(watching)
            raise
        except BaseException as error:
            for _, wish in wishes:
                wish.failed(error)
            raise
        for tap in (*watching, *(tap for tap, _ in wishes)):
            tap.ran, tap.values = True, values
        return outputs

    def _run_tapped(
        self,
        data: Any,
        wishes: list[tuple[StepTap, Wish]],
        watching: list[StepTap],
    ) -> tuple[Any, dict[str, Any]]:
        with contextlib.ExitStack() as around:
            for _, wish in wishes:
                around.enter_context(wish.around)
            traces = [w.trace for _, w in wishes if w.trace is not None]
            if traces:
                around.enter_context(traced_into(*traces))
            wanted = [(tap, tap.watched) for tap in watching]
            wanted += [(tap, wish.sources) for tap, wish in wishes]
            sources = {n: s for _, named in wanted for n, s in named.items()}
            if not sources:
                return self.function(data), {}
            # Whoever watches does so in every step: its function is traced.
            tap = next(tap for tap, named in wanted if named)
            return tap.call_tapped(data, sources)
