# SPDX-License-Identifier: Apache-2.0
"""Keeps the values that the last step of a run computed, without a hook."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from final_ops_callback._final_ops.training_metrics import State
from final_ops_callback._final_ops.training_metrics import is_as_it_was
from final_ops_callback._final_ops.training_metrics import state_of
from final_ops_callback._keras import compat
from final_ops_callback._keras import log_names
from final_ops_callback._keras import model_info
from final_ops_callback._keras.workers import refuse_inside
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.lookup import StepNames
from final_ops_callback._step.step_function import StepFunction
from final_ops_callback._step.step_function import StepRequest
from final_ops_callback._step.step_function import expected_evaluate
from final_ops_callback.errors import LeafError
from final_ops_callback.errors import StepTensorError


class LastStep:
    """The values of step tensors in the last step of a run.

    They stay on the device: nothing is copied to the host until `value` is
    used. The cost in each step is that of the extra outputs; no batch method
    is called.

    Args:
        names: Iterable of strings. Those that are not step tensors of the
            model are ignored. `loss:0` is a step tensor, `loss` is a log.
        phase: String. The phase of the run.

    Attributes:
        mode: String. `"train"`, `"test"` or `"predict"`.
    """

    def __init__(self, names: Iterable[str], phase: str) -> None:
        self._all = list(names)
        self._requested = [name for name in self._all if name != "loss"]
        self.mode = "test" if phase == "validation" else phase
        # The states of the named metrics when a predict began, which does not
        # reset them.
        self._before: dict[str, State] = {}
        self._model: Any = None
        self.instrumented: InstrumentedStep
        self._tensors: Mapping[str, TakenTensor] = {}
        self._values: Mapping[str, Any] = {}
        self._step_function: StepFunction | None = None
        self._expected: StepFunction | None = None
        self._names: StepNames | None = None

    def value(self, name: str, where: Callable[[], str]) -> Any:
        """Returns the value of a name in the last step.

        Args:
            name: String. A name as the user wrote it.
            where: Function that returns the place of the name, for an error.

        Returns:
            The value, or `None` if the name is not a step tensor.

        Raises:
            LeafError: No step has run.
        """
        name = _bare(name)
        if name not in self._tensors:
            return None
        if name not in self._values:
            raise LeafError(
                f"no step that delivers {name!r} has run",
                where(),
                "Give the run data for at least one step.",
            )
        return self._values[name]

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all step tensors that a step of the model delivers.

        Logs and the learning rate are not among them: they are beside the step.
        """
        if self._names is None:
            return ()
        return tuple(self._names.taken(self._names.known()))

    @property
    def is_known(self) -> bool:
        """Whether the model is built, so that its names are known."""
        built = getattr(self._model, "built", False)
        return built and model_info.is_built(self._model)

    def delivers(self, name: str) -> bool:
        """Returns whether the steps of this run deliver a value by a name."""
        return bool(self._names and self._taken([name]))

    def may_have_updated(self, metric: Any) -> bool:
        """Returns whether this run may have updated a metric of the model.

        Fit and evaluate reset the metric, so it holds nothing of an earlier
        run. Predict does not reset it.
        """
        before = self._before.get(metric.name)
        return before is None or not is_as_it_was(before)

    def catch_evaluate(self, model: Any) -> None:
        """Prepares for an evaluate that may follow."""
        self.expect_no_evaluate()
        if self._requested and _has_step_tensors(model):
            self._expected = expected_evaluate(model, self)

    def expect_no_evaluate(self) -> None:
        """Undoes `catch_evaluate`."""
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.expect_no_more(self)

    def begin(self, model: Any) -> None:
        """Begins to watch the steps of a run.

        Args:
            model: A Keras model of any flavor.
        """
        self.end()
        self._model = model
        if self.mode == "predict":
            self._before = {
                metric.name: state_of([metric])
                for metric in compat.metrics_of(model)
                if metric.name in self._all
            }
        if not _has_step_tensors(model):
            return
        self._names = StepNames(model, self.mode)
        self._tensors = self._taken(self._requested)
        if not self._tensors:
            return
        refuse_inside(model, self._tensors)
        self.instrumented = InstrumentedStep(model, self.mode)
        self._step_function = StepFunction.of(model, self.mode)
        self._step_function.subscribe(self)

    def before_step(self, data: Any) -> StepRequest:
        """Returns the values to keep of the next step."""
        return StepRequest(self._tensors)

    def after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        """Keeps the values that the step delivered."""
        self._values = values

    def no_data(self) -> None:
        """Keeps the values of the previous step."""

    def step_failed(self, error: BaseException) -> None:
        """Releases the model and the values."""
        self.end()

    def _taken(self, wanted: Iterable[str]) -> dict[str, TakenTensor]:
        """Returns the step tensors of the names that are not those of logs.

        Names of logs are left out, even if the part of such a name before a
        slash is the name of a layer.
        """
        if self._names is None:
            return {}
        logs = log_names.known_logs(self._model, self.mode) or set()
        found = self._names.taken(_bare(n) for n in wanted if n not in logs)
        return {
            name: tensor
            for name, tensor in found.items()
            if not tensor.is_part() or self._has_part(name)
        }

    def _has_part(self, name: str) -> bool:
        try:
            return self._names is None or self._names.spec(name) is not None
        except StepTensorError:  # the shape is not known, but it may exist
            return True

    def end(self) -> None:
        """Releases the model and the values."""
        step_function, self._step_function = self._step_function, None
        if step_function is not None:
            step_function.unsubscribe(self)
        self._tensors, self._values = {}, {}
        self._names = self._model = None
        self._before = {}


def _bare(name: str) -> str:
    return name.removesuffix(":0")


def _has_step_tensors(model: Any) -> bool:
    # Only a step that runs on TensorFlow can deliver step tensors.
    return compat.backend_of(model) == "tensorflow"
