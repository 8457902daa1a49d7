# SPDX-License-Identifier: Apache-2.0
"""What a restore has done."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

# The most names of one list that `str` shows.
_LONGEST = 20


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """Tells what `restore_v1` restored, and what it left, on both sides.

    Attributes:
        checkpoint: String. The path of the checkpoint.
        step: Integer. The step that the optimizer goes on from; `None` if
            there was none to restore.
        restored: Dict from the path of each weight and slot of the model to
            the name in the checkpoint.
        guessed: Dict from the path of each weight whose name did not match to
            what decided instead: `"a similar name"`, `"the order of the
            numbers"` or `"shape and order"`.
        kept: Tuple of strings. The weights and slots of the model that have
            the value they had before.
        unused: Tuple of strings. The names in the checkpoint that nothing was
            restored from.
        notes: Tuple of strings. Sentences about what else may matter.

    Example:
    >>> report = RestoreReport(
    ...     "model.ckpt-7", 7, {"out/kernel": "W"}, {}, ("out/bias",), ("b",)
    ... )
    >>> print(report)
    restored 1 variable and step 7 from model.ckpt-7
      out/kernel <- W
    kept as in the model: out/bias
    unused in the checkpoint: b
    """

    checkpoint: str
    step: int | None
    restored: Mapping[str, str]
    guessed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    kept: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        count = len(self.restored)
        variables = "variable" if count == 1 else "variables"
        step = "no step" if self.step is None else f"step {self.step}"
        lines = [
            f"restored {count} {variables} and {step} from {self.checkpoint}"
        ]
        for path, name in self.restored.items():
            how = self.guessed.get(path)
            lines.append(
                f"  {path} <- {name}" + (f" (by {how})" if how else "")
            )
        if self.kept:
            lines.append(f"kept as in the model: {_listed(self.kept)}")
        if self.unused:
            lines.append(f"unused in the checkpoint: {_listed(self.unused)}")
        return "\n".join([*lines, *self.notes])


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _LONGEST
    shown = ", ".join(names[:_LONGEST])
    return shown if more <= 0 else f"{shown} and {more} more"
