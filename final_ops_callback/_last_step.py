# SPDX-License-Identifier: Apache-2.0
"""What the last step of a run has computed, for who has no hook."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

from final_ops_callback import _stack
from final_ops_callback._late_lookup import LateLookup
from final_ops_callback._step import StepTap
from final_ops_callback._step_names import StepNames
from final_ops_callback.errors import LeafError


class LastStep:
    """Keeps step tensors of the last step, while a run goes on.

    They stay on the device: nothing is copied to the host until somebody
    asks. A step pays what its extra outputs cost, and no batch method.

    Args:
        names: Iterable of strings. Those that are no step tensors of the
            model are left alone. `loss:0` is one, `loss` is a log.
        phase: String. The phase of the run.
    """

    def __init__(self, names: Iterable[str], phase: str) -> None:
        self._wanted = [name for name in names if name != "loss"]
        self._mode = "test" if phase == "validation" else phase
        self._tap: StepTap | None = None
        self._names: StepNames | None = None

    def value(self, name: str, where: Callable[[], str]) -> Any:
        """Returns a value of the last step, or `None` if it is no step tensor.

        Args:
            name: String. A name as it was given.
            where: Function that writes the place of the name, for an error.

        Raises:
            LeafError: No step has run.
        """
        name = name.removesuffix(":0")
        if self._tap is None or name not in self._tap.watched:
            return None
        if name not in self._tap.values:
            raise LeafError(
                f"no step has run that delivers {name!r}",
                where(),
                "Give the run data for at least one step.",
            )
        return self._tap.values[name]

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all step tensors that the model delivers."""
        return tuple(self._names.known()) if self._names else ()

    def catch_evaluate(self, model: Any) -> None:
        """Makes ready for an evaluate that may follow."""
        if self._wanted and _has_step_tensors(model):
            LateLookup.install(model, self)

    def begin(self, model: Any) -> None:
        """Begins to watch the steps of a run.

        Args:
            model: A Keras model of any generation.
        """
        self.end()
        if not self._wanted or not _has_step_tensors(model):
            return
        self._names = StepNames(model, self._mode)
        sources = self._names.taken(
            name.removesuffix(":0") for name in self._wanted
        )
        if not sources:
            return
        if self._tap is None or self._tap.model is not model:
            self._tap = StepTap(model, self._mode)
        self._tap.watch(sources)

    def end(self) -> None:
        """Lets the model and the values go."""
        if self._tap is not None:
            self._tap.disarm()
            self._tap.values = {}
        self._names = None


def _has_step_tensors(model: Any) -> bool:
    # Only the step of TensorFlow can be looked into.
    return _stack.backend_of(model) == "tensorflow"
