# SPDX-License-Identifier: Apache-2.0
"""Wraps methods of Keras objects temporarily."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any
from typing import TypeVar
from typing import cast

import tensorflow as tf

_Method = TypeVar("_Method", bound=Callable[..., Any])

# An object, the name of its method, and a function that wraps the method.
Place = tuple[Any, str, Callable[[Any], Any]]

_MISSING = object()


def unconverted(method: _Method) -> _Method:
    """Keeps autograph, which Keras 2 uses, from converting our functions."""
    return cast(_Method, tf.autograph.experimental.do_not_convert(method))


class Wrappers:
    """A set of method wrappers that are put on repeatedly, at little cost.

    Args:
        places: Iterable of triples: an object, the name of its method, and a
            function from the method to the wrapper that replaces it.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = list(places)
        self._made: list[tuple[Any, Any]] = [(self, None)] * len(self._places)

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls something while the wrappers are on their methods.

        Args:
            call: The function.
            *args: Its arguments.
        """
        before = self.put_on()
        try:
            return call(*args)
        finally:
            take_off(before)

    def put_on(self) -> list[tuple[Any, str, Any]]:
        """Sets the wrappers, bypassing the attribute tracking of Keras.

        Returns:
            The argument with which `take_off` restores the methods.
        """
        before: list[tuple[Any, str, Any]] = []
        try:
            for index, (owner, name, wrap) in enumerate(self._places):
                own: Any = vars(owner)
                instead = own.get(name, _MISSING)
                wrapped, wrapper = self._made[index]
                # A wrapper is reused until the method it wraps is replaced.
                if wrapped is not instead:
                    wrapper = wrap(getattr(owner, name))
                    self._made[index] = instead, wrapper
                before.append((own, name, instead))
                own[name] = wrapper
        except BaseException:
            take_off(before)
            raise
        return before


def take_off(before: list[tuple[Any, str, Any]]) -> None:
    """Restores all wrapped methods, in reverse order."""
    for own, name, instead in reversed(before):
        if instead is _MISSING:
            own.pop(name, None)
        else:
            own[name] = instead
