# SPDX-License-Identifier: Apache-2.0
"""Defines the callback base class that every flavor of Keras accepts."""

from __future__ import annotations

from typing import Any
from typing import Literal

import keras

Phase = Literal["train", "test", "validation", "predict"]
PHASES: tuple[Phase, ...] = ("train", "test", "validation", "predict")

# The attributes that Keras sets when a run begins, and those derived from them.
# Keras 3 keeps the model under a private name (tests/test_private_api.py
# notices a change).
_OF_A_RUN = (
    "model",
    "_model",
    "params",
    "_inside_fit",
    "_model_of_fit",
    "_separate_run",
)


class Callback(keras.callbacks.Callback):
    """A callback base class that every flavor of Keras accepts.

    It turns the callback methods of Keras into the begin and end of a phase:
    `train` is `fit`, `predict` is `predict`, `test` is a separate `evaluate`,
    and `validation` is the `evaluate` inside `fit`. A subclass overrides
    `_begin_phase` and `_end_phase`.

    No batch method is defined here: defining one would cost every user the
    asynchronous dispatch of Keras 3, and tf_keras refuses such a callback
    under `ParameterServerStrategy`.
    """

    # A default, because Keras 2 does not set `params` on the callbacks of a
    # list that was created without parameters.
    params: Any = None

    def __init__(self) -> None:
        super().__init__()
        # tf_keras and Keras 2 read this: logs may come as tensors, so that no
        # value is copied to the host for this callback. Without it they come
        # as numbers, which only costs time.
        self._supports_tf_logs = True
        self._inside_fit = False
        self._model_of_fit: Any = None
        self._separate_run = False

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to copy or pickle, without the model or the run."""
        state = dict(vars(self))
        for name in _OF_A_RUN:
            state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        Callback.__init__(self)
        self.__dict__.update(state)

    def set_model(self, model: Any) -> None:
        """Takes the model; Keras calls this when a separate run begins.

        The evaluate inside fit uses fit's callback list and does not call this
        method. The calls inside a fit come from a run after a fit that failed
        (and never reached `on_train_end`), or from a run that another callback
        starts inside fit: neither is a validation. The second kind ends inside
        fit.
        """
        if self._inside_fit:
            self._model_of_fit = self.model
        super().set_model(model)
        self._inside_fit = False
        self._separate_run = True

    def on_train_begin(self, logs: Any = None) -> None:
        """Begins the phase `train`."""
        self._inside_fit = True
        self._model_of_fit = None
        self._separate_run = False
        self._begin_phase("train")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes that fit continues, even after a failed run inside it."""
        self._return_to_fit()
        self._inside_fit = True

    def on_train_end(self, logs: Any = None) -> None:
        """Ends the phase `train`."""
        self._inside_fit = False
        self._end_phase("train", logs)

    def on_test_begin(self, logs: Any = None) -> None:
        """Begins the phase `test`, or `validation` inside fit."""
        if not self._separate_run:
            # Fit continues, even after a run inside it that has failed. (If it
            # failed before it began here, in `on_test_begin` of another
            # callback, no method tells the two apart until the next epoch.)
            self._return_to_fit()
        self._separate_run = False
        self._begin_phase("validation" if self._inside_fit else "test")

    def on_test_end(self, logs: Any = None) -> None:
        """Ends the phase `test`, or `validation` inside fit."""
        self._end_phase("validation" if self._inside_fit else "test", logs)
        self._return_to_fit()

    def on_predict_begin(self, logs: Any = None) -> None:
        """Begins the phase `predict`."""
        self._separate_run = False
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
        """Is called when a phase begins; does nothing by default."""

    def _end_phase(self, phase: Phase, logs: Any) -> None:
        """Is called when a phase has succeeded; does nothing by default."""

    # tf_keras and Keras 2 ask a callback whether it has batch methods. The
    # base class of Keras 3 does not define these methods, so this one does.
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
