# SPDX-License-Identifier: Apache-2.0
"""Makes the hooks of `tf.estimator.experimental` that stop a training early.

In v1 they read what the evaluations of an Estimator had written. Here they see
the values that `fit` finds in its validations, in the same process; with
`eval_dir`, they read event files as in v1.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import NotAModelError
from final_ops_callback.estimator._early_stopping import Condition
from final_ops_callback.estimator._early_stopping import StopEarlyHook
from final_ops_callback.estimator._early_stopping import evaluations_of
from final_ops_callback.estimator._early_stopping import is_not_improving
from final_ops_callback.estimator._early_stopping import is_past
from final_ops_callback.estimator._removed import removed

__all__ = [
    "make_early_stopping_hook",
    "stop_if_higher_hook",
    "stop_if_lower_hook",
    "stop_if_no_decrease_hook",
    "stop_if_no_increase_hook",
]


def __getattr__(name: str) -> Any:
    """Returns what stands for a name that was not brought back."""
    return removed(__name__, name)


def make_early_stopping_hook(
    estimator: Any,
    should_stop_fn: Callable[[], bool],
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> Any:
    """Makes a hook that stops a training when a function says so.

    Args:
        estimator: The Keras model that is trained.
        should_stop_fn: Function without arguments. When it returns `True`, the
            training stops after the step that has just run.
        run_every_secs: Number of seconds between two calls of the function, or
            `None`. Defaults to 60.
        run_every_steps: Number of steps between two calls, or `None`. Defaults
            to `None`.

    Returns:
        A `SessionRunHook`, for `SessionRunHookCallback` in `fit`.

    Raises:
        NotAModelError: `estimator` is not a Keras model.
        ArgumentError: Seconds and steps are both given.
        TypeError: `should_stop_fn` can't be called.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from final_ops_callback import SessionRunHookCallback
    >>> from final_ops_callback.estimator import experimental
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> hook = experimental.make_early_stopping_hook(
    ...     model, lambda: True, run_every_secs=None, run_every_steps=3
    ... )
    >>> x, y = np.zeros((8, 2)), np.zeros(8)
    >>> options = {"batch_size": 1, "verbose": 0}
    >>> callbacks = [SessionRunHookCallback(hook)]
    >>> _ = model.fit(x, y, callbacks=callbacks, **options)
    >>> int(model.optimizer.iterations.numpy())
    1

    In v1, this is `early_stopping.py` of `tensorflow_estimator`.
    """
    _check(estimator, run_every_secs, run_every_steps)
    if not callable(should_stop_fn):
        raise TypeError(f"should_stop_fn is not callable: {should_stop_fn!r}")
    return StopEarlyHook(should_stop_fn, run_every_secs, run_every_steps)


def stop_if_higher_hook(
    estimator: Any,
    metric_name: str,
    threshold: float,
    eval_dir: str | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> Any:
    """Makes a hook that stops when a metric of a validation is higher.

    Args:
        estimator: The Keras model that is trained. Its `fit` has to validate,
            unless `eval_dir` is given.
        metric_name: String. The metric, as `evaluate` calls it: `"loss"`.
        threshold: Number. The value has to be higher than it.
        eval_dir: String. A folder of event files to read, as
            `evaluate_checkpoints(log_dir=...)` writes them. Defaults to `None`:
            the validations of this `fit`.
        min_steps: Integer. Validations at earlier steps don't count. Defaults
            to 0.
        run_every_secs: As in `make_early_stopping_hook`.
        run_every_steps: As in `make_early_stopping_hook`.

    Returns:
        A `SessionRunHook`, for `SessionRunHookCallback` in `fit`.

    Raises:
        NotAModelError: `estimator` is not a Keras model.
        ArgumentError: Seconds and steps are both given.
        UnknownNameError: In `fit`: the validation has no such metric.
    """
    return _hook(
        estimator,
        is_past(metric_name, threshold, operator.gt, min_steps),
        eval_dir,
        run_every_secs,
        run_every_steps,
    )


def stop_if_lower_hook(
    estimator: Any,
    metric_name: str,
    threshold: float,
    eval_dir: str | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> Any:
    """Makes a hook that stops when a metric of a validation is lower.

    Arguments, result and errors are those of `stop_if_higher_hook`.
    """
    return _hook(
        estimator,
        is_past(metric_name, threshold, operator.lt, min_steps),
        eval_dir,
        run_every_secs,
        run_every_steps,
    )


def stop_if_no_increase_hook(
    estimator: Any,
    metric_name: str,
    max_steps_without_increase: int,
    eval_dir: str | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> Any:
    """Makes a hook that stops when a metric has not increased for long.

    Args:
        estimator: As in `stop_if_higher_hook`.
        metric_name: As in `stop_if_higher_hook`.
        max_steps_without_increase: Integer. The number of steps since the
            highest value after which the training stops.
        eval_dir: As in `stop_if_higher_hook`.
        min_steps: As in `stop_if_higher_hook`.
        run_every_secs: As in `make_early_stopping_hook`.
        run_every_steps: As in `make_early_stopping_hook`.

    Returns:
        A `SessionRunHook`, for `SessionRunHookCallback` in `fit`.

    Raises:
        NotAModelError: `estimator` is not a Keras model.
        ArgumentError: Seconds and steps are both given.
        UnknownNameError: In `fit`: the validation has no such metric.
    """
    return _hook(
        estimator,
        is_not_improving(
            metric_name, max_steps_without_increase, operator.gt, min_steps
        ),
        eval_dir,
        run_every_secs,
        run_every_steps,
    )


def stop_if_no_decrease_hook(
    estimator: Any,
    metric_name: str,
    max_steps_without_decrease: int,
    eval_dir: str | None = None,
    min_steps: int = 0,
    run_every_secs: float | None = 60,
    run_every_steps: int | None = None,
) -> Any:
    """Makes a hook that stops when a metric has not decreased for long.

    Arguments, result and errors are those of `stop_if_no_increase_hook`.
    """
    return _hook(
        estimator,
        is_not_improving(
            metric_name, max_steps_without_decrease, operator.lt, min_steps
        ),
        eval_dir,
        run_every_secs,
        run_every_steps,
    )


def _hook(
    estimator: Any,
    condition: Condition,
    eval_dir: str | None,
    run_every_secs: float | None,
    run_every_steps: int | None,
) -> StopEarlyHook:
    _check(estimator, run_every_secs, run_every_steps)
    evaluations = evaluations_of(estimator, eval_dir)
    return StopEarlyHook(
        lambda: condition(evaluations.by_step()),
        run_every_secs,
        run_every_steps,
        evaluations,
    )


def _check(estimator: Any, every_secs: Any, every_steps: Any) -> None:
    if not all(hasattr(estimator, name) for name in ("fit", "evaluate")):
        raise NotAModelError(
            f"{estimator!r} is not a Keras model",
            "the argument estimator of a hook that stops early",
            "Pass the model that is trained.",
        )
    if every_secs is not None and every_steps is not None:
        raise ArgumentError(
            "run_every_secs and run_every_steps are both given",
            "the arguments of a hook that stops early",
            "As in v1, one of them has to be None: run_every_secs=None.",
        )
