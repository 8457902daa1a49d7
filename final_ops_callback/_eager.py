# SPDX-License-Identifier: Apache-2.0
"""The mode in which operations run at once, also while a graph is default."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf

# Entering a mode that is entered already costs microseconds.
_EAGER_ALREADY = contextlib.nullcontext()


def eager_mode() -> Any:
    """Returns a context in which operations run at once.

    Unlike `tf.init_scope`, it leaves a plain graph that is the default one.
    """
    if tf.executing_eagerly():
        return _EAGER_ALREADY
    return tf.__internal__.eager_context.eager_mode()
