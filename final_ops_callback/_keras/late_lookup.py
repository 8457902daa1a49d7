# SPDX-License-Identifier: Apache-2.0
"""Looking the function of evaluate up at each step, also in Keras 2."""

from __future__ import annotations

import weakref
from typing import Any

from final_ops_callback._keras import compat

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
        self._owners: list[weakref.ref[Any]] = []

    @classmethod
    def install(cls, model: Any, owner: Any) -> None:
        """Puts it there, if the generation needs it.

        Args:
            model: A Keras model of any generation.
            owner: Who wants it. When all who do are gone, it goes, too: the
                evaluate may never come, because another callback failed.
        """
        own = getattr(model, "__dict__", {})
        needed = "test_function" in own and not compat.looks_up_late(model)
        if needed and not isinstance(own["test_function"], cls):
            own["test_function"] = cls(model)
        if needed:
            standing = own["test_function"]
            standing._owners.append(weakref.ref(owner, standing._let_go))

    def _let_go(self, ref: weakref.ref[Any]) -> None:
        self._owners = [one for one in self._owners if one is not ref]
        if not self._owners and self._own["test_function"] is self:
            self.remove(self._model)

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
