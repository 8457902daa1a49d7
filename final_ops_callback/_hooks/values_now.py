# SPDX-License-Identifier: Apache-2.0
"""Provides the values of step tensors when a hook fetches them after a step."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._names import nearest
from final_ops_callback._step.kinds import LOGS
from final_ops_callback._step.lookup import StepNames
from final_ops_callback.errors import StepTensorError


class ValuesNow:
    """The values and logs that the last step of a run delivered.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.
        names: The `StepNames` of the model.

    Attributes:
        outputs: Dict. The logs of the last step, as the step returned them.
        has_run: Boolean. Whether a step has run.
    """

    def __init__(self, model: Any, phase: str, names: StepNames) -> None:
        self._model = model
        self._phase = phase
        self._names = names
        self.outputs: dict[str, Any] = {}
        self.has_run = False
        self._last: dict[str, Any] = {}

    def add_logs(self, logs: Mapping[str, Any]) -> None:
        """Adds the logs of the end of a run to those of its last step."""
        self.outputs = {**self.logs, **logs}

    @property
    def logs(self) -> dict[str, Any]:
        """The last logs, by name."""
        return compat.logs_of(self.outputs)

    def note_step(self, values: Mapping[str, Any]) -> None:
        """Keeps the values that were taken out of a step, until the next."""
        self._last = dict(values)

    def forget(self) -> None:
        """Releases all values."""
        self.outputs, self._last = {}, {}

    def __call__(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Returns the current values of step tensors.

        The value of a tensor is the one that the last step delivered, and the
        value of a metric is its current result: in fit the result of training,
        even after a validation.

        Args:
            names: Sequence of the names of step tensors.

        Raises:
            StepTensorError: One of the tensors has no value.
        """
        with eager_mode():
            return {name: self._value(name) for name in names}

    def _value(self, name: str) -> Any:
        if name in self._last:
            return self._last[name]
        if name == LEARNING_RATE and self._phase == "train":
            return model_info.learning_rate_of(self._model)
        if not self._names.taken([name]):
            return self._log(name)
        if not self.has_run:
            raise self._too_early(name)
        raise StepTensorError(
            f"the last step was not asked for {name!r}",
            "session.run outside of a step",
            "Look it up when the hook begins (get_tensor_by_name), or declare "
            f'it: step_tensors={{"{name}": tf.TensorSpec(...)}}.',
        )

    def _log(self, name: str) -> Any:
        log = name.removeprefix(LOGS)
        if log in self.logs:
            return self.logs[log]
        metrics = {m.name: m for m in compat.metrics_of(self._model)}
        if log in metrics:
            return metrics[log].result()
        if not self.has_run:
            raise self._too_early(name)
        raise StepTensorError(
            f"no step logs {log!r}",
            "session.run outside of a step",
            nearest(log, {*self._last, *self.logs, *metrics}),
        )

    @staticmethod
    def _too_early(name: str) -> StepTensorError:
        return StepTensorError(
            f"{name!r} has a value only in a step and after it, and no step "
            "has run",
            "session.run outside of a step",
            f"Ask for it in before_run: SessionRunArgs({name + ':0'!r}).",
        )
