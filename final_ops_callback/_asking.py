# SPDX-License-Identifier: Apache-2.0
"""What hooks may ask for later, as far as it can be known when they begin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Iterator
from types import CodeType
from typing import Any

import tensorflow as tf

from final_ops_callback._calls import overriding

_STOCK = tf.compat.v1.train
# They look up what they ask for in `begin`, and ask nothing else in `end`.
_QUIET_AT_THE_END = (
    _STOCK.CheckpointSaverHook,
    _STOCK.SummarySaverHook,
    _STOCK.StepCounterHook,
    _STOCK.ProfilerHook,
)
_TENSOR_NAME = re.compile(r"(?P<name>[\w./>-]+):0")


def may_ask_late(hooks: list[Any]) -> bool:
    """Returns whether hooks may ask a step for what no earlier one gave.

    The stock hooks look their tensors up when they begin, or fetch them in
    the first step.

    Args:
        hooks: List of hooks.
    """
    return any(
        not type(hook).__module__.startswith("tensorflow.")
        for _, hook in overriding(hooks, "before_run")
    )


def may_ask_at_the_end(hooks: list[Any]) -> bool:
    """Returns whether hooks may run fetches when all steps are over.

    Args:
        hooks: List of hooks.
    """
    return any(_may_ask(hook) for _, hook in overriding(hooks, "end"))


def _may_ask(hook: Any) -> bool:
    if type(hook) is _STOCK.LoggingTensorHook:
        # Nothing public says so; if it is gone, the hook may ask.
        return bool(getattr(hook, "_log_at_end", True))
    return type(hook) not in _QUIET_AT_THE_END


def names_written(hooks: Iterable[Any]) -> list[str]:
    """Returns the names of tensors that stand in hooks, or in their code.

    A hook that fetches by name in `end` (`FinalOpsHook({"loss": "loss:0"})`),
    or in some steps only, tells nobody before. A name that it never fetches
    does no harm.

    Args:
        hooks: Iterable of hooks.
    """
    found: dict[str, None] = {}
    for hook in hooks:
        values = [*getattr(hook, "__dict__", {}).values(), *_code(hook)]
        for text in _texts(values):
            match = _TENSOR_NAME.fullmatch(text)
            if match:
                found[match["name"]] = None
    return list(found)


def _code(hook: Any) -> Iterator[Any]:
    """Yields the code of the methods that a hook or its bases have."""
    for kind in type(hook).__mro__:
        for value in vars(kind).values():
            if isinstance(code := getattr(value, "__code__", None), CodeType):
                yield code


def _texts(values: list[Any]) -> Iterator[str]:
    seen: set[int] = set()
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, CodeType):
            values += value.co_consts
        elif isinstance(value, list | tuple | dict) and id(value) not in seen:
            seen.add(id(value))
            values += list(value.values() if isinstance(value, dict) else value)
