# SPDX-License-Identifier: Apache-2.0
"""Random operations whose state is in their kernels."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._random_ops import draws


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: tf.random.normal([]), True),
        (lambda: tf.random.shuffle([1, 2]), True),
        (lambda: tf.function(lambda: tf.random.uniform([]))(), True),
        (lambda: tf.random.stateless_normal([], [1, 2]), False),
        (lambda: tf.constant(1.0) + 2.0, False),
    ],
)
def test_they_are_found(make: Callable[[], Any], expected: bool) -> None:
    """Also in the functions that a graph calls."""
    with tf.Graph().as_default() as graph:
        make()

    assert draws(graph.as_graph_def()) is expected
