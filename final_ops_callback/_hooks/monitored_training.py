# SPDX-License-Identifier: Apache-2.0
"""Does in `fit` what `MonitoredTrainingSession` set up around a training."""

from __future__ import annotations

import enum
import logging
import numbers
import os
from collections.abc import Mapping
from typing import Any
from typing import Final

import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._hooks.callback import SessionRunHookCallback
from final_ops_callback._hooks.calls import Hooks
from final_ops_callback._hooks.calls import checked_hooks
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizer_compat
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import HookUsageError

logger = logging.getLogger("final_ops_callback")

_WHERE = "MonitoredTrainingCallback"


_STRATEGY = "build the model in the scope of a tf.distribute strategy."
_DECIDED_BY_KERAS = {
    "master": f"to train on several machines, {_STRATEGY}",
    "is_chief": "the strategy of the model tells which worker is the chief.",
    "config": (
        "threads and devices are set with tf.config, before the model is made."
    ),
    "stop_grace_period_secs": "threads of hooks have 120 seconds to stop.",
    "max_wait_secs": f"workers wait for each other; {_STRATEGY}",
}


class UseDefault(enum.Enum):
    """The type of the default of an argument whose other values mean more."""

    USE_DEFAULT = "the default of v1"

    def __repr__(self) -> str:
        return self.name


_USE_DEFAULT: Final = UseDefault.USE_DEFAULT
Every = int | float | None | UseDefault


class MonitoredTrainingCallback(SessionRunHookCallback):
    """Does in `fit` what `tf.compat.v1.train.MonitoredTrainingSession` set up.

    When `fit` begins, it restores the latest checkpoint of `checkpoint_dir`,
    if there is one: weights, optimizer slots and the step. While `fit` runs, it
    saves checkpoints, counts the steps per second and writes the summaries of
    the hook graph, with the stock hooks of v1, and it runs your hooks. Files,
    tags and steps are those of v1.

    As in v1, whoever trains says when to stop, for example with a
    `StopAtStepHook(last_step=...)` and `fit(dataset.repeat(), ...)`: the number
    of epochs starts over in each process, the step does not. (Keras 2 wants
    `steps_per_epoch` with it.) Give the model and its layers names: Keras
    numbers those without, and checkpoints have names.

    Checkpoints hold the weights, the slots and the step, as in v1. They don't
    hold a learning rate that has changed (a warning says so), nor what Keras
    does not list among the variables of a model (the state of a stateful
    layer). A momentum of SGD is kept as v1 kept it, without the rate: if the
    rate is another one when the training goes on, it goes on as in v1, where a
    change of the rate took effect on the momentum at once.

    Arguments, defaults and rules are those of v1. In place of `is_chief`, the
    distribution strategy of the model tells which worker is the chief: it
    alone saves, writes and runs the `chief_only_hooks`; all workers restore.

    Args:
        checkpoint_dir: String or path. The folder to restore from and to save
            to, which is made if it is missing. Defaults to `None`: neither.
        hooks: A v1 hook, a list of hooks, or a function without arguments that
            returns them. The function is called inside the hook graph: what
            needs tensors is made there, for example the summaries that
            `save_summaries_steps` writes. Defaults to `None`.
        chief_only_hooks: The same, for hooks of the chief alone. They come
            first. Defaults to `None`.
        scaffold: A `tf.compat.v1.train.Scaffold`, or a function that returns
            one (called inside the hook graph). Defaults to `None`: a default
            one. The saver and the summary op of all hooks made here are those
            of the scaffold. Its `init_op` and `init_fn` run only if there was
            no checkpoint.
        save_checkpoint_secs: Number of seconds between two checkpoints, or
            `None`. Defaults to 600, or to `None` if `save_checkpoint_steps` is
            given. If both are `None`, no checkpoints are saved.
        save_checkpoint_steps: Number of steps between two checkpoints, or
            `None`. Defaults to `None`.
        save_summaries_steps: Number of steps between two summaries, or `None`.
            Defaults to 100, or to `None` if `save_summaries_secs` is given. If
            both are `None`, no summaries are written.
        save_summaries_secs: Number of seconds between two summaries, or
            `None`. Defaults to `None`.
        log_step_count_steps: Number of steps between two logs of
            `global_step/sec`. Defaults to 100. `None` and 0 log nothing.
        summary_dir: String or path. The folder of the summaries. Defaults to
            `None`: `checkpoint_dir`.
        save_graph_def: Boolean. Whether to write the hook graph beside the
            checkpoints (`graph.pbtxt` and a `.meta` file for each). Defaults
            to `True`.
        variable_names: As in `SessionRunHookCallback`: the names of the
            variables in the checkpoints.
        step_tensors: As in `SessionRunHookCallback`.
        **others: None: `is_chief` and the other arguments of v1 that Keras
            decides are an error that says where.

    Raises:
        ArgumentError: Steps and seconds are both given, `checkpoint_dir` is a
            file, or an argument of v1 has no meaning here.
        NotAHookError: One of the hooks is not a `SessionRunHook`.
        CheckpointError: In `fit`: the latest checkpoint can't be read, lacks
            variables, or is of another model. No variable has changed then.
        HookUsageError: In `fit`: the optimizer accumulates gradients, so that
            its step can't be restored.

    Example:
    >>> import tempfile
    >>> import keras
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from final_ops_callback import MonitoredTrainingCallback
    >>> folder = tempfile.mkdtemp()
    >>> for last_step in (3, 5):  # the second training goes on from the first
    ...     layers = [keras.Input((2,)), keras.layers.Dense(1, name="dense")]
    ...     model = keras.Sequential(layers, name="net")
    ...     model.compile("sgd", "mse")
    ...     monitored = MonitoredTrainingCallback(
    ...         folder, [tf.compat.v1.train.StopAtStepHook(last_step=last_step)]
    ...     )
    ...     data = tf.data.Dataset.from_tensors((np.ones((4, 2)), np.ones(4)))
    ...     options = {"steps_per_epoch": 9, "shuffle": False, "verbose": 0}
    ...     _ = model.fit(data.repeat(), callbacks=[monitored], **options)
    >>> int(model.optimizer.iterations.numpy())
    5
    >>> tf.train.latest_checkpoint(folder).split("-")[-1]
    '5'

    In v1, this is `MonitoredTrainingSession` of
    `tensorflow/python/training/monitored_session.py`.
    """

    def __init__(
        self,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        hooks: Hooks | None = None,
        chief_only_hooks: Hooks | None = None,
        scaffold: Any = None,
        save_checkpoint_secs: Every = _USE_DEFAULT,
        save_checkpoint_steps: Every = _USE_DEFAULT,
        save_summaries_steps: Every = _USE_DEFAULT,
        save_summaries_secs: Every = _USE_DEFAULT,
        log_step_count_steps: int | None = 100,
        *,
        summary_dir: str | os.PathLike[str] | None = None,
        save_graph_def: bool = True,
        variable_names: Mapping[str, str] | None = None,
        step_tensors: Mapping[str, tf.TensorSpec] | None = None,
        **others: Any,
    ) -> None:
        _refuse(others)
        super().__init__(
            _listed(hooks),
            on="train",
            scaffold=scaffold,
            variable_names=variable_names,
            step_tensors=step_tensors,
        )
        checked_hooks(_listed(chief_only_hooks))
        self._chief_only_hooks = _listed(chief_only_hooks)
        self._checkpoint_dir = _folder(checkpoint_dir, "checkpoint_dir")
        self._summary_dir = (
            _folder(summary_dir, "summary_dir") or self._checkpoint_dir
        )
        self._save_checkpoints = _timing(
            "checkpoint", save_checkpoint_steps, save_checkpoint_secs, secs=600
        )
        self._save_summaries = _timing(
            "summaries", save_summaries_steps, save_summaries_secs, steps=100
        )
        self._log_step_count_steps = log_step_count_steps
        self._save_graph_def = save_graph_def

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to copy or pickle, with hooks as they were made."""
        state = super().__getstate__()
        state["_chief_only_hooks"] = self._as_made.copies(
            self._chief_only_hooks
        )
        return state

    def _begin_phase(self, phase: callback_base.Phase) -> None:
        if phase in ("test", "predict"):
            logger.warning(
                "MonitoredTrainingCallback does nothing in %s: it restores and "
                "runs hooks in fit. To evaluate the checkpoints of a training, "
                "call evaluate_checkpoints; to run hooks, use "
                "SessionRunHookCallback.",
                "evaluate" if phase == "test" else "predict",
            )
        super()._begin_phase(phase)

    def _given_hooks(self) -> Any:
        return [self._hooks, self._chief_only_hooks]

    def _hooks_and_scaffold(self) -> tuple[Hooks, Any]:
        if self._checkpoint_dir:
            self._check_optimizer()
        scaffolds: list[Any] = []

        def make_hooks() -> list[Any]:
            # First, because the hooks made here share it.
            given = self._scaffold
            scaffold = given() if callable(given) else given
            scaffold = scaffold or tf.compat.v1.train.Scaffold()
            scaffolds.append(scaffold)
            hooks = checked_hooks(self._hooks)()
            if not compat.is_chief(self.model):
                return _listed(hooks)
            first = checked_hooks(self._chief_only_hooks)()
            return [
                *_listed(first),
                *self._stock_hooks(scaffold),
                *_listed(hooks),
            ]

        return make_hooks, scaffolds.pop

    def _check_optimizer(self) -> None:
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None:
            return
        if not compat.is_variable(optimizer.iterations):
            raise HookUsageError(
                "the step is computed from a count of batches, because the "
                "optimizer accumulates gradients: no checkpoint restores it",
                _WHERE,
                "Leave out gradient_accumulation_steps, or save with "
                "keras.callbacks.BackupAndRestore and pass the hooks to "
                "SessionRunHookCallback.",
            )
        if getattr(optimizer, "use_ema", False):
            logger.warning(
                "The optimizer keeps moving averages (use_ema), and Keras puts "
                "them in the place of the weights before a fit ends: the last "
                "checkpoint of a fit has the averages, and a training that "
                "goes on from it differs from one that was not interrupted."
            )

    def _stock_hooks(self, scaffold: Any) -> list[Any]:
        """Makes the hooks that `MonitoredTrainingSession` made."""
        train = tf.compat.v1.train
        found = []
        if self._summary_dir and (self._log_step_count_steps or 0) > 0:
            found.append(
                train.StepCounterHook(
                    self._log_step_count_steps, output_dir=self._summary_dir
                )
            )
        if self._summary_dir and self._save_summaries:
            found.append(
                train.SummarySaverHook(
                    **self._save_summaries,
                    output_dir=self._summary_dir,
                    scaffold=scaffold,
                )
            )
        if self._checkpoint_dir and self._save_checkpoints:
            found.append(
                train.CheckpointSaverHook(
                    self._checkpoint_dir,
                    **self._save_checkpoints,
                    listeners=[_RateOfCheckpoints(self.model)],
                    scaffold=scaffold,
                    save_graph_def=self._save_graph_def,
                )
            )
        return found


class _RateOfCheckpoints(tf.compat.v1.train.CheckpointSaverListener):
    """Warns once of a learning rate that has changed, which is not saved.

    Args:
        model: The Keras model, whose learning rate is that of the beginning.
    """

    def __init__(self, model: Any) -> None:
        optimizer = getattr(model, "optimizer", None)
        self._variable = optimizer_compat.rate_variable_of(optimizer)
        self._first = self._rate()

    def after_save(self, session: Any, global_step_value: int) -> None:
        """Compares the rate with that of the beginning."""
        rate = self._rate()
        if rate == self._first:
            return
        logger.warning(
            "The learning rate has changed from %g to %g, and checkpoints do "
            "not hold it: a training that goes on from them begins with the "
            "rate of compile. Set it again then, as LearningRateScheduler "
            "does, or compile with a schedule of the step.",
            self._first,
            rate,
        )
        self._variable = self._first = None

    def _rate(self) -> float | None:
        if self._variable is None:
            return None
        with eager_mode():
            return float(compat.to_numpy(compat.components(self._variable)[0]))


def _refuse(others: Mapping[str, Any]) -> None:
    """Refuses the arguments of v1 that Keras decides, and unknown ones."""
    for name in others:
        if name not in _DECIDED_BY_KERAS:
            raise TypeError(
                f"{_WHERE} got an unexpected keyword argument {name!r}"
            )
        raise ArgumentError(
            f"{name!r} of MonitoredTrainingSession has no meaning under Keras",
            _WHERE,
            f"Leave it out: {_DECIDED_BY_KERAS[name]}",
        )


def _listed(hooks: Hooks | None) -> Any:
    """Returns hooks, where none may have been given, as v1 took them."""
    if hooks is None:
        return []
    if callable(hooks) or isinstance(hooks, list):
        return hooks
    return list(hooks) if isinstance(hooks, tuple) else [hooks]


def _folder(path: str | os.PathLike[str] | None, argument: str) -> str | None:
    folder = None if path is None else os.fspath(path)
    gfile = tf.io.gfile
    if folder and gfile.exists(folder) and not gfile.isdir(folder):
        raise ArgumentError(
            f"{folder!r} is a file",
            f"{argument} of {_WHERE}",
            "Give a folder; it is made if it is missing.",
        )
    return folder


def _timing(
    what: str,
    save_steps: Every,
    save_secs: Every,
    steps: int | None = None,
    secs: int | None = None,
) -> dict[str, Any]:
    """Returns when to save, as the stock hooks take it; empty for never.

    Args:
        what: String. What is saved, as in the names of the arguments.
        save_steps: The number of steps that the user gave.
        save_secs: The number of seconds that the user gave.
        steps: Integer or `None`. The default, if the user gave neither.
        secs: Integer or `None`. The default, if the user gave neither.

    Raises:
        ArgumentError: The user gave both, or one that is no number.
    """
    for name, value in (("steps", save_steps), ("secs", save_secs)):
        if not isinstance(value, numbers.Real | UseDefault | None):
            raise ArgumentError(
                f"{value!r} is not a number of {name}",
                f"save_{what}_{name} of {_WHERE}",
                "Give a number, or None.",
            )
    if save_steps is _USE_DEFAULT and save_secs is _USE_DEFAULT:
        return {"save_steps": steps, "save_secs": secs}
    found = {
        name: None if isinstance(value, UseDefault) else value
        for name, value in (
            ("save_steps", save_steps),
            ("save_secs", save_secs),
        )
    }
    if not any((value or 0) > 0 for value in found.values()):
        return {}
    if None not in found.values():
        raise ArgumentError(
            f"save_{what}_steps and save_{what}_secs are both given",
            _WHERE,
            "As in v1, one of them has to be None, or left out.",
        )
    return found
