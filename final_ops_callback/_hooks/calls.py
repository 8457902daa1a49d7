# SPDX-License-Identifier: Apache-2.0
"""Recognizes v1 hooks, and explains the errors of their methods."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks import foreign
from final_ops_callback._hooks import restore
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback.errors import FinalOpsCallbackError
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import NotAHookError

Hooks = Any  # a hook, a list of hooks, or a function that returns them

METHODS = ("begin", "after_create_session", "before_run", "after_run", "end")


def checked_hooks(hooks: Hooks) -> Callable[[], Any]:
    """Checks that hooks are hooks, unless a function will make them.

    Args:
        hooks: A hook, a list of hooks, or a function that returns them.

    Returns:
        A function that returns the hooks.

    Raises:
        NotAHookError: One of the objects is not a hook.
    """
    if callable(hooks) and not is_hook(hooks):
        return hooks
    listed = list(hooks) if isinstance(hooks, list | tuple) else [hooks]
    for index, hook in enumerate(listed):
        if not is_hook(hook):
            raise NotAHookError(
                f"{hook!r} is not a SessionRunHook",
                f"hooks[{index}]",
                "A hook is an object with the methods "
                f"{', '.join(METHODS)}: derive it from "
                "tf.compat.v1.train.SessionRunHook.",
            )
    return lambda: listed


def hook_objects(hooks: Hooks) -> list[Any]:
    """Returns the hooks that were given as objects, not as a function."""
    if callable(hooks) and not is_hook(hooks):
        return []
    return list(hooks) if isinstance(hooks, list | tuple) else [hooks]


def is_hook(value: Any) -> bool:
    """Returns whether an object has the methods of a v1 hook."""
    return not isinstance(value, type) and all(
        callable(getattr(value, method, None)) for method in METHODS
    )


def hooks_within(value: Any) -> Iterator[Any]:
    """Yields hooks, and the hooks in their attributes.

    Args:
        value: As `hooks` of `HookRunner`. A function is not called, so its
            hooks are not found.
    """
    # The value is kept, too, so that no other object can get its id.
    stack, seen = [value], dict[int, Any]()
    while stack:
        one = stack.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, list | tuple):
            stack += reversed(one)
        elif isinstance(one, Mapping):
            stack += reversed(list(one.values()))
        elif is_hook(one):
            yield one
            stack += getattr(one, "__dict__", {}).values()


def overriding(hooks: list[Any], method: str) -> list[tuple[int, Any]]:
    """Lists the hooks that override a method, with their indices.

    Args:
        hooks: List of hooks.
        method: String. One of `METHODS`.
    """
    base = getattr(tf.compat.v1.train.SessionRunHook, method)
    return [
        (index, hook)
        for index, hook in enumerate(hooks)
        if getattr(getattr(hook, method), "__func__", None) is not base
    ]


def only_end(hooks: list[Any]) -> bool:
    """Returns whether hooks override no other method than `end`."""
    return not any(
        overriding(hooks, method) for method in METHODS if method != "end"
    )


def name_of(hook: Any) -> str:
    """Returns the name of a hook's class, for messages."""
    return type(hook).__name__


def call(hook: Any, method: str, graph: HookGraph, *args: Any) -> None:
    """Calls a method of a hook; an exception tells which hook it was.

    Args:
        hook: The hook.
        method: String. One of `METHODS`.
        graph: The hook graph.
        *args: The arguments of the method.
    """
    try:
        getattr(hook, method)(*args)
    except BaseException as error:
        annotate_hook_error(error, hook, method, graph)
        raise


def annotate_hook_error(
    error: BaseException, hook: Any, moment: str, graph: HookGraph
) -> None:
    """Adds a note to an exception: which hook raised it, and in which method.

    Where TensorFlow's message does not fit hooks, a better error is raised.

    Args:
        error: The exception.
        hook: The hook that was called.
        moment: String. One of `METHODS`.
        graph: The hook graph.

    Raises:
        HookUsageError: The hook has built with an eager tensor.
    """
    where = f"{moment} of {name_of(hook)}"
    if isinstance(error, FinalOpsCallbackError):
        error.add_where(where)
        return
    message = str(error)
    if "Attempting to capture an EagerTensor" in message:
        raise HookUsageError(message, where, _TAKE_THE_TWIN) from error
    foreign.explain(error, where, hook, graph)
    restore.explain(error, where)
    error.add_note(f"raised by {where}")


_TAKE_THE_TWIN = (
    "An eager tensor or variable can't be part of the hook graph. "
    "Take the twin of the variable from the graph: "
    "tf.compat.v1.global_variables() has it under its name."
)
