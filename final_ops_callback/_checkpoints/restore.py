# SPDX-License-Identifier: Apache-2.0
"""Restores a checkpoint of v1 into a live Keras model."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from typing import Any

from final_ops_callback._checkpoints.lost import step_without_slots
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.plan import Plan
from final_ops_callback._checkpoints.reader import open_checkpoint
from final_ops_callback._checkpoints.report import RestoreReport
from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._keras.optimizer_slots import AVERAGE
from final_ops_callback.errors import ArgumentError

logger = logging.getLogger("final_ops_callback")


def restore_v1(
    model: Any,
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, str | None] | None = None,
    slots: bool = True,
    moving_averages: bool | str = False,
    optimizer_name: str | None = None,
) -> RestoreReport:
    """Restores a checkpoint of TensorFlow 1 into a live Keras model.

    Weights, the slots of the optimizer and the step get the values with which
    v1 would have gone on. Slots are converted to what Keras keeps: its SGD
    keeps minus the learning rate times the momentum of v1, and is given that,
    with the rate that the optimizer has for the restored step. If something
    else will set the rate before that step, such as a `LearningRateScheduler`,
    the momentum has the wrong size, and nothing can tell: set that rate before
    the restore, or let a hook restore the checkpoint, which converts at the
    first step (`MonitoredTrainingCallback`, with the names that v1 gave the
    slots as `variable_names=`).

    All is checked and read before anything is written: after an error, weights,
    slots and step have the values they had. An optimizer that had no slots yet
    may have made them, with the values with which Keras begins.

    Weights are found by their names. What has no equal name is found by a
    name in another scope (`sequential/out/kernel` for `out/kernel`) or with
    another word (`out/weights`), by the order of numbers (`dense_4`, `dense_5`
    for `dense`, `dense_1`), or, if no name fits at all, by shape and order.
    The report tells what was decided so, and a warning is logged. What could
    be one thing or another is an error, and so is a weight that is not in the
    checkpoint. Slots have the names that v1's optimizer of the same kind gave
    them, or those that a `CheckpointSaverHook` under `SessionRunHookCallback`
    gives them.

    Args:
        model: A built Keras model of any flavor. If it is not compiled, only
            its weights are restored.
        path: String or path. What `Saver.save` returned, such as
            `folder/model.ckpt-100`, or a folder, whose latest checkpoint is
            taken.
        names: Mapping from the path of a Keras variable to its name in the
            checkpoint, or from a scope to a scope (`{"sequential/": ""}`).
            `None` as a name keeps what the model has (`{"head/": None}`).
            The keys `global_step`, `beta1_power` and `beta2_power` stand for
            these variables. Defaults to `None`: equal names.
        slots: Boolean. Whether to restore the slots of the optimizer, which
            then have to be in the checkpoint. Without them, the step is still
            restored, and Adam and others take new slots for those of so many
            steps: their first updates have another size, mostly too large. A
            note says so. To start with new slots,
            as v1 does, keep the step of the model, too:
            `names={"global_step": None}`. Defaults to `True`.
        moving_averages: Boolean or string. Whether weights get the moving
            averages that v1's `ExponentialMovingAverage` kept of them; a
            string is the name of that object. A trained weight without an
            average is an error; other weights without one get their own
            value, as in v1's `variables_to_restore`. Defaults to `False`.
        optimizer_name: String. The `name=` of v1's optimizer, if it was given
            one. Defaults to `None`: the default name of its kind.

    Returns:
        A `RestoreReport`: what was restored from where, what was not, on both
        sides. `print` shows it.

    Raises:
        CheckpointError: The checkpoint can't be read, or does not fit.
        ArgumentError: An argument is invalid, or the model is not built.

    Example:
    >>> import tempfile
    >>> import keras
    >>> from final_ops_callback import restore_v1, save_v1
    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(1, name="out")]
    ... )
    >>> model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_v1(model, f"{folder}/model.ckpt")
    ...     report = restore_v1(model, folder)
    >>> report.step, len(report.restored), report.kept, report.unused
    (0, 4, (), ())
    """
    report = restored(
        model,
        path,
        NameMap(names),
        slots,
        average_name(moving_averages),
        optimizer_name,
    )
    if not slots:
        optimizer = getattr(model, "optimizer", None)
        notes = step_without_slots(optimizer, report.step)
        report = dataclasses.replace(report, notes=(*report.notes, *notes))
    tell(report)
    return report


def restored(
    model: Any,
    path: str | os.PathLike[str],
    name_map: NameMap,
    slots: bool,
    average: str,
    optimizer_name: str | None = None,
) -> RestoreReport:
    """Restores a checkpoint, and says nothing.

    Args:
        model: As in `restore_v1`.
        path: As in `restore_v1`.
        name_map: The names that the user gave.
        slots: As in `restore_v1`.
        average: What `average_name` returned.
        optimizer_name: As in `restore_v1`. Defaults to `None`.

    Returns:
        The report, for `tell`.
    """
    # Under a default graph of v1, too, as in the methods of a hook.
    with eager_mode():
        state = ModelState(model, slots, optimizer_name)
        plan = Plan(state, open_checkpoint(path), name_map, average)
        report = plan.report()
        plan.write(plan.read())
    return report


def average_name(moving_averages: Any) -> str:
    """Returns the name of v1's object that kept the averages.

    Args:
        moving_averages: As in `restore_v1`.

    Returns:
        String; empty if no averages are to be restored.

    Raises:
        ArgumentError: It is neither a boolean nor a name.
    """
    if isinstance(moving_averages, bool | str):
        return AVERAGE if moving_averages is True else moving_averages or ""
    raise ArgumentError(
        f"{moving_averages!r} is neither a boolean nor a name",
        "moving_averages",
        "Use True, or the name of v1's ExponentialMovingAverage.",
    )


def tell(report: RestoreReport) -> None:
    """Logs what a restore has done, and warns of what it had to guess."""
    if report.guessed:
        guesses = ", ".join(
            f"{path!r} from {report.restored[path]!r} by {how}"
            for path, how in report.guessed.items()
        )
        logger.warning(
            "The checkpoint %s has other names than the model: %s. If that is "
            "wrong, map them with names=.",
            report.checkpoint,
            guesses,
        )
    for note in report.notes:
        logger.warning("%s (%s)", note, report.checkpoint)
    logger.info("%s", report)
