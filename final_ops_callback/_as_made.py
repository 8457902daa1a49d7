# SPDX-License-Identifier: Apache-2.0
"""Hooks as they were made, before a run of them has begun.

A hook keeps what it has built: the tensors of a graph, a writer with its
thread. No copy can have these, and none needs them: `begin` builds anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from final_ops_callback._calls import is_hook


class AsMade:
    """The attributes that hooks had before they have begun first."""

    def __init__(self) -> None:
        # With the hook, so that no other one can get its id.
        self._states: dict[int, tuple[Any, dict[str, Any]]] = {}

    def note(self, hooks: Any) -> None:
        """Notes the attributes of hooks that have not begun yet.

        Args:
            hooks: As in `HookRunner`.
        """
        for hook in _hooks_in(hooks):
            if id(hook) not in self._states and hasattr(hook, "__dict__"):
                state = dict(vars(hook))
                self._states[id(hook)] = hook, state
                # A hook may have others inside of it.
                self.note(list(state.values()))

    def copies(self, hooks: Any) -> Any:
        """Returns hooks with the attributes that they were made with.

        Args:
            hooks: As in `HookRunner`.

        Returns:
            The same structure, with a new hook in the place of each that has
            begun.
        """
        return self._copy_of(hooks, {})

    def _copy_of(self, value: Any, made: dict[int, Any]) -> Any:
        if id(value) in made:
            return made[id(value)]
        if isinstance(value, list):
            return [self._copy_of(item, made) for item in value]
        if type(value) is tuple:
            return tuple(self._copy_of(item, made) for item in value)
        if id(value) not in self._states:
            return value
        hook, state = self._states[id(value)]
        made[id(value)] = duplicate = object.__new__(type(hook))
        vars(duplicate).update(
            {name: self._copy_of(one, made) for name, one in state.items()}
        )
        return duplicate


def _hooks_in(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _hooks_in(item)
    elif is_hook(value):
        yield value
