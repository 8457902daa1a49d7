# SPDX-License-Identifier: Apache-2.0
"""Hooks as they were made, before a run of them has begun."""

from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.as_made import AsMade

v1 = tf.compat.v1


class Hook(v1.train.SessionRunHook):
    """A hook that keeps something of a run."""

    def __init__(self, *inner: Any) -> None:
        self.inner = list(inner)
        self.count = 0

    def begin(self) -> None:
        self.tensor = tf.constant(1.0)
        self.count += 1


def test_a_copy_has_nothing_of_a_run() -> None:
    """It has the attributes from before, and the hook keeps its own."""
    hook, made = Hook(), AsMade()
    made.note([hook])
    hook.begin()
    (copied,) = made.copies([hook])

    assert copied is not hook
    assert vars(copied) == {"inner": [], "count": 0}
    assert hook.count == 1
    assert isinstance(copied, Hook)


def test_what_was_noted_first_counts() -> None:
    """A second run does not make the state of the first that of a copy."""
    hook, made = Hook(), AsMade()
    for _ in range(2):
        made.note(hook)
        hook.begin()

    assert made.copies(hook).count == 0


def test_a_hook_inside_of_another_is_copied_with_it() -> None:
    """In a list, a dict or a tuple; one that stands twice is one."""
    inner = Hook()
    outer, made = Hook(inner), AsMade()
    outer.more = {"a": (inner,)}  # type: ignore[attr-defined]
    made.note({"hooks": [outer]})
    copied = made.copies({"hooks": [outer]})["hooks"][0]

    assert copied.inner[0] is not inner
    assert copied.inner[0] is copied.more["a"][0]


def test_what_was_never_noted_stays_the_same() -> None:
    """A function that makes hooks, and a hook that has not begun."""
    hook, made = Hook(), AsMade()

    assert made.copies(hook) is hook
    assert made.copies(Hook) is Hook
