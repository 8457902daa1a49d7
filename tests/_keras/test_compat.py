# SPDX-License-Identifier: Apache-2.0
"""What differs between the flavors of Keras."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import compat
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import keras
from tests.flavors import needs_both

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


@flavors
def test_objects_are_known_in_each_flavor(flavor: Any) -> None:
    """Metrics, their classes, layers and variables are told apart."""
    metric, layer = flavor.metrics.Mean(), flavor.layers.Dense(1)
    layer.build((None, 1))

    assert compat.is_metric(metric)
    assert not compat.is_metric(flavor.metrics.Mean)
    assert compat.is_metric_class(flavor.metrics.Mean)
    assert not compat.is_metric_class(metric)
    assert not compat.is_metric_class(flavor.layers.Dense)
    assert compat.is_layer(layer)
    assert compat.is_layer(models.tiny_model(flavor))
    assert not compat.is_layer(flavor.optimizers.SGD())
    assert compat.is_variable(layer.kernel)
    assert not compat.is_variable(tf.constant(1.0))


@flavors
def test_the_flavor_of_an_object_is_found(flavor: Any) -> None:
    """Also of a subclass, and of what is compiled with it."""

    class Own(flavor.layers.Layer):
        """A layer of the user's."""

    for value in (Own(), models.tiny_model(flavor), flavor.Input((1,))):
        assert compat.flavor_of(value) is flavor
    assert flavor in compat.flavors()


@needs_both
def test_two_flavors_are_told_apart() -> None:
    """Only Keras 3 is not Keras 2, and looks its functions up anew."""
    found = {
        name: compat.is_keras_2(models.tiny_model(flavor))
        for name, flavor in FLAVORS.items()
    }

    assert found == {"keras": False, "tf_keras": True}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.constant(1.0),
        lambda: tf.Variable(1.0),
        lambda: tf.sparse.from_dense([1.0]),
        lambda: tf.ragged.constant([[1.0]]),
        lambda: tf.IndexedSlices(tf.constant([1.0]), tf.constant([0])),
    ],
    ids=["tensor", "variable", "sparse", "ragged", "slices"],
)
def test_what_is_of_a_graph_is_told_apart(make: Any) -> None:
    """The same value is of a graph if it is made in one."""
    with tf.Graph().as_default():
        in_graph = make()

    assert compat.is_graph_element(in_graph)
    assert not compat.is_graph_element(make())
    assert not compat.is_graph_element(1.0)


def test_a_reference_variable_is_of_a_graph() -> None:
    """Those of v1 have no handle, and are of a graph nevertheless."""
    with tf.Graph().as_default():
        variable = tf.compat.v1.get_variable("v", [], use_resource=False)
        operation = tf.no_op()

    assert compat.is_graph_element(variable)
    assert compat.is_graph_element(operation)


@flavors
def test_a_method_of_the_user_is_none_of_keras(flavor: Any) -> None:
    """A subclass, and an attribute of the instance, replace it."""

    class Own(flavor.Model):
        def test_step(self, data: Any) -> Any:
            return {}

    model = models.tiny_model(flavor)
    own = Own(model.inputs, model.outputs)
    assert compat.is_stock(model, "test_step")
    assert compat.is_stock(own, "train_step")
    assert not compat.is_stock(own, "test_step")
    vars(model)["test_step"] = own.test_step

    assert not compat.is_stock(model, "test_step")


@flavors
def test_a_variable_has_one_component_on_one_device(flavor: Any) -> None:
    """It is what holds the value: assigning to it assigns the variable."""
    kernel = models.tiny_model(flavor).trainable_variables[0]
    (part,) = compat.components(kernel)
    part.assign(np.ones((3, 1)))

    assert isinstance(part, tf.Variable)
    assert compat.backing(kernel) is part
    np.testing.assert_array_equal(compat.to_numpy(kernel), np.ones((3, 1)))


@pytest.mark.parametrize(
    "value", [1.5, [1, 2], b"text", True, [[0.0], [1.0]]], ids=str
)
@pytest.mark.parametrize("kind", [tf.constant, tf.Variable])
def test_a_value_is_that_of_a_session(value: Any, kind: Any) -> None:
    """The type, dtype and shape are those that v1 returned."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        expected = session.run(tf.constant(value))
    found = compat.to_numpy(kind(value))

    assert type(found) is type(expected)
    np.testing.assert_array_equal(found, expected)
    assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)


def test_a_value_is_a_copy() -> None:
    """What is read does not change with the variable."""
    variable = models.tiny_model().trainable_variables[0]
    before = compat.to_numpy(variable)
    kept = before.copy()
    variable.assign(np.zeros((3, 1)))

    np.testing.assert_array_equal(before, kept)


def test_logs_are_flat() -> None:
    """A log may be a dict of logs; what is no dict logs nothing."""
    outputs = {"loss": 1, "metrics": {"mae": 2, "more": {"a": 3}}}

    assert compat.logs_of(outputs) == {"loss": 1, "mae": 2, "a": 3}
    assert compat.logs_of([1.0]) == {}


@flavors
def test_numbers_have_the_dtype_of_their_flavor(flavor: Any) -> None:
    """Each flavor keeps one of its own."""
    model, before = models.tiny_model(flavor), flavor.backend.floatx()
    flavor.backend.set_floatx("float64")
    try:
        assert compat.floatx_of(model) == "float64"
    finally:
        flavor.backend.set_floatx(before)
    assert compat.floatx_of(model) == before


@flavors
def test_the_scope_is_that_of_the_strategy(flavor: Any) -> None:
    """Without a strategy there is none, and one is not entered twice."""
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    with strategy.scope():
        model = models.tiny_model(flavor)
    with compat.strategy_scope(model):
        inside = tf.distribute.get_strategy()
        with compat.strategy_scope(model):
            assert tf.distribute.get_strategy() is inside
    with compat.strategy_scope(object()):
        assert tf.distribute.get_strategy() is not strategy

    of_model = getattr(model, "distribute_strategy", None)
    assert inside is of_model or of_model is None
    assert compat.is_chief(model)


def test_tensors_and_backends_are_known() -> None:
    """On TensorFlow, a tensor of the backend is one of TensorFlow."""
    assert compat.backend_of(models.tiny_model()) == "tensorflow"
    assert compat.is_backend_tensor(tf.constant(1.0))
    assert not compat.is_backend_tensor(np.ones(1))


@flavors
def test_sublayers_are_one_level_deep(flavor: Any) -> None:
    """Those of a model inside of a model are its own."""
    inner = flavor.Sequential([flavor.Input((1,)), flavor.layers.Dense(1)])
    x = flavor.Input((1,))
    model = flavor.Model(x, inner(x))
    *_, last = compat.sublayers(model)

    assert last is inner
    assert [type(one).__name__ for one in compat.sublayers(inner)] == ["Dense"]
    assert compat.sublayers(keras.layers.Dense(1)) == []
