# SPDX-License-Identifier: Apache-2.0
"""A tensor on the host is what a v1 session returned for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._to_host import to_host
from tests import original


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.constant(1.5),
        lambda: tf.constant([1, 2], tf.int8),
        lambda: tf.constant("text"),
        lambda: tf.cast([1.0], tf.bfloat16),
        lambda: tf.Variable([1.0]),
        lambda: tf.sparse.from_dense([0.0, 1.0]),
        lambda: tf.ragged.constant([[1], [2, 3]]),
        lambda: tf.ragged.constant([[[1]], [[2], []]]),
        lambda: tf.IndexedSlices(
            tf.constant([1.0]), tf.constant([0]), tf.constant([2])
        ),
    ],
    ids=[
        "scalar",
        "int8",
        "string",
        "bfloat16",
        "variable",
        "sparse",
        "ragged",
        "deeper",
        "slices",
    ],
)
def test_a_value_is_that_of_the_original(make: Callable[[], Any]) -> None:
    """Type, dtype, shape and value."""
    assert original.is_same(original.session_run(make), to_host(make()))


def test_another_value_would_be_noticed() -> None:
    """The comparison can fail: by the type, the dtype and the value."""
    expected = original.session_run(lambda: tf.constant(1.5))

    for other in (1.5, np.float64(1.5), np.float32(2.5)):
        assert not original.is_same(expected, other)


def test_an_array_is_copied_with_its_type() -> None:
    """What somebody writes to it later is not in the copy."""
    array = np.ma.masked_array([1, 2], [True, False])
    found = to_host(array)
    array[1] = 5

    assert type(found) is type(array)
    assert found[1] == 2


@pytest.mark.parametrize("value", [None, "text", 3, [1], object()])
def test_anything_else_stays_the_same(value: Any) -> None:
    """It is the very object."""
    assert to_host(value) is value
