# SPDX-License-Identifier: Apache-2.0
"""Copies hooks in the state in which they were made.

A hook keeps what it built in a run: tensors of a graph, a writer with its
thread. These can't be copied, and a copy does not need them: `begin` builds
them again.
"""

from __future__ import annotations

from typing import Any

from final_ops_callback._hooks.calls import hooks_within


class AsMade:
    """The attributes that hooks had before their first run began."""

    def __init__(self) -> None:
        # The hook is kept, too, so that no other object can get its id.
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
        """Returns copies of hooks with the attributes they were made with.

        Args:
            hooks: As in `HookRunner`.

        Returns:
            The same structure, with a new hook in place of each hook that has
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
