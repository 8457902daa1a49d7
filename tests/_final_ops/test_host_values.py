# SPDX-License-Identifier: Apache-2.0
"""A tensor on the host is what a v1 session returned for it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._final_ops import host_values
from tests import original
from tests.flavors import keras

TENSORS: dict[str, Any] = {
    "scalar": lambda: tf.constant(1.5),
    "vector": lambda: tf.constant([1, 2], tf.int16),
    "empty": lambda: tf.zeros((2, 0), tf.float64),
    "nan": lambda: tf.constant([np.nan, -0.0, np.inf]),
    "bool": lambda: tf.constant(True),
    "complex": lambda: tf.constant([1 + 2j]),
    "bfloat16": lambda: tf.constant([1, 2], tf.bfloat16),
    "bfloat16 scalar": lambda: tf.constant(1, tf.bfloat16),
    "float8": lambda: tf.cast([1.0, 2.0], tf.dtypes.experimental.float8_e5m2),
    "quantized": lambda: tf.bitcast(tf.constant([1], tf.uint8), tf.quint8),
    "string": lambda: tf.constant("é"),
    "strings": lambda: tf.constant([["a", ""], ["b\0", "c"]]),
    "variable": lambda: tf.Variable([1.0, 2.0]),
    "scalar variable": lambda: tf.Variable(3, dtype=tf.int64),
    "string variable": lambda: tf.Variable(["a", "b"]),
    "sparse": lambda: tf.SparseTensor([[0, 1]], [2.0], [3, 4]),
    "empty sparse": lambda: tf.sparse.from_dense(tf.zeros((2, 2), tf.int32)),
    "sparse strings": lambda: tf.SparseTensor([[1]], ["a"], [2]),
    "ragged": lambda: tf.ragged.constant([[1, 2], [], [3]]),
    "ragged twice": lambda: tf.ragged.constant([[[1], [2, 3]], []]),
    "ragged strings": lambda: tf.ragged.constant([["a"], []]),
    "slices": lambda: tf.IndexedSlices(
        tf.constant([[1.0]]), tf.constant([2]), tf.constant([3, 1])
    ),
    "slices without a shape": lambda: tf.IndexedSlices(
        tf.constant([[1.0]]), tf.constant([2])
    ),
}


@pytest.mark.parametrize("make", TENSORS.values(), ids=TENSORS)
def test_a_tensor_is_worth_what_a_session_returns(make: Any) -> None:
    """Each kind of tensor becomes what `Session.run` returns for it."""
    expected = original.session_run(make)

    actual = host_values.to_host(make())

    assert original.is_same(expected, actual), (expected, actual)


def test_a_keras_variable_is_worth_its_tensorflow_variable() -> None:
    """A Keras variable becomes what its `tf.Variable` becomes."""
    metric = keras.metrics.Mean()
    metric.update_state([1.0, 2.0])

    for variable in metric.variables:
        inner = getattr(variable, "value", None)
        inner = inner if isinstance(inner, tf.Variable) else variable

        assert original.is_same(
            host_values.to_host(inner), host_values.to_host(variable)
        )


@pytest.mark.parametrize("value", [None, 1, "a", [tf.constant(1)], object()])
def test_anything_else_stays_itself(value: Any) -> None:
    """A value that is not a tensor comes back as the same object."""
    assert host_values.to_host(value) is value


@pytest.mark.parametrize("make", [tf.constant, np.array, np.ma.array])
def test_the_value_is_a_copy(make: Any) -> None:
    """Writing into the value leaves the tensor or array as it was."""
    source = make([1.0, 2.0])
    before = np.array(source)

    value = host_values.to_host(source)
    value[0] = 5

    np.testing.assert_array_equal(source, before)
    assert isinstance(value, np.ma.MaskedArray) is (make is np.ma.array)


@pytest.mark.parametrize("name", ["bfloat16", "bfloat16 scalar", "float8"])
def test_a_type_without_a_name_in_numpy_is_widened(name: str) -> None:
    """bfloat16 and float8 widen to float32, value by value."""
    tensor = TENSORS[name]()

    widened = host_values.widened(tensor.numpy())

    assert original.is_same(tf.cast(tensor, tf.float32).numpy(), widened)


@pytest.mark.parametrize("name", ["vector", "nan", "strings", "complex"])
def test_a_type_of_numpy_is_not_widened(name: str) -> None:
    """An array of a type that NumPy names is left alone."""
    array = TENSORS[name]().numpy()

    assert host_values.widened(array) is array


def test_a_structured_array_is_not_widened() -> None:
    """A record array is not widened, unlike a number type without a name."""
    array = np.zeros(2, [("a", "i4")])

    assert host_values.widened(array) is array
