# SPDX-License-Identifier: Apache-2.0
"""Stops a training early, from what its evaluations have found."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Protocol

import tensorflow as tf

from final_ops_callback.errors import UnknownNameError

logger = logging.getLogger("final_ops_callback")

# From the step of an evaluation to the values of its metrics.
Found = Mapping[int, Mapping[str, float]]
Condition = Callable[[Found], bool]
_VALIDATION = "val_"


class Evaluations(Protocol):
    """What the evaluations of a training have found."""

    def note(self, step: int) -> None:
        """Notes what was evaluated before the next step.

        Args:
            step: Integer. The number of steps that have run.
        """

    def by_step(self) -> Found:
        """Returns the metrics of each evaluation, by its step."""


def evaluations_of(model: Any, eval_dir: str | None) -> Evaluations:
    """Returns the evaluations of a model.

    Args:
        model: The Keras model.
        eval_dir: String. The folder of event files in which they are, or
            `None`, if `fit` makes them.
    """
    return Validations(model) if eval_dir is None else EventFiles(eval_dir)


class Validations:
    """What the validations inside `fit` have found.

    Keras gives a model the history of the `fit` that runs, and adds the values
    of a validation to it before the next step. A new `fit` has a new history.

    Args:
        model: The Keras model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._history: Any = None
        self._counts: dict[str, int] = {}
        self._found: dict[int, dict[str, float]] = {}

    def note(self, step: int) -> None:
        """Adds the values of the validation after the latest epoch."""
        history = getattr(self._model, "history", None)
        if history is not self._history:
            self._history, self._counts = history, {}
        for name, values in getattr(history, "history", {}).items():
            is_new = len(values) > self._counts.get(name, 0)
            if name.startswith(_VALIDATION) and is_new:
                self._counts[name] = len(values)
                metric = name.removeprefix(_VALIDATION)
                self._found.setdefault(step, {})[metric] = float(values[-1])

    def by_step(self) -> Found:
        """Returns the metrics of each validation, by its step."""
        return self._found


class EventFiles:
    """What evaluations have written to the event files of a folder.

    Args:
        folder: String.
    """

    def __init__(self, folder: str) -> None:
        self._folder = os.fspath(folder)

    def note(self, step: int) -> None:
        """Does nothing: the files are read when they are asked for."""

    def by_step(self) -> Found:
        """Returns the scalars of the files, by their steps."""
        found: dict[int, dict[str, float]] = {}
        pattern = os.path.join(self._folder, "*tfevents*")
        for path in sorted(tf.io.gfile.glob(pattern)):
            for event in _events(path):
                for value in event.summary.value:
                    scalar = _scalar(value)
                    if scalar is not None:
                        metrics = found.setdefault(event.step, {})
                        metrics[value.tag] = scalar
        return dict(sorted(found.items()))


def _events(path: str) -> Iterator[Any]:
    """Yields the events of a file that may be written at the same time."""
    try:
        yield from tf.compat.v1.train.summary_iterator(path)
    except tf.errors.DataLossError as error:
        # As in v1: the last event is not whole yet.
        logger.warning("%s is read up to its last whole event: %s", path, error)


def _scalar(value: Any) -> float | None:
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if value.HasField("tensor"):  # as TensorFlow 2 writes scalars
        array = tf.make_ndarray(value.tensor)
        if array.ndim == 0 and array.dtype.kind in "fiu":
            return float(array)
    return None


def is_past(
    metric: str,
    threshold: float,
    is_better: Callable[[float, float], bool],
    min_steps: int,
) -> Condition:
    """Returns whether an evaluation found a value beyond a threshold.

    Args:
        metric: String.
        threshold: Number.
        is_better: Function of two numbers.
        min_steps: Integer. Earlier evaluations don't count.

    Example:
    >>> import operator
    >>> is_past("loss", 0.5, operator.lt, 2)({1: {"loss": 0.1}})
    False
    """

    def holds(found: Found) -> bool:
        for step, value in _values(found, metric, min_steps):
            if is_better(value, threshold):
                tf.compat.v1.logging.info(
                    "%r was %s at step %s, beyond the threshold %s.",
                    metric,
                    value,
                    step,
                    threshold,
                )
                return True
        return False

    return holds


def is_not_improving(
    metric: str,
    most_steps: int,
    is_better: Callable[[float, float], bool],
    min_steps: int,
) -> Condition:
    """Returns whether the best value of a metric is too many steps ago.

    Args:
        metric: String.
        most_steps: Integer. How many are too many.
        is_better: Function of two numbers.
        min_steps: Integer. Earlier evaluations don't count.

    Example:
    >>> import operator
    >>> found = {1: {"loss": 0.1}, 5: {"loss": 0.2}}
    >>> is_not_improving("loss", 4, operator.lt, 0)(found)
    True
    """

    def holds(found: Found) -> bool:
        best: tuple[int, float] | None = None
        for step, value in _values(found, metric, min_steps):
            if best is None or is_better(value, best[1]):
                best = step, value
            if step - best[0] >= most_steps:
                tf.compat.v1.logging.info(
                    "%r has not improved for %s steps: its best value was %s, "
                    "at step %s.",
                    metric,
                    step - best[0],
                    best[1],
                    best[0],
                )
                return True
        return False

    return holds


def _values(
    found: Found, metric: str, min_steps: int
) -> list[tuple[int, float]]:
    values = []
    for step, metrics in found.items():
        if step < min_steps:
            continue
        if metric not in metrics:
            raise UnknownNameError(
                f"the evaluation at step {step} has no metric {metric!r}",
                "a hook that stops early",
                f"It has {sorted(metrics)}.",
            )
        values.append((step, metrics[metric]))
    return values


class StopEarlyHook(tf.compat.v1.train.SessionRunHook):
    """Stops a training when a function says so.

    Args:
        should_stop_fn: Function without arguments that returns a boolean.
        run_every_secs: Number of seconds between two calls, or `None`.
        run_every_steps: Number of steps between two calls, or `None`.
        evaluations: The `Evaluations` that the function looks at. Defaults to
            `None`: it looks at none.
    """

    def __init__(
        self,
        should_stop_fn: Callable[[], bool],
        run_every_secs: float | None,
        run_every_steps: int | None,
        evaluations: Evaluations | None = None,
    ) -> None:
        self._should_stop_fn = should_stop_fn
        self._evaluations = evaluations
        self._timer = tf.compat.v1.train.SecondOrStepTimer(
            every_secs=run_every_secs, every_steps=run_every_steps
        )

    def begin(self) -> None:
        """Makes the variable that v1 had for the other workers.

        It is in the checkpoints of v1, which have to fit here and there.
        """
        self._step = tf.compat.v1.train.get_global_step()
        scope = tf.compat.v1.variable_scope(
            "signal_early_stopping", reuse=tf.compat.v1.AUTO_REUSE
        )
        with scope:
            variable = tf.compat.v1.get_variable(
                "STOP",
                shape=(),
                dtype=tf.bool,
                initializer=tf.compat.v1.constant_initializer(False),
                trainable=False,
            )
        self._stop = variable.assign(True)

    def before_run(self, run_context: Any) -> Any:
        """Asks for the step."""
        return tf.compat.v1.train.SessionRunArgs(self._step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Asks the function, when it is time to, and stops."""
        step = int(run_values.results)
        self._note(step)
        if not self._timer.should_trigger_for_step(step):
            return
        self._timer.update_last_triggered_step(step)
        if self._should_stop_fn():
            tf.compat.v1.logging.info(
                "The training is stopped early, at step %d.", step
            )
            run_context.session.run(self._stop)
            run_context.request_stop()

    def end(self, session: Any) -> None:
        """Notes the last validation, for the next fit."""
        self._note(int(session.run(self._step)))
        if self._evaluations is not None and not self._evaluations.by_step():
            logger.warning(
                "A hook that stops early found no evaluation: pass "
                "validation_data to fit, or eval_dir to the hook."
            )

    def _note(self, step: int) -> None:
        if self._evaluations is not None:
            self._evaluations.note(step)
