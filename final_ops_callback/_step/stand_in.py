# SPDX-License-Identifier: Apache-2.0
"""What stands for the step function of a model while a step is wanted."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Protocol

import tensorflow as tf

from final_ops_callback._profile import traced_into
from final_ops_callback._step.names import Source

# What ends the data is no failure.
END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)


class Tap(Protocol):
    """What one callback takes from the steps: a `StepTap`."""

    ran: bool
    values: dict[str, Any]
    is_due: bool

    @property
    def watched(self) -> Mapping[str, Source]:
        """What it takes of each step."""

    @property
    def is_optional(self) -> bool:
        """Whether what it watches may be missing."""

    def call_tapped(
        self,
        data: Any,
        sources: Mapping[str, Source],
        optional: Collection[str],
    ) -> tuple[Any, dict[str, Any]]:
        """Runs a step and takes something out of it."""


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


class StandIn:
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
        self.wishes: list[tuple[Tap, Wish]] = []
        self.watchers: list[weakref.ref[Tap]] = []
        self._own = vars(model)
        self._name = name
        self._on_batch = name.replace("_function", "_on_batch")
        self._model = weakref.ref(model)
        self._instead = self._apart  # one object, to be known again
        self._history = self._own.get("history")

    @property
    def is_idle(self) -> bool:
        """Whether nobody wants anything of the next step."""
        return not (self.first or self.instead or self.wishes or self.watchers)

    @property
    def is_of_another_fit(self) -> bool:
        """Whether another callback failed after this was armed."""
        return self._own.get("history") is not self._history

    def place(self) -> None:
        """Stands in, until `remove`.

        A batch that somebody trains apart (`train_on_batch` in a callback)
        is not the one that is wanted: it gets the model's own function.
        """
        if self._own.get(self._name) is self:
            return
        method = getattr(type(self._model()), self._on_batch, None)
        if method is not None and self._on_batch not in self._own:
            self._own[self._on_batch] = self._instead
        self._own[self._name] = self

    def remove(self) -> None:
        """Puts the model's own function back."""
        if self._own.get(self._on_batch) is self._instead:
            del self._own[self._on_batch]
        if self._own.get(self._name) is self:
            self._own[self._name] = self.function

    def _apart(self, *args: Any, **kwargs: Any) -> Any:
        was_placed = self._own.get(self._name) is self
        self.remove()
        try:
            return getattr(self._model(), self._on_batch)(*args, **kwargs)
        finally:
            if was_placed and self._own.get(self._name) is self.function:
                self.place()

    def watched_by(self, tap: Tap) -> None:
        """Lets a tap watch, until it forgets or is gone."""
        self.watchers.append(weakref.ref(tap, self._let_go))

    def _let_go(self, ref: weakref.ref[Tap]) -> None:
        self.watchers = [one for one in self.watchers if one is not ref]
        if self.is_idle:
            self.remove()

    def forget(self, tap: Tap) -> None:
        """Drops what is wanted of one step, and what a tap watches."""
        self.first, self.instead, self.wishes = [], None, []
        self.watchers = [ref for ref in self.watchers if ref() is not tap]

    def __call__(self, data: Any) -> Any:
        # The model is as it was while its step runs.
        self.remove()
        if self.is_of_another_fit:  # which gets the plain step
            return self.function(data)
        first, self.first = self.first, []
        instead, self.instead = self.instead, None
        wishes, self.wishes = self.wishes, []
        watching = self._due()
        if first:
            return self._begin(data, first, wishes, watching)
        if instead is not None:
            outputs = instead(data)
        else:
            outputs = self._run(data, wishes, watching)
        self._stay(watching)
        return outputs

    def _due(self) -> list[Tap]:
        """Returns the taps that watch this step; others are let go."""
        watching = [tap for ref in self.watchers if (tap := ref())]
        if all(tap.is_due for tap in watching):
            return watching
        self.watchers = [r for r in self.watchers if (t := r()) and t.is_due]
        return [tap for tap in watching if tap.is_due]

    def _begin(
        self,
        data: Any,
        first: list[Callable[[Any], None]],
        wishes: list[tuple[Tap, Wish]],
        watching: list[Tap],
    ) -> Any:
        # Each arms what it wants of this step anew.
        self._stay(watching)
        for function in first:
            function(data)
        standing = self._own[self._name]
        if isinstance(standing, StandIn):
            standing.wishes[:0] = wishes
            return standing(data)
        return self._run(data, wishes, [])

    def _stay(self, watching: list[Tap]) -> None:
        if watching and self._own[self._name] is self.function:
            self.place()

    def _run(
        self,
        data: Any,
        wishes: list[tuple[Tap, Wish]],
        watching: list[Tap],
    ) -> Any:
        try:
            outputs, values = self._run_tapped(data, wishes, watching)
        except END_OF_DATA:
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
            tap.is_due = not tap.is_optional
        return outputs

    def _run_tapped(
        self,
        data: Any,
        wishes: list[tuple[Tap, Wish]],
        watching: list[Tap],
    ) -> tuple[Any, dict[str, Any]]:
        wanted = [(tap, tap.watched) for tap in watching]
        wanted += [(tap, wish.sources) for tap, wish in wishes]
        sources = {n: s for _, named in wanted for n, s in named.items()}
        needed = {name for _, wish in wishes for name in wish.sources}
        for tap in watching:
            if not tap.is_optional:
                needed |= set(tap.watched)
        with _around(wishes):
            if not sources:
                return self.function(data), {}
            # Whoever watches does so in every step: its function is traced.
            tap = next(tap for tap, named in wanted if named)
            return tap.call_tapped(data, sources, sources.keys() - needed)


_NOTHING_AROUND = contextlib.nullcontext()


def _around(
    wishes: list[tuple[Tap, Wish]],
) -> contextlib.AbstractContextManager[Any]:
    """Returns the context of a step; nearly always, it does nothing."""
    traces = [wish.trace for _, wish in wishes if wish.trace is not None]
    if not wishes:
        return _NOTHING_AROUND
    if len(wishes) == 1 and not traces:
        return wishes[0][1].around
    return _entering([wish.around for _, wish in wishes], traces)


@contextlib.contextmanager
def _entering(contexts: list[Any], traces: list[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as around:
        for context in contexts:
            around.enter_context(context)
        if traces:
            around.enter_context(traced_into(*traces))
        yield
