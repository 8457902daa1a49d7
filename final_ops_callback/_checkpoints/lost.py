# SPDX-License-Identifier: Apache-2.0
"""Tells what of a checkpoint's state of the optimizer a restore can't keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.model_state import Slot
from final_ops_callback._checkpoints.reader import Checkpoint
from final_ops_callback._keras import optimizer_slots
from final_ops_callback.errors import CheckpointError


def dropped_momentum(
    state: ModelState,
    checkpoint: Checkpoint,
    slots: Sequence[tuple[Slot, str]],
) -> list[str]:
    """Looks for momentum that the optimizer of a model does not keep.

    v1's RMSProp had a slot for it even at `momentum=0`, where it held the last
    update. That was never larger than the learning rate divided by the root of
    1 - rho. So values above this prove a momentum, and values below don't
    tell.

    Args:
        state: The state of the model.
        checkpoint: The open checkpoint.
        slots: Sequence of pairs of a slot and its name in the checkpoint.

    Returns:
        List of sentences for the report: empty if all is zero.

    Raises:
        CheckpointError: v1 had a momentum.
    """
    sizes = {
        name: float(np.max(np.abs(checkpoint.read(name)), initial=0.0))
        for slot, name in slots
        if slot.variable is None
    }
    largest = max(sizes, key=sizes.__getitem__, default="")
    if not largest or not sizes[largest]:
        return []
    most = optimizer_slots.largest_update(state.optimizer)
    if most is not None and sizes[largest] > 1.01 * most:
        raise CheckpointError(
            f"{largest!r} is a momentum, up to {sizes[largest]:.3g}, and the "
            "RMSprop of the model has none",
            f"path={checkpoint.prefix}",
            "Compile with the momentum= of v1's optimizer. If that was 0, "
            "restore with its learning rate and decay (rho=), and change "
            f"them then: with those of the model, no update is over {most:.3g}"
            ".",
        )
    return [
        f"{largest} is not zero, and the RMSprop of the model has no momentum. "
        "That is right if v1's momentum= was 0: then it is the last update; "
        "if not, compile with momentum=."
    ]


def step_without_slots(optimizer: Any, step: int | None) -> list[str]:
    """Tells of moments that do not belong to the restored step.

    Args:
        optimizer: The optimizer of a model, whose slots were not restored; or
            `None`.
        step: Integer. The step that was restored; `None` if none was.

    Returns:
        List of sentences for the report.
    """
    if not step or not optimizer_slots.depends_on_step(optimizer):
        return []
    name = type(optimizer).__name__
    return [
        f"The step {step} is restored, and the slots are not: {name} takes "
        f"them for those of {step} steps, so that updates have another size "
        "(new slots of Adam: up to three times too large). To start with new "
        'slots, keep the step of the model, too: names={"global_step": None}.'
    ]
