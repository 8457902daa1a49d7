# SPDX-License-Identifier: Apache-2.0
"""Looking the function of evaluate up at each step, also in Keras 2."""

from __future__ import annotations

from typing import Any

from final_ops_callback import _stack

_EVALUATING = ("test", "validation")


class LateLookup:
    """Stands for the test function of a model, until an evaluate took it.

    Keras 2 takes the function of `evaluate` before any callback begins, so
    what is armed later is not called. This one looks it up at each step, as
    Keras 3 does.

    Args:
        model: A Keras model of any generation.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._own = vars(model)
        self._function = self._own.get("test_function")

    @classmethod
    def install(cls, model: Any) -> None:
        """Puts it there, if the generation needs it."""
        own = getattr(model, "__dict__", {})
        needed = "test_function" in own and not _stack.looks_up_late(model)
        if needed and not isinstance(own["test_function"], cls):
            own["test_function"] = cls(model)

    @classmethod
    def remove(cls, model: Any, phase: str = "") -> None:
        """Puts the model's own function back.

        Args:
            model: As in `install`.
            phase: String. The phase that begins. If it evaluates, the
                function is made if it was not. Defaults to `""`.
        """
        standing = getattr(model, "__dict__", {}).get("test_function")
        if isinstance(standing, cls):
            vars(model)["test_function"] = standing._function
            if standing._function is None and phase in _EVALUATING:
                model.make_test_function()

    def __call__(self, iterator: Any) -> Any:
        self.remove(self._model, "test")
        return self._own["test_function"](iterator)
