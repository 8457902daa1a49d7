# SPDX-License-Identifier: Apache-2.0
"""Loads a checkpoint of either kind into a model that will be evaluated."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.report import RestoreReport
from final_ops_callback._checkpoints.restore import average_name
from final_ops_callback._checkpoints.restore import restored
from final_ops_callback._checkpoints.restore import tell
from final_ops_callback._keras import weights_files
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import DamagedCheckpointError

logger = logging.getLogger("final_ops_callback")


class Names:
    """How the weights of checkpoints of v1 are found.

    Args:
        names: As in `restore_v1`.
        moving_averages: As in `restore_v1`.

    Attributes:
        name_map: The names.
        average: The name of v1's object that kept the averages.
    """

    def __init__(
        self,
        names: Mapping[str, str | None] | None = None,
        moving_averages: bool | str = False,
    ) -> None:
        self.name_map = NameMap(names)
        self.average = average_name(moving_averages)
        self._guessed: list[dict[str, str]] = []

    def tell(self, report: RestoreReport) -> None:
        """Tells what was guessed, once for all checkpoints alike."""
        guessed = {path: report.restored[path] for path in report.guessed}
        if guessed not in self._guessed:
            self._guessed.append(guessed)
            tell(report)


def load(model: Any, found: Found, names: Names) -> int:
    """Loads the weights and the step of a checkpoint.

    Args:
        model: A compiled Keras model.
        found: The checkpoint.
        names: How those of v1 are restored.

    Returns:
        The step: that of the checkpoint, else the last number in its name,
        else 0.

    Raises:
        DamagedCheckpointError: It is damaged, not whole, or gone, and the
            weights are as they were; or it has changed while it was read, and
            they may be of both: the next one replaces them.
        CheckpointError: It is that of another model.
    """
    step = _load_v1(model, found, names) if found.is_v1 else _load(model, found)
    # v1 may delete it after it was read.
    if found.now() not in (found.identity, ()):
        raise DamagedCheckpointError(
            f"{found.path!r} has changed while it was read",
            f"path={found.path}",
            "It is read again when it is whole.",
        )
    if step is None:
        step = found.step_of_name()
    if step is None:
        logger.warning(
            "Neither %r nor its name tells a step: it is taken for step 0.",
            found.path,
        )
        step = 0
    # Hooks see it as their global step.
    state = ModelState(model, False, None)
    state.check_step(step, f"path={found.path}")
    state.write_step(step)
    return step


def _load_v1(model: Any, found: Found, names: Names) -> int | None:
    report = restored(model, found.path, names.name_map, False, names.average)
    names.tell(report)
    return report.step


def _load(model: Any, found: Found) -> int | None:
    where = f"path={found.path}"
    try:
        return weights_files.load(model, found.path)
    except weights_files.DAMAGED as error:
        raise DamagedCheckpointError(
            f"{found.path!r} can't be read: it is damaged, or not whole yet "
            f"({error})",
            where,
            "Write it under another name, and rename it then.",
        ) from error
    except ValueError as error:
        if found.now() != found.identity:
            raise DamagedCheckpointError(
                f"{found.path!r} is being written", where, "Wait for it."
            ) from error
        raise CheckpointError(
            f"{found.path!r} does not fit the model: "
            + str(error).partition("\n")[0],
            where,
            "Is it the file of another model?",
        ) from error
