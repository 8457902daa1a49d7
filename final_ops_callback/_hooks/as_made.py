# SPDX-License-Identifier: Apache-2.0
"""Hooks as they were made, before a run of them has begun.

A hook keeps what it has built: the tensors of a graph, a writer with its
thread. No copy can have these, and none needs them: `begin` builds anew.
"""

from __future__ import annotations

from typing import Any

from final_ops_callback._hooks.calls import hooks_within


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
        for hook in hooks_within(hooks):
            if id(hook) not in self._states and hasattr(hook, "__dict__"):
                self._states[id(hook)] = hook, dict(vars(hook))

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
        if type(value) is list:
            return [self._copy_of(item, made) for item in value]
        if type(value) is dict:
            return {k: self._copy_of(item, made) for k, item in value.items()}
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
