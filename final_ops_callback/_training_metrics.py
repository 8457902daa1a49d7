# SPDX-License-Identifier: Apache-2.0
"""The metrics of training, kept safe from the validation inside fit.

`evaluate` inside `fit` resets and refills the very metric objects that
training used. In `on_train_end` they hold validation values, where a v1
`FinalOpsHook` saw those of training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from final_ops_callback import _stack


class TrainingMetrics:
    """The state of metrics from before the last validation."""

    def __init__(self) -> None:
        self._variables: list[Any] = []
        self._training: list[Any] = []
        self._validation: list[Any] = []

    def forget(self) -> None:
        """Forgets the state: a new epoch fills the metrics anew."""
        self._variables, self._training, self._validation = [], [], []

    def take(self, metrics: Iterable[Any]) -> None:
        """Takes a copy of the state, when a validation begins.

        Keras calls `on_test_begin` before it resets the metrics, in every
        generation and with every backend.

        Args:
            metrics: Iterable of metric objects.
        """
        parts = [
            part
            for metric in metrics
            for variable in metric.variables
            for part in _stack.components(variable)
        ]
        self._variables = list({id(part): part for part in parts}.values())
        self._training = self._read()
        self._validation = []

    def note_validation(self) -> None:
        """Notes what the validation left, when it ends."""
        self._validation = self._read()

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the state of training back into the metrics, for a while.

        A variable that someone has written since the validation is left
        alone: what it holds now is no leftover of the validation.
        """
        swapped = []
        states = zip(
            self._variables, self._training, self._validation, strict=False
        )
        for variable, training, validation in states:
            if variable.numpy().tobytes() == validation.tobytes():
                swapped.append((variable, validation))
                variable.assign(training)
        try:
            yield
        finally:
            for variable, validation in swapped:
                variable.assign(validation)

    def _read(self) -> list[Any]:
        return [variable.numpy() for variable in self._variables]
