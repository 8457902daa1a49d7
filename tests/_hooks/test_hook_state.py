# SPDX-License-Identifier: Apache-2.0
"""The attributes of hooks that serve in two runs."""

from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.hook_state import HookAttributes

v1 = tf.compat.v1


class Hook(v1.train.SessionRunHook):
    """A hook of the user's."""

    def __init__(self) -> None:
        self.best: Any = None
        self.count = 0


def test_attributes_are_put_back() -> None:
    """All as they were, and no others."""
    hook = Hook()
    state = HookAttributes([hook])
    hook.count = 5
    hook.tensor = "new"  # type: ignore[attr-defined]
    state.put_back()

    assert vars(hook) == {"best": None, "count": 0}


def test_a_timer_inside_is_put_back_too() -> None:
    """Stock hooks keep the moment of a run in it, in lists as well."""
    hook, timer = Hook(), v1.train.SecondOrStepTimer(every_steps=1)
    hook.best = {"timers": [timer]}
    state = HookAttributes([hook])
    timer.update_last_triggered_step(7)
    assert timer.last_triggered_step() == 7
    state.put_back()

    assert timer.last_triggered_step() is None


def test_a_result_of_the_inner_run_stays() -> None:
    """What the outer run has changed is its own again."""
    hook = Hook()
    began = HookAttributes([hook])
    hook.count = 3  # the outer run counts
    aside = HookAttributes([hook])
    began.put_back()
    hook.count, hook.best = 1, 0.5  # the inner run
    aside.return_to(began)
    assert (hook.count, hook.best) == (3, 0.5)
    began.put_back()

    assert hook.best == 0.5


def test_what_is_of_a_graph_does_not_stay() -> None:
    """A tensor of the inner graph is nothing to the outer run."""
    hook = Hook()
    began = HookAttributes([hook])
    aside = HookAttributes([hook])
    with tf.Graph().as_default():
        hook.best = [tf.constant(1.0)]
    aside.return_to(began)
    assert hook.best is None
    hook.best = None
    aside = HookAttributes([hook])
    hook.best = [tf.constant(1.0)]
    aside.return_to(began)

    assert hook.best is not None


def test_a_stock_hook_is_the_outer_run_s() -> None:
    """But for what FinalOpsHook has found."""
    stock, final = (
        v1.train.StopAtStepHook(num_steps=1),
        v1.train.FinalOpsHook(1),
    )
    hooks = [stock, final]
    began, aside = HookAttributes(hooks), HookAttributes(hooks)
    stock._last_step = 9
    final._final_ops_values = 4
    aside.return_to(began)

    assert stock._last_step is None
    assert final.final_ops_values == 4


def test_what_has_no_attributes_is_left_alone() -> None:
    """A hook with slots is none of ours to set."""

    class Slots:
        __slots__ = ("a",)

    slots = Slots()
    slots.a = 1
    HookAttributes([slots]).put_back()

    assert slots.a == 1
