# SPDX-License-Identifier: Apache-2.0
"""Compares two trainings, bit for bit."""

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from tests.scenarios.drawn import Scenario
from tests.scenarios.training import Outcome


def same_training(one: Scenario, plain: Outcome, hooked: Outcome) -> list[str]:
    """Lists the values that are not, bit for bit, those without hooks."""
    found = []
    for what in ("returned", "state"):
        if bits(getattr(plain, what)) != bits(getattr(hooked, what)):
            found.append(what)
    # With hooks, an optimizer has its slots also where it never steps.
    if "fit" in one.plan or one.plan in ("seen validation", "resumed"):
        pairs = itertools.zip_longest(plain.slots, hooked.slots)
        found += [
            f"slot {(slot or other)[0]}"
            for slot, other in pairs
            if bits((slot or (0,))[1:]) != bits((other or (0,))[1:])
        ]
    if len(plain.rows) != len(hooked.rows):
        return [*found, f"{len(plain.rows)} batches, {len(hooked.rows)}"]
    for index, (row, other) in enumerate(
        zip(plain.rows, hooked.rows, strict=True)
    ):
        for what in ("phase", "step", "rate", "logs", "after"):
            if bits(getattr(row, what)) != bits(getattr(other, what)):
                found.append(f"{what} of batch {index}")
    return found


def bits(value: Any) -> Any:
    """Returns a structure with the bytes of arrays in place of the arrays."""
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf).tobytes(), value)
