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
    """The step function of a model for one phase.

    Args:
        model: The Keras model.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Attributes:
        values: Dict from the names of step tensors to their values in the
            last step.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self.values: dict[str, Any] = {}
        self._model = model
        self._function_name = f"{phase}_function"
        self._step_name = f"{phase}_step"
        self._phase = phase
        self._function: Callable[..., Any] = getattr(model, self._function_name)
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
        if LOSS in names and self._tapped is None:
            self._tapped = self._make_tapped()
        tapped = self._tapped if LOSS in names else None

        def step(data: Any) -> Any:
            try:
                with around:
                    if tapped is not None:
                        return self._call_tapped(tapped, data)
                    return self._function(data)
            except _END_OF_DATA:
                no_data()
                raise
            except BaseException as error:
                failed(error)
                raise

        self.replace(step)

    def skip(self, outputs: Any) -> None:
        """Lets the next step do nothing.

        Args:
            outputs: What it returns.
        """
        self.replace(lambda _: outputs)

    def replace(self, step: Callable[[Any], Any]) -> None:
        """Lets a function take the place of the next step.

        Args:
            step: Function of the data that the step would get.
        """

        def instead(data: Any) -> Any:
            self.disarm()
            return step(data)

        self._put(instead)

    def run(self, data: Any) -> Any:
        """Runs the step as Keras would now."""
        return vars(self._model)[self._function_name](data)

    def disarm(self) -> None:
        """Puts the model's own function back."""
        self._put(self._function)

    def _put(self, function: Callable[..., Any]) -> None:
        # Not by setattr, because Keras tracks what is set on a model.
        vars(self._model)[self._function_name] = function

    def _call_tapped(self, function: Callable[..., Any], data: Any) -> Any:
        with self._wrapped_methods():
            outputs = function(data)
        self.values = outputs.pop(_KEY)
        return outputs

    def _make_tapped(self) -> Callable[..., Any]:
        before = dict(vars(self._model))
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
