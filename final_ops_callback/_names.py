# SPDX-License-Identifier: Apache-2.0
"""What a step delivers by name, as the graph and its errors see it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import ArgumentError

GLOBAL_STEP = "global_step"
LEARNING_RATE = "learning_rate"
LOSS = "loss"


@dataclasses.dataclass(frozen=True)
class StepSpecs:
    """The step tensors that a step delivers when it is asked.

    Attributes:
        spec: Function from a name to the `tf.TensorSpec` of the value, or
            `None` if nothing of this name is delivered.
        known: Function that returns the names that are known before a step.
            A step may deliver more: what it logs.
    """

    spec: Callable[[str], tf.TensorSpec | None] = lambda name: None
    known: Callable[[], Collection[str]] = tuple


def step_specs_of(step_tensors: Mapping[str, tf.TensorSpec]) -> StepSpecs:
    """Returns the specs of the step tensors that somebody declares.

    Args:
        step_tensors: As in `checked_specs`.
    """
    declared = checked_specs(step_tensors)
    return StepSpecs(declared.get, declared.keys)


def checked_specs(step_tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    """Checks the step tensors that somebody declares.

    Args:
        step_tensors: Mapping from a name to a `tf.TensorSpec`. `"loss:0"` is
            the same name as `"loss"`.

    Returns:
        Dict from a name, without `:0`, to its spec.

    Raises:
        ArgumentError: It is no such mapping.

    Example:
    >>> import tensorflow as tf
    >>> checked_specs({"loss:0": tf.TensorSpec([], tf.float32)})
    {'loss': TensorSpec(shape=(), dtype=tf.float32, name=None)}
    """
    if not isinstance(step_tensors, Mapping):
        raise ArgumentError(
            f"a {type(step_tensors).__name__} is no mapping of step tensors",
            f"step_tensors={step_tensors!r}",
            'Use a dict: step_tensors={"labels": '
            'tf.TensorSpec([None, 1], "float32")}.',
        )
    checked: dict[str, tf.TensorSpec] = {}
    for key, spec in step_tensors.items():
        where = f"step_tensors[{key!r}]"
        name = key.removesuffix(":0") if isinstance(key, str) else ""
        if not name or ":" in name:
            raise ArgumentError(
                f"{key!r} is no name of a step tensor",
                where,
                "Use the name that a hook looks for: 'labels' or 'labels:0'.",
            )
        if not isinstance(spec, tf.TensorSpec):
            raise ArgumentError(
                f"{spec!r} does not say what {name!r} is",
                where,
                f'Write step_tensors={{"{name}": '
                'tf.TensorSpec([None, 1], "float32")}, with its own shape and '
                "dtype.",
            )
        checked[name] = spec
    return checked


def unique(names: Iterable[str]) -> list[str]:
    """Returns names in which each differs from the ones before it.

    Args:
        names: Iterable of strings. A graph tells names apart without regard
            to case, and so does this.

    Example:
    >>> unique(["a", "a", "A"])
    ['a', 'a_1', 'A_2']
    """
    taken: set[str] = set()
    found = []
    for name in names:
        candidate, count = name, 0
        while candidate.lower() in taken:
            count += 1
            candidate = f"{name}_{count}"
        taken.add(candidate.lower())
        found.append(candidate)
    return found


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
