# SPDX-License-Identifier: Apache-2.0
"""The private parts of TensorFlow and Keras work in the way they are used.

Those of TensorFlow stand in `_tf_private`, those of Keras in `_keras`. An
upgrade that changes one of them fails here first, and says which.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback import _profile
from final_ops_callback import _tf_private
from final_ops_callback._hooks import counters
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._names import StepSpecs
from final_ops_callback._session import function_def
from final_ops_callback._session.hook_graph import HookGraph
from tests import models
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_keras_3

v1 = tf.compat.v1


def test_the_mapper_of_fetches() -> None:
    """The mapper tells tensors and operations, and rebuilds a structure."""
    with tf.Graph().as_default() as graph:
        tensor, operation = tf.constant(1.0), tf.no_op()
        handler = _tf_private.FetchMapper(graph, {"a": [tensor, operation]}, {})

    assert handler.fetches() == [tensor]
    assert handler.targets() == [operation]
    assert handler.build_results(None, [2.0]) == {"a": [2.0, None]}


def test_a_session_is_a_session_interface() -> None:
    """Saver asks for the type, and v1's own session has it."""
    assert issubclass(v1.Session, _tf_private.SessionInterface)


def test_the_table_of_feeds() -> None:
    """The table turns the feed of a sparse tensor into feeds of its parts."""
    with tf.Graph().as_default():
        sparse = v1.sparse_placeholder(tf.float32)
        value = v1.SparseTensorValue([[0]], [1.0], [2])
        feed = next(
            feed
            for kind, _, feed, _ in _tf_private.FEED_EXPANSIONS
            if isinstance(sparse, kind)
        )
        pairs = list(feed(sparse, value))

    assert [part for _, part in pairs] == [[[0]], [1.0], [2]]


def test_the_read_of_the_global_step() -> None:
    """The stock hooks fetch the one tensor that is in this collection."""
    with tf.Graph().as_default() as graph:
        v1.train.get_or_create_global_step()
        hook = v1.train.StopAtStepHook(last_step=1)
        hook.begin()
        read = graph.get_collection(_tf_private.GLOBAL_STEP_READ_KEY)
        fetched = hook.before_run(None).fetches

    assert read == [fetched]


def test_the_variables_that_hooks_count_by() -> None:
    """The stride is found by the stock hooks; evaluate tells its hooks."""
    with tf.Graph().as_default() as graph:
        variable = counters.steps_per_run_variable()
        hook = evaluation._StopAfterNEvalsHook(1)
        counters.count_evaluations([hook], 1)

    assert graph.get_collection("hooks_steps_per_run") == [variable]
    assert hook.before_run(None).fetches["evals_completed"].graph is graph


def test_a_finalized_graph_can_be_opened() -> None:
    """A step tensor is made when it is looked for, also after finalize."""
    graph = HookGraph((), StepSpecs({"mae": tf.TensorSpec([])}.get))
    graph.finalize()
    tensor = graph.get_tensor_by_name("mae:0")

    assert tensor.op.name == "step_tensors/mae"
    assert graph.finalized


def test_the_value_of_indexed_slices() -> None:
    """The type is the one that a v1 session gives."""
    with tf.Graph().as_default(), v1.Session() as session:
        slices = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]))
        value = session.run(slices)

    assert type(value) is _tf_private.IndexedSlicesValue


def test_the_definition_of_a_function() -> None:
    """The eager runtime takes one, calls it by its name, and lets it go."""
    with tf.Graph().as_default() as graph:
        total = tf.add(v1.placeholder(tf.float32, [], "x"), 1.0)
        definition = graph.as_graph_def()
        del definition.node[0]
        function = function_def.Function(
            graph, definition, {"x:0": tf.float32}, [total], [], [0]
        )
    name, known = function._name, _tf_private.eager_context()
    found = function([tf.constant(2.0)])
    before = known.has_function(name)
    del function

    assert [value.numpy() for value in found] == [3.0, 0]
    assert (before, known.has_function(name)) == (True, False)


def test_where_an_operation_was_built() -> None:
    """A text that names a node is told with the lines that built it."""
    with tf.Graph().as_default() as graph:
        tf.constant(1.0, name="built_here")
        text = _tf_private.interpolate_graph("at {{node built_here}}", graph)

    assert "in test_where_an_operation_was_built" in text


def test_what_the_profiler_writes() -> None:
    """The trace of a matrix product has its kernel."""
    metadata = v1.RunMetadata()
    matrix = tf.ones([8, 8])
    product = tf.function(tf.matmul, jit_compile=False)
    product(matrix, matrix)
    with _profile.traced_into(metadata):
        product(matrix, matrix).numpy()
    names = [
        node.timeline_label
        for device in metadata.step_stats.dev_stats
        for node in device.node_stats
    ]

    assert any("MatMul" in name for name in names)


@needs_keras_3
def test_metrics_can_be_built_without_a_step() -> None:
    """After building, an epoch without a step has results."""
    model = models.tiny_model()
    spec: Any = (tf.TensorSpec([None, 3]), tf.TensorSpec([None, 1]))
    with pytest.raises(ValueError, match="not yet been built"):
        model.get_metrics_result()
    model_info.build_metrics(model, spec)

    assert set(model.get_metrics_result()) == {"loss", "mae"}


def test_layers_are_found_to_see_whether_a_model_is_built() -> None:
    """A model is built when its layers are."""
    model = keras.Sequential([keras.layers.Dense(1)])
    before = model_info.is_built(model)
    model(np.zeros((1, 2)))

    assert not before
    assert model_info.is_built(model)


def test_the_sublayers_of_a_layer() -> None:
    """A layer that is not a model lists its own layers, not their layers."""
    layer = keras.layers.Bidirectional(keras.layers.LSTM(2, name="lstm"))
    layer.build((None, 3, 4))
    listed = layer._flatten_layers(recursive=False, include_self=False)

    assert [part.name for part in listed] == ["forward_lstm", "backward_lstm"]


@needs_keras_3
def test_an_optimizer_knows_its_variables() -> None:
    """`apply` without variables means those that it was built with."""
    variable = keras.Variable([1.0, 2.0])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build([variable])
    optimizer.apply([tf.constant([1.0, 1.0])])

    assert optimizer._trainable_variables == [variable]
    np.testing.assert_array_equal(variable.numpy(), [0.0, 1.0])


def test_the_schedule_of_keras_2_is_found() -> None:
    """Keras 2 hands out the rate of the step before, not the schedule."""
    schedule = KERAS_2.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer = KERAS_2.optimizers.SGD(schedule)
    optimizer.iterations.assign(1)

    assert optimizer_compat.schedule_of(optimizer) is schedule
    assert float(optimizer.learning_rate) == 0.5  # 0.25 will be used
    assert optimizer_compat.schedule_of(KERAS_2.optimizers.SGD(0.5)) is None


def test_the_call_of_an_instance_is_called() -> None:
    """Keras calls a layer by the attribute of the instance."""
    layer = keras.layers.Dense(1, name="out")
    model = keras.Sequential([keras.Input((2,)), layer])
    called = []
    own_call = layer.call
    vars(layer)["call"] = lambda inputs: called.append(1) or own_call(inputs)
    model(np.zeros((1, 2)))

    assert called == [1]


def test_the_slots_of_a_legacy_optimizer_can_be_made() -> None:
    """The legacy optimizers of Keras 2 make their slots when asked."""
    optimizer = KERAS_2.optimizers.legacy.SGD(0.1, momentum=0.9)
    weight = tf.Variable(1.0, name="weight")
    assert not optimizer_compat.is_built(optimizer)
    optimizer_compat.build(optimizer, [weight])

    assert optimizer_compat.is_built(optimizer)
    (momentum,) = optimizer_compat.momentums_of(optimizer)
    assert momentum.name == "weight/momentum:0"


@pytest.mark.parametrize("flavor", [keras, KERAS_2])
def test_the_momentum_of_sgd_is_found(flavor: Any) -> None:
    """SGD tells the slots of its momentum, and no other optimizer does."""
    weight = flavor.layers.Dense(1)
    weight.build((None, 2))
    optimizer = flavor.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(weight.trainable_variables)
    adam = flavor.optimizers.Adam(0.1)
    adam.build(weight.trainable_variables)

    assert len(optimizer_compat.momentums_of(optimizer)) == 2
    assert optimizer_compat.momentums_of(adam) == []


def test_what_a_model_was_compiled_with() -> None:
    """The arguments of `compile` are found before metrics are made of them."""
    model = models.tiny_model()
    metric = keras.metrics.MeanSquaredError()
    model.compile("sgd", "mse", metrics=["mae", metric], weighted_metrics=["a"])

    assert compat.compiled_metrics_of(model) == ["mae", metric, "a"]


def test_a_layer_of_keras_2_that_draws_is_known_by_its_base() -> None:
    """Dropout and the cells with dropout have a base class of this name."""
    layers = KERAS_2.layers
    for layer in (layers.Dropout(0.5), layers.LSTMCell(1)):
        assert "BaseRandomLayer" in {k.__name__ for k in type(layer).__mro__}


def test_the_timers_of_hooks_have_a_base() -> None:
    """The timers of the stock hooks, which hold moments, have one base."""
    base = _tf_private.HookTimer

    assert base is not object
    assert isinstance(v1.train.StepCounterHook(1)._timer, base)


def test_a_logging_hook_says_whether_it_logs_at_the_end() -> None:
    """LoggingTensorHook keeps whether `end` fetches."""
    for at_end in (True, False):
        hook = v1.train.LoggingTensorHook(["a"], 1, at_end=at_end)

        assert getattr(hook, _tf_private.LOG_AT_END) is at_end


@pytest.mark.parametrize("flavor", [keras, KERAS_2])
def test_a_step_function_tells_whether_it_was_traced(flavor: Any) -> None:
    """The function of a model leads to its traces, before and after a fit."""
    model = models.tiny_model(flavor)
    model.make_train_function()
    assert not compat.was_traced(model.train_function)
    models.fit(model)

    assert compat.was_traced(model.train_function)
