# SPDX-License-Identifier: Apache-2.0
"""Feeds are checked and converted as a v1 session did."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._session.feeds import fed_arrays
from final_ops_callback._session.model_links import ModelLinks

v1 = tf.compat.v1


def feed(key: Any, value: Any, graph: tf.Graph) -> dict[str, Any]:
    """Returns what is fed, by the names of the tensors."""
    found = fed_arrays(graph, ModelLinks(), {key: value})
    return {tensor.name: array for tensor, array in found.items()}


def placeholder(
    dtype: Any = tf.float32, shape: Any = None
) -> tuple[tf.Tensor, tf.Graph]:
    """Returns a placeholder in a graph of its own."""
    with tf.Graph().as_default() as graph:
        return v1.placeholder(dtype, shape, name="x"), graph


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (tf.float32, 1),
        (tf.int64, [1, 2]),
        (tf.float64, np.ones((2, 1), "float32")),
        (tf.string, "text"),
        (tf.bool, True),
    ],
)
def test_a_value_is_the_array_that_the_original_fed(
    dtype: Any, value: Any
) -> None:
    """A v1 session gives a fed tensor the same value and dtype."""
    tensor, graph = placeholder(dtype)
    array = feed(tensor, value, graph)["x:0"]
    with graph.as_default(), v1.Session() as session:
        expected = session.run(tf.identity(tensor), {tensor: value})

    if dtype == tf.string:
        assert array.item() == value
    else:
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == np.asarray(expected).dtype


def test_a_name_is_a_key() -> None:
    """A tensor is fed by its name, too."""
    _, graph = placeholder()

    assert feed("x:0", 2.0, graph)["x:0"] == 2.0


def test_a_sparse_tensor_is_fed_in_parts() -> None:
    """Its value is divided as in v1."""
    with tf.Graph().as_default() as graph:
        sparse = v1.sparse_placeholder(tf.float32, name="s")
    value = v1.SparseTensorValue([[0]], [1.0], [2])
    found = feed(sparse, value, graph)

    assert [array.tolist() for array in found.values()] == [[[0]], [1.0], [2]]


def test_a_tuple_of_tensors_is_fed_by_a_tuple() -> None:
    """Its structure is that of the values."""
    with tf.Graph().as_default() as graph:
        pair = v1.placeholder(tf.int32, []), v1.placeholder(tf.int32, [])
    found = feed(pair, (1, 2), graph)

    assert [int(array) for array in found.values()] == [1, 2]


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("x:0", np.ones(3), ValueError),
        ("y:0", 1.0, TypeError),
        (3, 1.0, TypeError),
        ("x:0", "text", ValueError),
    ],
)
def test_what_the_original_refuses_is_refused(
    key: Any, value: Any, error: type[Exception]
) -> None:
    """The type of the error, and the beginning of what it says, are v1's."""
    tensor, graph = placeholder(shape=[2])
    with graph.as_default(), v1.Session() as session:
        fetch = tf.identity(tensor)
        with pytest.raises(error) as expected:
            session.run(fetch, {key: value})
    with pytest.raises(error) as found:
        feed(key, value, graph)

    assert str(found.value)[:20] == str(expected.value)[:20]


@pytest.mark.parametrize(
    ("make", "value", "error", "message"),
    [
        (placeholder, tf.constant(1.0), TypeError, "cannot be a tf.Tensor"),
        (
            lambda: placeholder(tf.uint8),
            300,
            (TypeError, OverflowError),
            r"compatible|out of bounds",
        ),
    ],
)
def test_other_values_are_refused(
    make: Callable[[], Any], value: Any, error: Any, message: str
) -> None:
    """A tensor is no value, and a number has to fit its dtype."""
    tensor, graph = make()
    with pytest.raises(error, match=message):
        feed(tensor, value, graph)


def test_what_may_not_be_fed_is_refused() -> None:
    """A graph may forbid it."""
    tensor, graph = placeholder()
    graph.prevent_feeding(tensor)
    with pytest.raises(ValueError, match="may not be fed"):
        feed(tensor, 1.0, graph)
