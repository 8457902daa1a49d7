# SPDX-License-Identifier: Apache-2.0
"""The state of metrics; that of training is kept safe from validation.

`evaluate` inside `fit` resets and refills the very metric objects that
training used. In `on_train_end` they hold validation values, where a v1
`FinalOpsHook` saw those of training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._eager import value_now
from final_ops_callback._keras import compat

State = list[tuple[Any, Any]]


class TrainingMetrics:
    """The state of metrics from before the last validation."""

    def __init__(self) -> None:
        self._of_model: State = []
        self._of_others: list[State] = []
        self._validation: list[State] = []

    def forget(self) -> None:
        """Forgets the state: a new epoch fills the metrics anew."""
        self._of_model, self._of_others, self._validation = [], [], []

    def take(self, metrics: Iterable[Any], others: Iterable[Any] = ()) -> None:
        """Takes a copy of the state, when a validation begins.

        Keras calls `on_test_begin` before it resets the metrics, in every
        generation and with every backend.

        Args:
            metrics: Iterable of the metric objects of the model, which every
                evaluate overwrites.
            others: Iterable of metric objects that Keras may not know.
        """
        parts = _parts(metrics)
        known = {id(part) for part in parts}
        self._of_model = _state(parts)
        self._of_others = [
            _state(part for part in _parts([metric]) if id(part) not in known)
            for metric in others
        ]
        self._validation = []

    def note_validation(self) -> None:
        """Notes what the validation left, when it ends."""
        self._validation = [_now(state) for state in self._of_others]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the state of training back into the metrics, for a while.

        The metrics of the model always get it: what they hold now is left
        over from a validation, or from an evaluate of another callback. A
        metric that Keras does not know gets it as a whole or not at all: if
        someone has written any part of it since the validation, what it
        holds now is no leftover.
        """
        training = list(self._of_model)
        left = zip(self._of_others, self._validation, strict=False)
        for state, validation in left:
            if _is_same(_now(state), validation):
                training += state
        before = _now(training)
        _assign(training)
        try:
            yield
        finally:
            _assign(before)


def _parts(metrics: Iterable[Any]) -> list[Any]:
    parts = [
        part
        for metric in metrics
        for variable in metric.variables
        for part in compat.components(variable)
    ]
    return list({id(part): part for part in parts}.values())


def _state(parts: Iterable[Any]) -> State:
    return [(part, part.numpy()) for part in parts]


def _now(state: State) -> State:
    return _state(part for part, _ in state)


def _assign(state: State) -> None:
    for part, value in state:
        part.assign(value)


def _is_same(first: State, second: State) -> bool:
    return all(
        a.tobytes() == b.tobytes()
        for (_, a), (_, b) in zip(first, second, strict=True)
    )


def state_of(metrics: Iterable[Any]) -> State:
    """Returns a copy of the state of metrics."""
    return _state(_parts(metrics))


def is_as_it_was(state: State) -> bool:
    """Says whether metrics still have the state that `state_of` copied."""
    return _is_same(_now(state), state)


def is_as_new(metric: Any) -> bool:
    """Says whether a metric holds what a reset one does: zeros.

    Args:
        metric: A metric of any Keras generation.
    """
    parts = [p for v in metric.variables for p in compat.components(v)]
    # Nearly always, the first says enough.
    return bool(parts) and not any(np.any(_value_of(part)) for part in parts)


def _value_of(part: Any) -> Any:
    if isinstance(part, tf.Variable):
        return value_now(part).numpy()
    return compat.to_numpy(part)
