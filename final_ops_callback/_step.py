# SPDX-License-Identifier: Apache-2.0
"""Taking tensors out of the step that Keras runs.

They leave it as extra outputs of the compiled function. `train_step` is
wrapped so that it returns what was asked for beside the logs, and the
function so that it takes that out again before Keras sees it. All wrappers
are on the model only around one step: from the begin of its batch to the end
of the function. A model that nobody asks is not touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._graph import LOSS
from final_ops_callback._trace import traced_into
from final_ops_callback.errors import StepTensorError

# In the outputs of the step, beside the logs.
_KEY = "final_ops_callback/step_tensors"

# What ends the data is no failure.
_END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)


class StepTap:
    """What one run of hooks takes from the steps of a model.

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
        self._step_name = f"{phase}_step"
        self._phase = phase
        self._tapped: Callable[..., Any] | None = None
        self._tapped_from: Any = None
        self._collected = threading.local()

    def arm(self, wish: Wish) -> None:
        """Prepares the next step, and no other.

        Args:
            wish: What this run wants of it. Only `loss` is taken out; other
                step tensors are in the logs.
        """
        self.ran = False
        armed = self._armed()
        own = armed.function
        if LOSS in wish.names and self._tapped_from is not own:
            # The same function as in the run before is traced already.
            self._tapped, self._tapped_from = self._make_tapped(), own
            armed = self._armed()
        armed.wishes.append((self, wish))

    def begin_with(self, function: Callable[[Any], None]) -> None:
        """Calls a function of the data before the next step is prepared."""
        self.ran = False
        self._armed().first.append(function)

    def skip(self, instead: Callable[[Any], Any]) -> None:
        """Lets a function of the data take the place of the next step."""
        self.ran = False
        self._armed().instead = instead

    def run(self, data: Any) -> Any:
        """Runs the step as Keras would now."""
        return vars(self.model)[self._function_name](data)

    def run_after(self, wishes: list[tuple[StepTap, Wish]]) -> None:
        """Puts wishes that came earlier before those of the next step."""
        armed = self._armed()
        armed.wishes[:0] = wishes

    def disarm(self) -> None:
        """Puts the model's own function back."""
        armed = vars(self.model)[self._function_name]
        if isinstance(armed, _ArmedStep):
            vars(self.model)[self._function_name] = armed.function

    def settle(self) -> None:
        """Notes, at the end of a batch, that its step ran all the same.

        Keras 2 takes the function of `evaluate` before any callback begins,
        so what is armed later is not called there.
        """
        armed = vars(self.model)[self._function_name]
        if isinstance(armed, _ArmedStep):
            self.disarm()
            for tap, _ in armed.wishes:
                tap.ran, tap.values = True, {}

    def call_tapped(self, data: Any) -> tuple[Any, dict[str, Any]]:
        """Calls the step function that has extra outputs.

        Args:
            data: What the step gets.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.
        """
        if self._tapped is None:
            raise RuntimeError("arm makes the function first")
        with self._wrapped_methods():
            outputs = self._tapped(data)
        return outputs, outputs.pop(_KEY)

    def _armed(self) -> _ArmedStep:
        """Returns the armed step; callbacks in one fit share it."""
        own = vars(self.model)
        function = own[self._function_name]
        if not isinstance(function, _ArmedStep):
            # Not by setattr, because Keras tracks what is set on a model.
            own[self._function_name] = _ArmedStep(self, function, own)
        return own[self._function_name]

    def _make_tapped(self) -> Callable[..., Any]:
        before = dict(vars(self.model))
        try:
            with self._wrapped_methods():
                getattr(self.model, f"make_{self._phase}_function")(force=True)
            return getattr(self.model, self._function_name)
        finally:
            # Keras 2 keeps a second reference beside the function.
            for name in (self._function_name, f"{self._phase}_tf_function"):
                if name in before:
                    vars(self.model)[name] = before[name]

    @contextlib.contextmanager
    def _wrapped_methods(self) -> Iterator[None]:
        """Wraps the methods of this one model, for the time of a trace.

        The function may be traced again whenever it is called, so they are
        there in each call.
        """
        own = vars(self.model)
        names = (self._step_name, "compute_loss")
        before = {name: own[name] for name in names if name in own}
        step = getattr(self.model, self._step_name)
        compute_loss = self.model.compute_loss

        def tapped_compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = compute_loss(*args, **kwargs)
            # Outside of the step (Keras builds a model with it) nobody asks.
            getattr(self._collected, "losses", []).append(loss)
            return loss

        # Kept plain: autograph of Keras 2 converts it with the user's step.
        def tapped_step(*args: Any) -> Any:
            self._collected.losses = []
            outputs = step(*args)
            return self._with_collected(outputs)

        own[self._step_name] = tapped_step
        own["compute_loss"] = tapped_compute_loss
        try:
            yield
        finally:
            for name in names:
                own.pop(name, None)
            own.update(before)

    def _with_collected(self, outputs: Any) -> dict[str, Any]:
        losses, self._collected.losses = self._collected.losses, []
        if len(losses) != 1 or not isinstance(outputs, dict):
            raise StepTensorError(
                f"{self._step_name} of this model calls compute_loss "
                f"{len(losses)} times, so its loss is not known outside of it",
                f"fetch 'loss:0' in {self._step_name}",
                "Let it call self.compute_loss(...) once and return a dict of "
                "logs, or fetch what it logs: 'logs/loss:0'.",
            )
        return {**outputs, _KEY: {LOSS: losses[0]}}


@dataclasses.dataclass
class Wish:
    """What one run of hooks wants of the next step.

    Attributes:
        names: Collection of the step tensors that are wanted of it.
        around: Context in which the step runs.
        trace: A `tf.compat.v1.RunMetadata` for the trace of it, or `None`.
        failed: Called when it fails, before the exception goes on.
        no_data: Called when there was no data for it.
    """

    names: Collection[str]
    around: contextlib.AbstractContextManager[Any]
    trace: Any
    failed: Callable[[BaseException], None]
    no_data: Callable[[], None]


class _ArmedStep:
    """Stands for the step function of a model, for one call.

    Args:
        tap: The tap that puts it there.
        function: The model's own function.
        own: Dict. The attributes of the model.
    """

    def __init__(
        self, tap: StepTap, function: Callable[..., Any], own: dict[str, Any]
    ) -> None:
        self.function = function
        self.first: list[Callable[[Any], None]] = []
        self.instead: Callable[[Any], Any] | None = None
        self.wishes: list[tuple[StepTap, Wish]] = []
        self._tap = tap
        self._history = own.get("history")
        self._own = own

    def __call__(self, data: Any) -> Any:
        self._tap.disarm()
        if self._own.get("history") is not self._history:
            # Another callback failed after this was armed, and this is a fit
            # of its own: it gets the plain step.
            return self.function(data)
        if self.first:
            return self._begin(data)
        if self.instead is not None:
            return self.instead(data)
        try:
            with contextlib.ExitStack() as around:
                outputs, values = self._run(data, around)
        except _END_OF_DATA:
            for _, wish in self.wishes:
                wish.no_data()
            raise
        except BaseException as error:
            for _, wish in self.wishes:
                wish.failed(error)
            raise
        for tap, _ in self.wishes:
            tap.ran, tap.values = True, values
        return outputs

    def _begin(self, data: Any) -> Any:
        for function in self.first:
            function(data)
        self._tap.run_after(self.wishes)
        return self._tap.run(data)

    def _run(
        self, data: Any, around: contextlib.ExitStack
    ) -> tuple[Any, dict[str, Any]]:
        for _, wish in self.wishes:
            around.enter_context(wish.around)
        traces = [w.trace for _, w in self.wishes if w.trace is not None]
        if traces:
            around.enter_context(traced_into(*traces))
        for tap, wish in self.wishes:
            if LOSS in wish.names:
                return tap.call_tapped(data)
        return self.function(data), {}
