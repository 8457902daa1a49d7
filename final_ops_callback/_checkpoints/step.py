# SPDX-License-Identifier: Apache-2.0
"""Finds the step at which v1 saved a checkpoint."""

from __future__ import annotations

import math
from typing import Any
from typing import NamedTuple

import numpy as np

from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import Checkpoint
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback._names import did_you_mean
from final_ops_callback.errors import CheckpointError

_KEEP = 'To keep that of the model: names={"global_step": None}.'
# Below this, a 32-bit power of Adam does not tell the step any more.
_SMALLEST = 1e-30


class Step(NamedTuple):
    """The step of a checkpoint.

    Attributes:
        step: Integer; `None` if there is none to restore.
        name: String. Its name in the checkpoint; empty if it has none.
        notes: Tuple of strings. What to tell the user.
    """

    step: int | None = None
    name: str = ""
    notes: tuple[str, ...] = ()


def find_step(
    state: ModelState, checkpoint: Checkpoint, names: NameMap
) -> Step:
    """Returns the step from which the optimizer of a model goes on.

    Without a variable of that name, Adam's powers tell it.

    Args:
        state: The state of the model.
        checkpoint: The open checkpoint.
        names: What the user says about names.

    Raises:
        CheckpointError: The variable holds no step, or one that the optimizer
            can't count; or it is not there, although `names` names it.
    """
    name = names.name(GLOBAL_STEP)
    if state.optimizer is None or name is None:
        return Step()
    where = f"path={checkpoint.prefix}"
    if name in checkpoint.specs:
        step = checked_step(name, checkpoint.read(name), where)
        notes = _differences(state, checkpoint, names, step)
        found = Step(step, name, tuple(notes))
    elif names.covers(GLOBAL_STEP):
        raise CheckpointError(
            f"the checkpoint has no {name!r}, which names= gives to the step",
            where,
            did_you_mean(name, checkpoint.specs) + _KEEP,
        )
    else:
        found = _of_powers(state, checkpoint, names)
    if found.step is not None:
        state.check_step(found.step, where)
    return found


def checked_step(name: str, value: Any, where: str) -> int:
    """Returns the value of a variable as a step.

    Args:
        name: String. The name of the variable.
        value: Its value.
        where: String. The checkpoint, for the error.

    Raises:
        CheckpointError: The value is not one whole number.
    """
    value = np.asarray(value)
    is_number = value.dtype.kind in "iuf" and value.size == 1
    if is_number and np.isfinite(value).all() and value.item() % 1 == 0:
        return int(value.item())
    raise CheckpointError(
        f"{name!r} is {value} in the checkpoint, which is no step",
        where,
        'Name the step, names={"global_step": "its name"}. ' + _KEEP,
    )


def _of_powers(
    state: ModelState, checkpoint: Checkpoint, names: NameMap
) -> Step:
    for name, _, counted in _powers(state, checkpoint, names):
        step = round(counted)
        if abs(counted - step) < 0.1:
            return Step(
                step,
                notes=(
                    f"The checkpoint has no global_step: {step} is the step of "
                    f"{name}.",
                ),
            )
    return Step()


def _differences(
    state: ModelState, checkpoint: Checkpoint, names: NameMap, step: int
) -> list[str]:
    """Tells of Adam's powers that belong to another step.

    v1 multiplied them in each step; Keras computes them from its step.
    """
    for name, beta, counted in _powers(state, checkpoint, names):
        # The products of 32-bit floats drift.
        drift = 1e-6 * step / -math.log(beta)
        if abs(counted - step) > 0.5 + drift:
            return [
                f"With beta={beta}, {name} is that of step {counted:.6g}, but "
                f"the global step is {step}. Keras corrects its moments by the "
                "global step: check the beta, and whether v1 counted other "
                "steps, too."
            ]
        return []
    return []


def _powers(
    state: ModelState, checkpoint: Checkpoint, names: NameMap
) -> list[tuple[str, float, float]]:
    """Returns each power that tells its step: name, beta and step."""
    found = []
    for key, beta in state.betas.items():
        name = names.name(key) or ""
        if name not in checkpoint.specs or not 0 < beta < 1:
            continue
        power = np.asarray(checkpoint.read(name))
        if power.size == 1 and _SMALLEST < power.item() < 1:
            steps = math.log(power.item()) / math.log(beta) - 1
            found.append((name, beta, steps))
    return found
