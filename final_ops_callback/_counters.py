# SPDX-License-Identifier: Apache-2.0
"""The variables by which stock hooks count, beside the global step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Neither the stride of the training hooks nor the hooks that evaluate counts
# for have public names (tests/test_private_api.py notices a change).
from tensorflow.python.training import evaluation
from tensorflow.python.training.basic_session_run_hooks import (
    get_or_create_steps_per_run_variable,
)

from final_ops_callback._calls import hooks_within

# How TensorFlow's own hooks are told, and copies of them.
_TELL = "_set_evals_completed_tensor"


def steps_per_run_variable() -> Any:
    """Returns the variable that says how many updates one run makes."""
    return get_or_create_steps_per_run_variable()


def count_evaluations(hooks: list[Any], stride: int) -> None:
    """Counts the runs of an evaluation, as v1's evaluate did.

    Hooks that stop after a number of evaluations are told which tensor to
    fetch: fetching it counts. Other packages have copies of TensorFlow's own,
    so a hook is one if it can be told; it may be inside of another hook.

    Args:
        hooks: List of hooks.
        stride: Integer. How many evaluations one run makes.
    """
    setters = [getattr(hook, _TELL, None) for hook in hooks_within(hooks)]
    told = [tell for tell in setters if callable(tell)]
    if not told:
        return
    step = evaluation._get_or_create_eval_step()
    count = tf.compat.v1.assign_add(step, stride, use_locking=True)
    for tell in told:
        tell(evaluation._get_latest_eval_step_value([count]))
