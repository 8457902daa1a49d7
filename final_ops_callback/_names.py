# SPDX-License-Identifier: Apache-2.0
"""Names and specs of the values that a training step delivers."""

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
    """The specs of the step tensors that a training step can deliver.

    Attributes:
        spec: Function from a name to the `tf.TensorSpec` of the value, or to
            `None` if the step does not deliver a value of this name.
        known: Function that returns the names that are known before a step.
            A step may deliver more, because its logs are not known before.
    """

    spec: Callable[[str], tf.TensorSpec | None] = lambda name: None
    known: Callable[[], Collection[str]] = tuple


def step_specs_of(step_tensors: Mapping[str, tf.TensorSpec]) -> StepSpecs:
    """Returns the specs of step tensors that a user has declared.

    Args:
        step_tensors: As in `checked_specs`.
    """
    declared = checked_specs(step_tensors)
    return StepSpecs(declared.get, declared.keys)


def checked_specs(step_tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    """Checks the step tensors that a user has declared.

    Args:
        step_tensors: Mapping from a name to a `tf.TensorSpec`. `"loss:0"` is
            the same name as `"loss"`.

    Returns:
        Dict from a name, without `:0`, to its spec.

    Raises:
        ArgumentError: `step_tensors` is not such a mapping.

    Example:
    >>> import tensorflow as tf
    >>> checked_specs({"loss:0": tf.TensorSpec([], tf.float32)})
    {'loss': TensorSpec(shape=(), dtype=tf.float32, name=None)}
    """
    if not isinstance(step_tensors, Mapping):
        raise ArgumentError(
            f"a {type(step_tensors).__name__} is not a mapping of step tensors",
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
                f"{key!r} is not the name of a step tensor",
                where,
                "Use the name that a hook looks for: 'labels' or 'labels:0'.",
            )
        if not isinstance(spec, tf.TensorSpec):
            raise ArgumentError(
                f"{spec!r} is not the tf.TensorSpec of {name!r}",
                where,
                f'Write step_tensors={{"{name}": '
                'tf.TensorSpec([None, 1], "float32")}, with its own shape and '
                "dtype.",
            )
        if checked.get(name, spec) != spec:
            raise ArgumentError(
                f"{name!r} is declared twice, and differently",
                where,
                f"Keep one of {checked[name]} and {spec}.",
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
    """Returns a sentence that lists the known names, after similar ones.

    Args:
        name: String. A name that does not exist.
        known: Iterable of the names to list.
        others: Iterable of more names that may be meant, which are too many to
            list. Defaults to `()`.

    Example:
    >>> nearest("hiden", ["loss", "hidden"])
    "Did you mean 'hidden'? There is ['hidden', 'loss']."
    """
    known = sorted(set(known))
    meant = did_you_mean(name, known) or did_you_mean(name, others)
    return f"{meant}There is {known}."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a question with similar names, or `""` if there are none.

    Args:
        name: String. A name that does not exist.
        known: Iterable of the names that exist.
    """
    close = dict.fromkeys(difflib.get_close_matches(name, list(known)))
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""
