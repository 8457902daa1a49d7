# SPDX-License-Identifier: Apache-2.0
"""Predicts, when hooks begin, which step tensors they may ask for later."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from types import CodeType
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.calls import overriding
from final_ops_callback._tf_private import LOG_AT_END

_STOCK = tf.compat.v1.train
# These look up in `begin` what they fetch, and fetch nothing else in `end`.
_QUIET_AT_THE_END = (
    _STOCK.CheckpointSaverHook,
    _STOCK.SummarySaverHook,
    _STOCK.StepCounterHook,
    _STOCK.ProfilerHook,
)


def may_ask_late(hooks: list[Any]) -> bool:
    """Returns whether hooks may fetch new step tensors after the first step.

    The stock hooks don't: they look up their tensors when they begin, or fetch
    them in the first step.

    Args:
        hooks: List of hooks.
    """
    return any(
        not type(hook).__module__.startswith("tensorflow.")
        for _, hook in overriding(hooks, "before_run")
    )


def may_ask_after_a_step(hooks: list[Any]) -> bool:
    """Returns whether hooks may run fetches in `after_run` or in `end`.

    Args:
        hooks: List of hooks.
    """
    return any(_may_ask(hook) for _, hook in overriding(hooks, "end")) or any(
        _mentions_a_session(hook) for _, hook in overriding(hooks, "after_run")
    )


def _mentions_a_session(hook: Any) -> bool:
    """Returns whether the code of a hook may run a session.

    Stock hooks don't run one for the value of a step.
    """
    stack = list(_code(hook, of_tensorflow=False))
    while stack:
        code = stack.pop()
        if not {"run", "session"}.isdisjoint(code.co_names):
            return True
        stack += [c for c in code.co_consts if isinstance(c, CodeType)]
    return False


def _may_ask(hook: Any) -> bool:
    if type(hook) is _STOCK.LoggingTensorHook:
        # The attribute is not public; if it is gone, the hook may ask.
        return bool(getattr(hook, LOG_AT_END, True))
    return type(hook) not in _QUIET_AT_THE_END


def names_written(hooks: Iterable[Any], known: Collection[str]) -> list[str]:
    """Returns the names of tensors that appear in hooks, or in their code.

    A hook that fetches by name in `end` (`FinalOpsHook({"loss": "loss:0"})`),
    or only in some steps, does not announce it. A name that it never fetches
    does no harm.

    Args:
        hooks: Iterable of hooks.
        known: Collection of the names of the tensors that a step delivers.
    """
    found: dict[str, None] = {}
    for hook in hooks:
        # An attribute of a hook may be a name without ":0".
        held = _texts(list(getattr(hook, "__dict__", {}).values()))
        found |= dict.fromkeys(text.removesuffix(":0") for text in held)
        for text in _texts(list(_code(hook))):
            if text.endswith(":0"):
                found[text.removesuffix(":0")] = None
    return [name for name in found if name in known]


def _code(hook: Any, of_tensorflow: bool = True) -> Iterator[CodeType]:
    """Yields the code objects of the methods of a hook and its bases."""
    for kind in type(hook).__mro__:
        if kind.__module__.startswith("tensorflow.") and not of_tensorflow:
            continue
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
