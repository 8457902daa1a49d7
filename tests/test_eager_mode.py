# SPDX-License-Identifier: Apache-2.0
"""The eager runtime, from inside of a graph."""

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._eager_mode import value_now


def test_operations_run_at_once_inside_of_a_graph() -> None:
    """Also where `tf.init_scope` would stay in it."""
    with tf.Graph().as_default() as graph:
        with tf.init_scope():
            stays = not tf.executing_eagerly()
        with eager_mode():
            value = tf.constant(2.0) + 1.0
            assert float(value) == 3.0
        assert tf.compat.v1.get_default_graph() is graph
        assert not tf.executing_eagerly()

    assert graph.get_operations() == []
    assert stays


def test_eager_mode_is_entered_in_itself() -> None:
    """It costs nothing, and changes nothing."""
    with eager_mode(), eager_mode():
        assert tf.executing_eagerly()
    assert tf.executing_eagerly()


@pytest.mark.parametrize("value", [1.5, [[1, 2]], [True], ["text"]])
def test_a_value_is_that_of_the_variable(value: object) -> None:
    """It is what `read_value` gives, and stays when that changes."""
    variable = tf.Variable(value)
    found = value_now(variable)
    expected = variable.read_value().numpy()
    variable.assign(tf.zeros_like(variable))

    assert found.dtype == variable.dtype
    np.testing.assert_array_equal(found.numpy(), expected)
