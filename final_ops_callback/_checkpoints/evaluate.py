# SPDX-License-Identifier: Apache-2.0
"""Evaluates the checkpoints of a training as they appear."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _structure
from final_ops_callback._checkpoints import loading
from final_ops_callback._checkpoints.best import Best
from final_ops_callback._checkpoints.best import Choose
from final_ops_callback._checkpoints.eval_summaries import EvalSummaries
from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.found import Identity
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.reader import as_text
from final_ops_callback._checkpoints.waiting import Schedule
from final_ops_callback._checkpoints.waiting import checkpoints
from final_ops_callback._final_ops.callback import FinalOpsCallback
from final_ops_callback._hooks.callback import SessionRunHookCallback
from final_ops_callback._keras import compat
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import DamagedCheckpointError

logger = logging.getLogger("final_ops_callback")

_OWN = ("x", "y", "sample_weight", "return_dict")


def evaluate_checkpoints(
    model: Any,
    data: Any,
    checkpoint_dir: str | os.PathLike[str],
    *,
    final_ops: Any = None,
    final_ops_feed_dict: Mapping[Any, Any] | None = None,
    hooks: Any = None,
    step_tensors: Mapping[str, Any] | None = None,
    min_interval_secs: float = 60,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    every: bool = False,
    log_dir: str | os.PathLike[str] | None = None,
    best: tuple[str, Choose] | None = None,
    best_dir: str | os.PathLike[str] | None = None,
    names: Mapping[str, str | None] | None = None,
    moving_averages: bool | str = False,
    **options: Any,
) -> Iterator[tuple[int, Any]]:
    """Evaluates a model on the checkpoints of a folder as they appear.

    It does what `evaluate_once` and `evaluate_repeatedly` of tf-slim did, in
    the order and at the times of `tf.train.checkpoints_iterator`: the latest
    checkpoint is evaluated; then, `min_interval_secs` after that began, it
    waits for one that is newer. Checkpoints are those of v1, and Keras's
    `.weights.h5` and `.keras` files, which another process may be writing. One
    that is not whole, or that is gone before it is read, is skipped with a
    warning; a file of Keras is tried once more, and again when it has changed.
    A checkpoint of another model is an error.

    As in v1, it belongs into a process of its own, beside that of the training.
    The model holds the weights of the last checkpoint afterwards (of one that
    has changed while it was read and is skipped, perhaps in part).

    Args:
        model: A built and compiled Keras model.
        data: What `model.evaluate` takes: a dataset, an array, or a tuple
            `(x, y)` or `(x, y, sample_weight)`. It is used for each
            checkpoint, so it can't be an iterator.
        checkpoint_dir: String or path. The folder, which may appear later. Its
            file `checkpoint` tells which checkpoints of v1 there are, as in
            v1; if it names none that is there, a warning says so.
        final_ops: As in `FinalOpsCallback`. Defaults to `None`.
        final_ops_feed_dict: As in `FinalOpsCallback`. Defaults to `None`.
        hooks: v1 hooks, or a function that returns them, as in
            `SessionRunHookCallback`. Their global step is the step of the
            checkpoint. Defaults to `None`.
        step_tensors: Mapping from the name of a value of the step to its
            `tf.TensorSpec`, as in `SessionRunHookCallback`: hooks that fetch
            `labels:0` need it. Defaults to `None`.
        min_interval_secs: Float. The least time from the beginning of one
            evaluation to the next, in seconds. Defaults to 60.
        timeout: Float. The longest time to wait for a new checkpoint, in
            seconds. `0` evaluates what is there, without waiting. Defaults to
            `None`: it waits forever.
        timeout_fn: Function without arguments. As in v1, it is asked after a
            timeout and after each evaluation whether to stop. Defaults to
            `None`: a timeout ends it.
        every: Boolean. Whether to evaluate each checkpoint, the oldest first,
            and not only the latest one. Defaults to `False`.
        log_dir: String or path. The folder for summaries of the values, with
            the step of the checkpoint; v1 used the folder `eval` in that of
            the training. Defaults to `None`: none are written.
        best: Tuple of the name of a log (or of a key of `final_ops`) and of a
            function that returns the better one of two values:
            `("accuracy", max)`. A copy of the best checkpoint is kept, which
            a later call compares with, too. Defaults to `None`.
        best_dir: String or path. The folder of that copy, which may not be
            `checkpoint_dir` itself; it is made when the first one is kept.
            Defaults to `None`: `best` in `checkpoint_dir`.
        names: As in `restore_v1`, for checkpoints of v1. Defaults to `None`.
        moving_averages: As in `restore_v1`. Defaults to `False`.
        **options: Further arguments of `model.evaluate`: `batch_size`,
            `steps`, `callbacks`, `verbose` (which is 0 here).

    Returns:
        An iterator of pairs `(step, values)`. The step is that of the
        checkpoint: of its `global_step` or of the optimizer that Keras saved,
        else the last number in its name. The values are the logs of
        `model.evaluate`, as a dict; with `final_ops`, they are the values of
        `final_ops` instead, as `evaluate_once` returned them.

    Raises:
        ArgumentError: An argument is invalid, or the model is not compiled.
        CheckpointError: A checkpoint is that of another model.
        WriterError: Summaries or the best checkpoint can't be written.

    Example:
    >>> import tempfile
    >>> import keras
    >>> import numpy as np
    >>> from final_ops_callback import evaluate_checkpoints, save_v1
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> data = np.zeros((8, 2)), np.zeros((8, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_v1(model, f"{folder}/model.ckpt", global_step=100)
    ...     for step, values in evaluate_checkpoints(
    ...         model, data, folder, timeout=0
    ...     ):
    ...         print(step, values)
    100 {'loss': 0.0}
    """
    folder = _absolute(checkpoint_dir)
    if os.path.isfile(folder):
        raise ArgumentError(
            f"{folder!r} is a file",
            "checkpoint_dir",
            "Name the folder of the checkpoints.",
        )
    if tf.io.gfile.exists(f"{folder}.index"):
        raise ArgumentError(
            f"{folder!r} is a checkpoint, not a folder",
            "checkpoint_dir",
            f"Name its folder: {os.path.dirname(folder)!r}. One checkpoint is "
            "evaluated by restore_v1 and model.evaluate.",
        )
    schedule = _checked_schedule(
        Schedule(min_interval_secs, timeout, timeout_fn, every)
    )
    _check_model(model)
    how_to_find = loading.Names(names, moving_averages)
    callbacks = _listed(options.pop("callbacks", None))
    final = None
    if final_ops is not None:
        final = FinalOpsCallback(final_ops, final_ops_feed_dict)
    if hooks is not None:
        callbacks.append(
            SessionRunHookCallback(hooks, step_tensors=step_tensors)
        )
    elif step_tensors is not None:
        raise ArgumentError(
            "there are no hooks that fetch them",
            "step_tensors",
            "Give hooks=, too; final_ops= needs no step_tensors.",
        )
    evaluation = _Evaluation(
        model,
        _arguments(model, data, options),
        [*callbacks, *([final] if final else [])],
        final,
        how_to_find,
        None if log_dir is None else EvalSummaries(log_dir),
        _checked_best(best, best_dir, folder),
    )
    return evaluation.run(folder, schedule)


class _Evaluation:
    """Evaluates one checkpoint after the other.

    Args:
        model: The model.
        arguments: Dict of the arguments of `model.evaluate`.
        callbacks: List of its callbacks.
        final: The callback among them whose values are returned, or `None`.
        names: How checkpoints of v1 are restored.
        summaries: Writes summaries; or `None`.
        best: Keeps the best checkpoint; or `None`.
    """

    def __init__(
        self,
        model: Any,
        arguments: dict[str, Any],
        callbacks: list[Any],
        final: FinalOpsCallback | None,
        names: loading.Names,
        summaries: EvalSummaries | None,
        best: Best | None,
    ) -> None:
        self._model, self._arguments = model, arguments
        self._callbacks, self._final = callbacks, final
        self._names = names
        is_chief = compat.is_chief(model)
        self._summaries = summaries if is_chief else None
        self._best = best if is_chief else None

    def run(self, folder: str, schedule: Schedule) -> Iterator[tuple[int, Any]]:
        """Yields the step and the values of each checkpoint."""
        done: set[Identity] = set()
        tried: set[Identity] = set()
        try:
            for found in checkpoints(folder, schedule, done):
                try:
                    result = self._evaluate(found)
                except DamagedCheckpointError as error:
                    logger.warning("A checkpoint is skipped: %s", error)
                    # Keras writes a file in place: it may be whole a moment
                    # later, and have the same time and size.
                    if not found.is_v1 and found.identity not in tried:
                        tried.add(found.identity)
                        done.discard(found.identity)
                    continue
                yield result
        finally:
            if self._summaries is not None:
                self._summaries.close()

    def _evaluate(self, found: Found) -> tuple[int, Any]:
        with contextlib.ExitStack() as stack:
            stage = ""
            if self._best is not None:
                stage = stack.enter_context(self._best.staged(found))
            step = loading.load(self._model, found, self._names)
            logs = self._model.evaluate(
                **self._arguments, callbacks=self._callbacks, return_dict=True
            )
            values = (
                logs if self._final is None else self._final.final_ops_values
            )
            named = logs | _named(values)
            if self._summaries is not None:
                self._summaries.write(named, step)
            if self._best is not None:
                self._best.keep(found, stage, named, step)
        return step, values


def _named(values: Any) -> dict[str, Any]:
    return {
        _structure.as_name(path, _structure.ROOT): value
        for path, value in _structure.leaves_with_path(values)
    }


def _checked_schedule(schedule: Schedule) -> Schedule:
    for name in ("min_interval_secs", "timeout"):
        value = getattr(schedule, name)
        is_number = isinstance(value, int | float) and value >= 0
        if not is_number and not (value is None and name == "timeout"):
            raise ArgumentError(
                f"{value!r} is no time",
                name,
                "Use a number of seconds that is not negative.",
            )
    if schedule.timeout_fn is not None and not callable(schedule.timeout_fn):
        raise ArgumentError(
            f"{schedule.timeout_fn!r} can't be called",
            "timeout_fn",
            "Use a function without arguments that returns whether to stop.",
        )
    return schedule


def _check_model(model: Any) -> None:
    state = ModelState(model, False, None)
    if state.optimizer is None:
        raise ArgumentError(
            f"the model {model.name!r} is not compiled",
            "model",
            "Call model.compile with the loss and the metrics.",
        )


def _arguments(
    model: Any, data: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    if data is None or (hasattr(data, "__next__") and iter(data) is data):
        raise ArgumentError(
            f"a {type(data).__name__} does not give its data to each "
            "evaluation",
            "data",
            "Use a tf.data.Dataset, arrays, or a tuple (x, y).",
        )
    known = inspect.signature(model.evaluate).parameters
    for name in options:
        if name in _OWN or name not in known:
            raise ArgumentError(
                f"{name!r} can't be given",
                "evaluate_checkpoints",
                f"model.evaluate takes {sorted(set(known) - {*_OWN})}.",
            )
    is_tuple = isinstance(data, tuple) and 1 < len(data) < 4
    parts = data if is_tuple else (data,)
    inputs = dict(zip(("x", "y", "sample_weight"), parts, strict=False))
    return {"verbose": 0} | dict(options) | inputs


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return (
        list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    )


def _absolute(path: Any) -> str:
    """Returns a path that stays, whatever the working directory will be."""
    text = as_text(path)
    return text if "://" in text else os.path.abspath(text)


def _checked_best(best: Any, best_dir: Any, folder: str) -> Best | None:
    if best is None:
        if best_dir is not None:
            raise ArgumentError(
                "nothing tells which checkpoint is the best",
                "best_dir",
                'Tell it: best=("accuracy", max).',
            )
        return None
    is_pair = isinstance(best, tuple | list) and len(best) == 2
    if not is_pair or not isinstance(best[0], str) or not callable(best[1]):
        raise ArgumentError(
            f"{best!r} does not tell what is the best",
            "best",
            'Use a name and a function: best=("accuracy", max).',
        )
    where = os.path.join(folder, "best") if best_dir is None else best_dir
    where = _absolute(where)
    if _is_same(where, folder):
        raise ArgumentError(
            f"{where!r} is the folder of the checkpoints itself, whose state "
            "file and old checkpoints it would replace",
            "best_dir",
            "Name another folder.",
        )
    return Best(best[0], best[1], where)


def _is_same(folder: str, other: str) -> bool:
    """Returns whether two paths are one folder, also through links."""
    if os.path.exists(folder) and os.path.exists(other):
        return os.path.samefile(folder, other)
    if "://" in folder or "://" in other:
        return folder.rstrip("/") == other.rstrip("/")
    return os.path.realpath(folder) == os.path.realpath(other)
