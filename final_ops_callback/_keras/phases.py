# SPDX-License-Identifier: Apache-2.0
"""Checks the phases that a callback is made for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from final_ops_callback.errors import ArgumentError


def checked_phases(
    on: str | Iterable[str], known: Iterable[str]
) -> tuple[str, ...]:
    """Returns the phases of the argument `on`, after a check.

    Args:
        on: A phase or an iterable of phases.
        known: Iterable of the phases that exist.

    Returns:
        Tuple of one or more phases.

    Raises:
        ArgumentError: `on` has an unknown phase, or no phase.

    Example:
    >>> checked_phases("test", ["train", "test"])
    ('test',)
    """
    known = list(known)
    phases: tuple[Any, ...] = (on,)
    if isinstance(on, Iterable) and not isinstance(on, str):
        phases = tuple(on)
    wrong = [
        f"{phase!r} is not a phase" for phase in phases if phase not in known
    ]
    if wrong or not phases:
        raise ArgumentError(
            wrong[0] if wrong else "there is no phase",
            f"on={on!r}",
            f"Use one or more of {known}.",
        )
    return phases
