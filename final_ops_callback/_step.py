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

from final_ops_callback.errors import StepTensorError

LOSS = "loss"

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
        ran: Boolean. Whether the last step ran: not if it was skipped, and
            not if there was no data for it.
        values: Dict from the names of step tensors to their values in the
            last step.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self.ran = False
        self.values: dict[str, Any] = {}
        self._model = model
        self._function_name = f"{phase}_function"
        self._step_name = f"{phase}_step"
        self._phase = phase
        self._tapped: Callable[..., Any] | None = None
        self._collected = threading.local()

    def arm(
        self,
        names: Collection[str],
        around: contextlib.AbstractContextManager[Any],
        failed: Callable[[BaseException], None],
        no_data: Callable[[], None],
    ) -> None:
        """Prepares the next step, and no other.

        Args:
            names: Collection of the step tensors that are wanted of it. Only
                `loss` is taken out; the others are in the logs.
            around: Context in which the step runs.
            failed: Called when it fails, before the exception goes on.
            no_data: Called when there was no data for it.
        """
        self.ran = False
        if LOSS in names and self._tapped is None:
            self._tapped = self._make_tapped()
        tapped = self._tapped if LOSS in names else None
        self._armed().wishes.append(
            _Wish(self, tapped, around, failed, no_data)
        )

    def replace(self, step: Callable[[Any], Any]) -> None:
        """Lets a function take the place of the next step.

        Args:
            step: Function of the data that the step would get.
        """
        self.ran = False
        self._armed().instead = step

    def run(self, data: Any) -> Any:
        """Runs the step as Keras would now."""
        return vars(self._model)[self._function_name](data)

    def disarm(self) -> None:
        """Puts the model's own function back."""
        armed = vars(self._model)[self._function_name]
        if isinstance(armed, _ArmedStep):
            vars(self._model)[self._function_name] = armed.function

    def settle(self) -> None:
        """Notes, at the end of a batch, that its step ran all the same.

        Keras 2 takes the function of `evaluate` before any callback begins,
        so what is armed later is not called there.
        """
        armed = vars(self._model)[self._function_name]
        if isinstance(armed, _ArmedStep):
            self.disarm()
            for wish in armed.wishes:
                wish.tap.ran, wish.tap.values = True, {}

    def call_tapped(self, function: Callable[..., Any], data: Any) -> Any:
        """Calls a function that `arm` made.

        Args:
            function: The function, with extra outputs.
            data: What the step gets.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.
        """
        with self._wrapped_methods():
            outputs = function(data)
        return outputs, outputs.pop(_KEY)

    def _armed(self) -> _ArmedStep:
        """Returns the armed step; callbacks in one fit share it."""
        own = vars(self._model)
        function = own[self._function_name]
        if not isinstance(function, _ArmedStep):
            # Not by setattr, because Keras tracks what is set on a model.
            own[self._function_name] = _ArmedStep(self, function)
        return own[self._function_name]

    def _make_tapped(self) -> Callable[..., Any]:
        before = dict(vars(self._model))
        self.disarm()
        try:
            with self._wrapped_methods():
                getattr(self._model, f"make_{self._phase}_function")(force=True)
            return getattr(self._model, self._function_name)
        finally:
            # Keras 2 keeps a second reference beside the function.
            for name in (self._function_name, f"{self._phase}_tf_function"):
                if name in before:
                    vars(self._model)[name] = before[name]

    @contextlib.contextmanager
    def _wrapped_methods(self) -> Iterator[None]:
        """Wraps the methods of this one model, for the time of a trace.

        The function may be traced again whenever it is called, so they are
        there in each call.
        """
        own = vars(self._model)
        names = (self._step_name, "compute_loss")
        before = {name: own[name] for name in names if name in own}
        step = getattr(self._model, self._step_name)
        compute_loss = self._model.compute_loss

        def tapped_compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = compute_loss(*args, **kwargs)
            self._collected.values = {LOSS: loss}
            return loss

        # Kept plain: autograph of Keras 2 converts it with the user's step.
        def tapped_step(*args: Any) -> Any:
            self._collected.values = {}
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
        collected, self._collected.values = self._collected.values, {}
        if LOSS not in collected or not isinstance(outputs, dict):
            raise StepTensorError(
                f"{self._step_name} of this model calls no compute_loss, so "
                "its loss is not known outside of it",
                f"fetch 'loss:0' in {self._step_name}",
                "Let it call self.compute_loss(...) and return a dict of "
                "logs, or fetch what it logs: 'logs/loss:0'.",
            )
        return {**outputs, _KEY: collected}


@dataclasses.dataclass
class _Wish:
    """What one run wants of the next step; see `StepTap.arm`."""

    tap: StepTap
    tapped: Callable[..., Any] | None
    around: contextlib.AbstractContextManager[Any]
    failed: Callable[[BaseException], None]
    no_data: Callable[[], None]


class _ArmedStep:
    """Stands for the step function of a model, for one call.

    Args:
        tap: The tap that puts it there.
        function: The model's own function.
    """

    def __init__(self, tap: StepTap, function: Callable[..., Any]) -> None:
        self.function = function
        self.wishes: list[_Wish] = []
        self.instead: Callable[[Any], Any] | None = None
        self._tap = tap

    def __call__(self, data: Any) -> Any:
        self._tap.disarm()
        if self.instead is not None:
            return self.instead(data)
        try:
            with contextlib.ExitStack() as around:
                for wish in self.wishes:
                    around.enter_context(wish.around)
                outputs, values = self._run(data)
        except _END_OF_DATA:
            for wish in self.wishes:
                wish.no_data()
            raise
        except BaseException as error:
            for wish in self.wishes:
                wish.failed(error)
            raise
        for wish in self.wishes:
            wish.tap.ran = True
            wish.tap.values = values
        return outputs

    def _run(self, data: Any) -> tuple[Any, dict[str, Any]]:
        for wish in self.wishes:
            if wish.tapped is not None:
                return wish.tap.call_tapped(wish.tapped, data)
        return self.function(data), {}
