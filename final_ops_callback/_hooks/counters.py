# SPDX-License-Identifier: Apache-2.0
"""Provides the variables that stock hooks count by, beside the global step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._hooks.calls import hooks_within


def steps_per_run_variable() -> Any:
    """Returns the variable that holds how many updates one run makes."""
    return _tf_private.get_or_create_steps_per_run_variable()


def count_evaluations(hooks: list[Any], stride: int) -> None:
    """Counts the runs of an evaluation, as v1's evaluate did.

    Hooks that stop after a number of evaluations are given the tensor to
    fetch: fetching it increases the count. Other packages have copies of
    TensorFlow's hook, so a hook is recognized by the method that takes the
    tensor; it may be inside another hook.

    Args:
        hooks: List of hooks.
        stride: Integer. How many evaluations one run makes.
    """
    name = _tf_private.EVALUATION_SETTER
    setters = [getattr(hook, name, None) for hook in hooks_within(hooks)]
    told = [tell for tell in setters if callable(tell)]
    if not told:
        return
    step = _tf_private.get_or_create_eval_step()
    count = tf.compat.v1.assign_add(step, stride, use_locking=True)
    for tell in told:
        tell(_tf_private.latest_eval_step([count]))
