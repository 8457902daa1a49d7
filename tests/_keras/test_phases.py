# SPDX-License-Identifier: Apache-2.0
"""The argument `on`: which phases a callback is for."""

from collections.abc import Iterable

import pytest

from final_ops_callback._keras.phases import checked_phases
from final_ops_callback.errors import ArgumentError

KNOWN = ("train", "test", "predict")


@pytest.mark.parametrize(
    ("on", "phases"),
    [
        ("test", ("test",)),
        (["train", "test"], ("train", "test")),
        (iter(["predict"]), ("predict",)),
    ],
)
def test_phases_are_one_or_several(
    on: str | Iterable[str], phases: tuple[str, ...]
) -> None:
    """A phase is given alone, or in any iterable, in any order."""
    assert checked_phases(on, KNOWN) == phases


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("tests", "'tests' is not a phase"),
        (["train", 1], "1 is not a phase"),
        ([], "there is no phase"),
        ("", "'' is not a phase"),
        (None, "None is not a phase"),
    ],
)
def test_another_phase_is_refused(on: Iterable[str], message: str) -> None:
    """The error names what is wrong, and the phases that there are."""
    with pytest.raises(ArgumentError, match=message) as caught:
        checked_phases(on, KNOWN)

    assert str(list(KNOWN)) in str(caught.value)
