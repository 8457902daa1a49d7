# SPDX-License-Identifier: Apache-2.0
"""Wrapping the methods of Keras objects, for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import TypeVar
from typing import cast

import tensorflow as tf

_Method = TypeVar("_Method", bound=Callable[..., Any])


def unconverted(method: _Method) -> _Method:
    """Keeps autograph of Keras 2 out of what is ours."""
    return cast(_Method, tf.autograph.experimental.do_not_convert(method))


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute of an instance, past the tracking of Keras."""
    own = vars(owner)
    before = {name: own[name]} if name in own else {}
    own[name] = value
    try:
        yield
    finally:
        own.pop(name, None)
        own.update(before)
