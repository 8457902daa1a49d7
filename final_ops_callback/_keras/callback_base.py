# SPDX-License-Identifier: Apache-2.0
"""The callback base that every flavor of Keras accepts."""

from __future__ import annotations

from typing import Any
from typing import Literal

import keras

Phase = Literal["train", "test", "validation", "predict"]
PHASES: tuple[Phase, ...] = ("train", "test", "validation", "predict")

# What Keras gives to a callback when a run begins, and what follows from it.
# Keras 3 keeps the model under a private name (tests/test_private_api.py
# notices a change).
_OF_A_RUN = ("model", "_model", "params", "_inside_fit", "_model_of_fit")


class Callback(keras.callbacks.Callback):
    """The callback base that every flavor of Keras accepts.

    It turns the moments of Keras into the begin and end of a phase: `train`
    is `fit`, `predict` is `predict`, `test` is an `evaluate` of its own, and
    `validation` is the `evaluate` inside `fit`. A subclass overrides
    `_begin_phase` and `_end_phase`.

    No batch method is defined here: defining one costs every user the
    asynchronous dispatch of Keras 3, and tf_keras refuses such a callback
    under `ParameterServerStrategy`.
    """

    # Of a list of callbacks that nobody gave parameters, which Keras 2 leaves
    # without any.
    params: Any = None

    def __init__(self) -> None:
        super().__init__()
        # Read by tf_keras and Keras 2: logs may come as tensors, so that no
        # value is copied to the host for our sake. Without it they come as
        # numbers, which costs time alone.
        self._supports_tf_logs = True
        self._inside_fit = False
        self._model_of_fit: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Returns what a copy is made of: nothing of a model or of a run."""
        state = dict(vars(self))
        for name in _OF_A_RUN:
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        Callback.__init__(self)
        self.__dict__.update(state)

    def set_model(self, model: Any) -> None:
        """Takes the model; Keras calls it when a run of its own begins.

        The evaluate inside fit uses fit's own callback list and does not come
        through here. What does is a run after a fit that failed (and never
        reached `on_train_end`), or a run that another callback starts inside
        fit: neither is a validation. The second one ends inside fit.
        """
        if self._inside_fit:
            self._model_of_fit = self.model
        super().set_model(model)
        self._inside_fit = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the phase `train`."""
        self._inside_fit = True
        self._model_of_fit = None
        self._begin_phase("train")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes that fit goes on, also after a run inside it that failed."""
        self._return_to_fit()
        self._inside_fit = True

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the phase `train`."""
        self._inside_fit = False
        self._end_phase("train", logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Begins the phase `test`, or `validation` inside fit."""
        self._begin_phase("validation" if self._inside_fit else "test")

    def on_test_end(self, logs: Any = None) -> None:
        """Ends the phase `test`, or `validation` inside fit."""
        self._end_phase("validation" if self._inside_fit else "test", logs)
        self._return_to_fit()

    def on_predict_begin(self, logs: Any = None) -> None:
        """Begins the phase `predict`."""
        self._begin_phase("predict")

    def on_predict_end(self, logs: Any = None) -> None:
        """Ends the phase `predict`."""
        self._end_phase("predict", logs)
        self._return_to_fit()

    def _return_to_fit(self) -> None:
        if self._model_of_fit is not None:
            super().set_model(self._model_of_fit)
            self._inside_fit = True
            self._model_of_fit = None

    def _begin_phase(self, phase: Phase) -> None:
        """Called when a phase begins; does nothing by default."""

    def _end_phase(self, phase: Phase, logs: Any) -> None:
        """Called when a phase has ended well; does nothing by default."""

    # tf_keras and Keras 2 ask a callback whether it has batch methods. A
    # Keras 3 base does not answer, so this one does.
    def _implements_train_batch_hooks(self) -> bool:
        return self._overrides(
            "on_batch_begin",
            "on_batch_end",
            "on_train_batch_begin",
            "on_train_batch_end",
        )

    def _implements_test_batch_hooks(self) -> bool:
        return self._overrides("on_test_batch_begin", "on_test_batch_end")

    def _implements_predict_batch_hooks(self) -> bool:
        return self._overrides("on_predict_batch_begin", "on_predict_batch_end")

    def _overrides(self, *names: str) -> bool:
        base = keras.callbacks.Callback
        return any(
            getattr(type(self), name) is not getattr(base, name)
            for name in names
        )
