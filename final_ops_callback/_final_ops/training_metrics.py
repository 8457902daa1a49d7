# SPDX-License-Identifier: Apache-2.0
"""Saves the state of training metrics before a validation overwrites it.

`evaluate` inside `fit` resets and refills the same metric objects that training
uses. In `on_train_end` they therefore hold validation values, whereas a v1
`FinalOpsHook` saw training values.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._eager_mode import value_now
from final_ops_callback._keras import compat

State = list[tuple[Any, Any]]


class TrainingMetrics:
    """The state that metrics had before the last validation."""

    def __init__(self) -> None:
        self._of_model: State = []
        self._of_others: list[State] = []
        self._validation: list[State] = []

    def forget(self) -> None:
        """Forgets the saved state, because a new epoch has begun."""
        self._of_model, self._of_others, self._validation = [], [], []

    def take(self, metrics: Iterable[Any], others: Iterable[Any] = ()) -> None:
        """Copies the state of metrics when a validation begins.

        Every version of Keras calls `on_test_begin` before it resets the
        metrics, with every backend.

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
        """Records the state that a validation has left behind."""
        self._validation = [_now(state) for state in self._of_others]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Gives metrics back their training state while the context lasts.

        The metrics of the model always get their training state, because what
        they hold now comes from a validation, or from an evaluate of another
        callback. A metric that Keras does not know gets its training state as
        a whole or not at all: if any part of it was written since the
        validation, its present state does not come from the validation.
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
    """Returns a copy of the present state of metrics."""
    return _state(_parts(metrics))


def is_as_it_was(state: State) -> bool:
    """Returns whether metrics still have the state that `state_of` copied."""
    return _is_same(_now(state), state)


def is_as_new(metric: Any) -> bool:
    """Returns whether all variables of a metric are zero, as after a reset.

    Args:
        metric: A metric of any Keras version.
    """
    parts = [p for v in metric.variables for p in compat.components(v)]
    # Nearly always, the first variable decides.
    return bool(parts) and not any(np.any(_value_of(part)) for part in parts)


def _value_of(part: Any) -> Any:
    if isinstance(part, tf.Variable):
        return value_now(part).numpy()
    return compat.to_numpy(part)
