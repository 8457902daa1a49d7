# SPDX-License-Identifier: Apache-2.0
"""What a step delivers by name, as the graph and its errors see it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Offers:
    """The step tensors that a step delivers when it is asked.

    Attributes:
        spec: Function from a name to the `tf.TensorSpec` of the value, or
            `None` if nothing of this name is delivered.
        known: Function that returns the names that are known before a step.
            A step may deliver more: what it logs.
    """

    spec: Callable[[str], tf.TensorSpec | None] = lambda name: None
    known: Callable[[], Collection[str]] = tuple


StepTensors = (
    Mapping[str, tf.TensorSpec] | Callable[[str], tf.TensorSpec | None] | Offers
)


def offers_of(step_tensors: StepTensors | None) -> Offers:
    """Returns the offers, however they were given."""
    if step_tensors is None:
        return Offers()
    if isinstance(step_tensors, Offers):
        return step_tensors
    if isinstance(step_tensors, Mapping):
        return Offers(step_tensors.get, step_tensors.keys)
    return Offers(step_tensors)


def nearest(name: str, known: Iterable[str], others: Iterable[str] = ()) -> str:
    """Says which names there are, the nearest spellings first.

    Args:
        name: String. A name that there is not.
        known: Iterable of the names to list.
        others: Iterable of names that may be meant, too many to list.
            Defaults to `()`.

    Example:
    >>> nearest("hiden", ["loss", "hidden"])
    "Did you mean 'hidden'? There is ['hidden', 'loss']."
    """
    known = sorted(set(known))
    meant = did_you_mean(name, known) or did_you_mean(name, others)
    return f"{meant}There is {known}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Asks for the nearest spellings; empty if there is none.

    Args:
        name: String. A name that there is not.
        known: Iterable of the names that there are.
    """
    close = dict.fromkeys(difflib.get_close_matches(name, list(known)))
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
