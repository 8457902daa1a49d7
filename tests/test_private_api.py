# SPDX-License-Identifier: Apache-2.0
"""The private parts of TensorFlow and Keras work in the way they are used.

Those of TensorFlow stand in `_tf_private`, those of Keras in `_keras`. An
upgrade that changes one of them fails here first, and says which.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback import _profile
from final_ops_callback import _tf_private
from final_ops_callback._hooks import foreign
from final_ops_callback._hooks.begun import count_evaluations
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_functions
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizer_slots
from final_ops_callback._keras import optimizers
from final_ops_callback._keras import randomness
from final_ops_callback._keras.optimizer_slots import KINDS
from final_ops_callback._keras.optimizer_slots import OptimizerKind
from final_ops_callback._names import StepSpecs
from final_ops_callback._session import function_def
from final_ops_callback._session.hook_graph import HookGraph
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_keras_3

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


def test_the_names_that_a_saver_gives() -> None:
    """They are those of the variables; the parts of one have one in common."""
    with tf.Graph().as_default():
        whole = v1.get_variable("whole", [])
        divided = v1.get_variable(
            "divided", [4], partitioner=v1.fixed_size_partitioner(2)
        )
        names = _tf_private.saved_by_name(v1.global_variables())

        assert names == {"whole": whole, "divided": list(divided)}
        assert v1.train.Saver(names).saver_def


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
        variable = _tf_private.get_or_create_steps_per_run_variable()
        assert _tf_private.get_or_create_steps_per_run_variable() is variable
        hook = evaluation._StopAfterNEvalsHook(1)
        count_evaluations([hook], 1)

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


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_layers_are_found_to_see_whether_a_model_is_built(flavor: Any) -> None:
    """A model that says it is built is so when its layers are."""

    class Late(flavor.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = flavor.layers.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Late()
    model.built = True
    before = model_info.is_built(model)
    model.dense.build((None, 2))

    assert not before
    assert model_info.is_built(model)


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_the_sublayers_of_a_layer(flavor: Any) -> None:
    """A layer that is not a model lists its own layers, not their layers."""
    layer = flavor.layers.Bidirectional(flavor.layers.LSTM(2, name="lstm"))
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

    _, given = optimizer_compat.gradients_given(optimizer)
    ((_, found, _),), *_ = given([tf.constant([1.0, 1.0])])

    assert found is variable
    np.testing.assert_array_equal(variable.numpy(), [0.0, 1.0])


def test_the_schedule_of_keras_2_is_found() -> None:
    """Keras 2 hands out the rate of the step before, not the schedule."""
    schedule = KERAS_2.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer = KERAS_2.optimizers.SGD(schedule)
    optimizer.iterations.assign(1)

    assert optimizer_compat.schedule_of(optimizer) is schedule
    assert float(optimizer.learning_rate) == 0.5  # 0.25 will be used
    assert optimizer_compat.schedule_of(KERAS_2.optimizers.SGD(0.5)) is None


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_the_call_of_an_instance_is_called(flavor: Any) -> None:
    """Keras calls a layer by the attribute of the instance."""
    layer = flavor.layers.Dense(1, name="out")
    model = flavor.Sequential([flavor.Input((2,)), layer])
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


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
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


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_what_a_model_was_compiled_with(flavor: Any) -> None:
    """The arguments of `compile` are found before metrics are made of them."""
    model = models.tiny_model(flavor)
    metric = flavor.metrics.MeanSquaredError()
    model.compile("sgd", "mse", metrics=["mae", metric], weighted_metrics=["a"])

    assert compat.compiled_metrics_of(model) == ["mae", metric, "a"]


def test_a_layer_of_keras_2_that_draws_is_known_by_its_base() -> None:
    """Dropout and the cells with dropout have a base class of this name."""
    layers = KERAS_2.layers
    for layer in (layers.Dropout(0.5), layers.RNN(layers.LSTMCell(1))):
        assert randomness.may_be_random(KERAS_2.Sequential([layer]))
    assert not randomness.may_be_random(KERAS_2.Sequential([layers.Dense(1)]))


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


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_a_step_function_tells_whether_it_was_traced(flavor: Any) -> None:
    """The function of a model leads to its traces, before and after a fit."""
    model = models.tiny_model(flavor)
    model.make_train_function()
    assert not model_functions.was_traced(model.train_function)
    models.fit(model)

    assert model_functions.was_traced(model.train_function)


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_the_metrics_of_compile_are_in_no_container(flavor: Any) -> None:
    """Keras 3 keeps them in one metric, which is known by its name."""
    model = models.tiny_model(flavor)
    models.fit(model)

    assert [m.name for m in compat.metrics_of(model)] == ["loss", "mae"]


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_the_steps_of_one_call_are_found(flavor: Any) -> None:
    """Keras 2 keeps them in a variable, Keras 3 in a number."""
    model = models.tiny_model(flavor)
    assert model_info.steps_per_execution(model) == 1
    model.compile("sgd", "mse", steps_per_execution=3)

    assert model_info.steps_per_execution(model) == 3


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("is_scaled", [False, True])
def test_an_optimizer_tells_whether_it_is_built(
    flavor: Any, is_scaled: bool
) -> None:
    """An optimizer has its slots from `build` on, also in a loss scale."""
    layer = flavor.layers.Dense(1)
    layer.build((None, 2))
    optimizer = flavor.optimizers.Adam()
    if is_scaled:
        home = flavor.optimizers
        if not hasattr(home, "LossScaleOptimizer"):
            home = flavor.mixed_precision
        optimizer = home.LossScaleOptimizer(optimizer)
    before = optimizer_compat.is_built(optimizer)
    optimizer_compat.build(optimizer, layer.trainable_variables)

    assert not before
    assert optimizer_compat.is_built(optimizer)


def test_the_decay_of_a_legacy_optimizer_is_found() -> None:
    """The rate of the next step is the one by which the step moves."""
    optimizer = KERAS_2.optimizers.legacy.SGD(0.5, decay=1.0)
    weight = tf.Variable(0.0)
    for _ in range(3):
        rate = float(optimizer_compat.rate_of_next(optimizer))
        before = float(weight)
        optimizer.apply_gradients([(tf.constant(1.0), weight)])

        assert rate == pytest.approx(before - float(weight))
    assert rate < 0.5


@needs_keras_3
def test_the_count_of_batches_is_found() -> None:
    """With accumulation, Keras 3 counts batches, not steps."""
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([tf.constant([1.0])])

    assert int(optimizer.iterations) == 1
    counter = model_info.step_counter_of(optimizer)
    assert int(compat.to_numpy(counter)) == 3


def test_the_averages_of_an_optimizer_are_found() -> None:
    """Keras 2 tells the moving averages apart by their names."""
    model = models.tiny_model(KERAS_2, use_ema=True, momentum=0.9)
    optimizers.build(model)
    pairs = optimizers.averages_of(model)
    weights = [weight for _, weight in pairs]

    assert list(map(id, weights)) == list(map(id, model.trainable_variables))
    for average, weight in pairs:
        np.testing.assert_array_equal(average.numpy(), weight.numpy())


@needs_keras_3
def test_a_variable_that_keras_numbers_has_one_name() -> None:
    """Nadam's product has a number of the process in its path."""
    paths = []
    for _ in range(2):
        optimizer = keras.optimizers.Nadam()
        optimizer.build([keras.Variable([1.0], name="w")])
        paths.append(
            [
                optimizers.graph_path(variable.path, optimizer, "nadam")
                for variable in optimizer.variables
            ]
        )
        bare = [v.path for v in optimizer.variables if "/" not in v.path]
        assert len(bare) == 1

    assert paths[0] == paths[1]
    assert "nadam/variable" in paths[0]


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_a_symbolic_tensor_is_known_by_its_class(flavor: Any) -> None:
    """The class has one name in every Keras, with something before it."""
    dense = flavor.Input((2,))

    assert compat.is_symbolic(dense)
    assert foreign._is_symbolic(dense)
    assert not compat.is_symbolic(flavor.layers.Dense(1))


def test_a_symbolic_tensor_of_keras_2_that_is_not_dense_is_one() -> None:
    """Those of ragged and of sparse inputs have classes of their own."""
    for options in ({"ragged": True}, {"sparse": True}):
        symbolic = KERAS_2.Input((2,), **options)

        assert compat.is_symbolic(symbolic)
        assert not model_info.is_dense(symbolic)


@needs_keras_3
def test_a_variable_of_keras_3_is_known_by_its_class() -> None:
    """What knows no Keras finds its variables by the name of the class."""
    assert foreign._is_keras_variable(keras.Variable(1.0))
    assert not foreign._is_keras_variable(tf.Variable(1.0))


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_an_input_is_no_layer_that_is_called(flavor: Any) -> None:
    """The layers of inputs are known by the name of their class."""
    model = models.tiny_model(flavor)
    kinds = [type(layer).__name__ for layer in model.layers]

    assert kinds == ["InputLayer", "Dense"]
    assert list(model_info.layers_by_path(model)) == ["out"]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: tf.nn.dropout(x, 0.5),
        lambda x: tf.RaggedTensor.from_tensor(x).to_tensor(),
    ],
)
def test_an_operation_in_a_model_of_keras_2_is_a_layer(make: Any) -> None:
    """Keras 2 makes layers of functions, which may draw random numbers."""
    inputs = KERAS_2.Input((2,))
    model = KERAS_2.Model(inputs, make(inputs))

    assert randomness.may_be_random(model)
    assert not randomness.may_be_random(KERAS_2.Model(inputs, inputs))


def test_a_function_in_a_model_of_keras_3_is_a_layer() -> None:
    """A layer of a function may do what the function does."""
    layers = keras.layers
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(abs)])

    assert randomness.may_be_random(model)


class _Batches(callback_base.Callback):
    """Notes the logs of each batch, and who asks for what it has."""

    def __init__(self, answer: bool) -> None:
        super().__init__()
        self.answer = answer
        self.asked: set[str] = set()
        self.logs: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.logs.append(logs)

    def _implements_train_batch_hooks(self) -> bool:
        self.asked.add("train")
        return self.answer

    def _implements_test_batch_hooks(self) -> bool:
        self.asked.add("test")
        return self.answer

    def _implements_predict_batch_hooks(self) -> bool:
        self.asked.add("predict")
        return self.answer


def test_keras_2_asks_a_callback_for_its_batch_methods() -> None:
    """It asks by these names for each phase, and obeys the answer."""
    model, data = models.tiny_model(KERAS_2), models.tiny_data()
    for answer in (False, True):
        callback = _Batches(answer)
        options = {"callbacks": [callback], "verbose": 0}
        model.fit(data.x, data.y, **options)
        model.evaluate(data.x, data.y, **options)
        model.predict(data.x, **options)

        assert callback.asked == {"train", "test", "predict"}
        assert bool(callback.logs) is answer


@pytest.mark.parametrize("takes_tensors", [True, False])
def test_keras_2_gives_tensors_to_who_takes_them(takes_tensors: bool) -> None:
    """The logs of a batch are on the device, if a callback says so."""
    callback = _Batches(answer=True)
    callback._supports_tf_logs &= takes_tensors
    models.fit(models.tiny_model(KERAS_2), callback)

    assert tf.is_tensor(callback.logs[0]["loss"]) is takes_tensors


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_the_state_of_a_callback_has_no_model(flavor: Any) -> None:
    """Whatever Keras keeps the model under, a copy is made without it."""
    model = models.tiny_model(flavor)
    callback = callback_base.Callback()
    models.fit(model, callback)
    held = list(vars(callback).values())
    kept = list(callback.__getstate__().values())

    assert any(value is model for value in held)
    assert not any(value is model for value in kept)
    assert callback.params not in kept


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("phase", ["train", "test", "predict"])
def test_a_new_step_function_is_kept_in_known_places(
    flavor: Any, phase: str
) -> None:
    """`make_train_function` sets what is put back, and nothing else."""
    model = models.tiny_model(flavor)
    make = getattr(model, f"make_{phase}_function")
    make()
    before = dict(vars(model))
    make(force=True)
    changed = {
        name
        for name, value in vars(model).items()
        if value is not before.get(name)
    }

    assert f"{phase}_function" in changed
    assert changed <= {f"{phase}_function", f"{phase}_tf_function"}


def test_an_iterator_has_its_handle() -> None:
    """`OwnedIterator` is its class; a function takes `_iterator_resource`."""
    iterator: Any = iter(tf.data.Dataset.range(3))
    assert _tf_private.is_iterator(iterator)
    assert not _tf_private.is_iterator(range(3))

    @tf.function
    def function(iterator: Any) -> Any:
        return next(iterator)

    concrete = function.get_concrete_function(iterator)

    assert int(_tf_private.FlatFunction(concrete)(iterator)) == 0
    assert int(next(iterator)) == 1


@pytest.mark.parametrize("is_dense", [True, False])
def test_a_concrete_function_is_called_flat(is_dense: bool) -> None:
    """`pack_output` rebuilds what is not dense, `tf.nest` the rest."""

    @tf.function
    def function(batch: list[tf.Tensor]) -> Any:
        (x,) = batch
        odd = tf.sparse.from_dense([x]) if not is_dense else x
        return {"z": (x + 1.0, odd), "a": x * weight}

    weight = tf.Variable(3.0)
    concrete = function.get_concrete_function([tf.TensorSpec([])])
    found = _tf_private.FlatFunction(concrete)([tf.constant(2.0)])

    assert list(found) == ["z", "a"]
    assert float(found["a"]) == 6.0
    assert isinstance(found["z"][1], tf.SparseTensor) is not is_dense


def test_a_traced_call_waits_by_its_handles_alone() -> None:
    """`f` names the called function; the copy is in the runtime for a time."""
    counter = tf.Variable(0)

    @tf.function
    def step(batch: list[tf.Tensor]) -> tf.Tensor:
        return counter.assign_add(1) + batch[0]

    one = [tf.constant(1)]
    flat = _tf_private.FlatFunction(step.get_concrete_function(one))

    @tf.function(autograph=False)
    def joined(batch: list[tf.Tensor]) -> Any:
        before = counter.read_value()
        tf.debugging.assert_less(before, 2)
        return before, flat.trace(batch)

    concrete = joined.get_concrete_function(one)
    call = _tf_private.FlatFunction(concrete, traced=flat)
    known = _tf_private.eager_context()
    nodes = known.get_function_def(call.name).node_def
    (called,) = (
        n for n in nodes if "f" in n.attr and n.attr["f"].func.name == flat.name
    )

    assert not [name for name in called.input if name.startswith("^")]
    for before in (0, 1):
        assert [int(value) for value in call(one)] == [before, before + 2]
    # What comes first has failed, so the step does not run.
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(one)
    assert int(counter) == 2
    name = call.name
    assert known.has_function(name)
    del call
    assert not known.has_function(name)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_traced_call_has_the_outputs_of_the_function(count: int) -> None:
    """`StatefulPartitionedCall` itself infers no shapes."""
    counter = tf.Variable(0.0)

    @tf.function
    def step(batch: list[tf.Tensor]) -> list[tf.Tensor]:
        counter.assign_add(1.0)
        return [batch[0] * n for n in range(count)]

    one = [tf.constant([1.0, 2.0])]
    flat = _tf_private.FlatFunction(step.get_concrete_function(one))
    shapes = []

    @tf.function(autograph=False)
    def joined(batch: list[tf.Tensor]) -> Any:
        found = flat.trace(batch)
        shapes.extend(value.shape for value in found)
        return found

    concrete = joined.get_concrete_function(one)
    found = _tf_private.FlatFunction(concrete, traced=flat)(one)

    assert shapes == [[2]] * count
    assert [value.numpy().tolist() for value in found] == [
        [1.0 * n, 2.0 * n] for n in range(count)
    ]
    assert float(counter) == 1.0


def test_an_error_of_a_flat_call_is_explained() -> None:
    """`InterpolateRuntimeError` adds where the operation was made."""

    @tf.function
    def function(batch: list[tf.Tensor]) -> tf.Tensor:
        return tf.debugging.check_numerics(1.0 / batch[0], "mine")

    zero = [tf.constant(0.0)]
    concrete = function.get_concrete_function(zero)
    flat = _tf_private.FlatFunction(concrete)
    with pytest.raises(tf.errors.InvalidArgumentError) as of_keras:
        concrete(zero)
    with pytest.raises(tf.errors.InvalidArgumentError) as ours:
        flat(zero)
    flat.explain(ours.value, flat.name)

    assert "test_private_api.py" in ours.value.message
    assert ours.value.message == of_keras.value.message


@needs_keras_3
def test_the_compiled_part_of_a_step_is_in_a_closure() -> None:
    """It takes an iterator, and returns an optional."""
    model = models.tiny_model()
    model.make_train_function()
    compiled = model_functions.compiled_part(model.train_function)

    assert compiled is not model.train_function
    assert hasattr(compiled, "get_concrete_function")


# Each private name of Keras that the package uses, with the test above that
# fails when Keras changes it. `test_architecture` looks for names without one.
def optimizer_of_v1(flavor: Any, kind: OptimizerKind, legacy: bool) -> Any:
    """Returns an optimizer of a kind with all the slots that it may have."""
    options = {
        slot.option: 0.5 if slot.option == "momentum" else True
        for slot in kind.slots
        if slot.option
    }
    home = flavor.optimizers.legacy if legacy else flavor.optimizers
    return getattr(home, kind.keras)(0.1, **options)


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.keras)
def test_an_optimizer_lists_its_slots(flavor: Any, kind: Any) -> None:
    """Each slot that v1 had, too, is in a list, in the order of the weights."""
    weights = [keras_variable(flavor, shape) for shape in ((2,), (3,))]
    for legacy in {False, not hasattr(flavor, "ops")}:
        optimizer = optimizer_of_v1(flavor, kind, legacy)
        optimizer_compat.build(optimizer, weights)
        found = [
            optimizer_slots.slot_of(optimizer, slot, weight)
            for slot in kind.slots
            for weight in weights
        ]

        assert [tuple(slot.shape) for slot in found] == [
            shape for _ in kind.slots for shape in ((2,), (3,))
        ]
        assert len({id(slot) for slot in found}) == len(found)


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_nadam_of_keras_2_does_not_list_a_variable(flavor: Any) -> None:
    """Its product is `_u_product`; Keras 3 lists it."""
    optimizer = flavor.optimizers.Nadam()
    optimizer_compat.build(optimizer, [keras_variable(flavor, (2,))])
    listed = {id(v) for v in optimizers.variables_of(optimizer)}
    unlisted = optimizer_compat.unlisted(optimizer)

    assert id(optimizer._u_product) in listed
    assert len(unlisted) == (0 if hasattr(flavor, "ops") else 1)


def keras_variable(flavor: Any, shape: tuple[int, ...]) -> Any:
    """Returns a variable that the optimizers of a flavor train."""
    zeros = np.zeros(shape, "f")
    return (
        flavor.Variable(zeros) if hasattr(flavor, "ops") else tf.Variable(zeros)
    )


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_an_optimizer_lists_its_averages(flavor: Any) -> None:
    """The moving averages are in a list, in the order of the weights."""
    weights = [keras_variable(flavor, shape) for shape in ((2,), (3,))]
    optimizer = flavor.optimizers.SGD(0.1, use_ema=True)
    optimizer.build(weights)
    found = [optimizer_slots.average_of(optimizer, one) for one in weights]

    assert [tuple(average.shape) for average in found] == [(2,), (3,)]


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_an_update_is_one_method(flavor: Any) -> None:
    """A subclass that overrides the update is of no kind of v1."""
    for legacy in {False, not hasattr(flavor, "ops")}:
        home = flavor.optimizers.legacy if legacy else flavor.optimizers
        method = "_resource_apply_dense" if legacy else "update_step"
        own = type("Own", (home.Adam,), {method: lambda *_: None})

        assert optimizer_slots.kind_of(home.Adam()) is not None
        assert optimizer_slots.kind_of(own()) is None


OF_KERAS: dict[str, Callable[..., None]] = {
    "BaseRandomLayer": test_a_layer_of_keras_2_that_draws_is_known_by_its_base,
    "ClassMethod": test_an_operation_in_a_model_of_keras_2_is_a_layer,
    "InputLayer": test_an_input_is_no_layer_that_is_called,
    "KerasTensor": test_a_symbolic_tensor_is_known_by_its_class,
    "KerasVariable": test_a_variable_of_keras_3_is_known_by_its_class,
    "_accumulated_delta_vars": test_an_optimizer_lists_its_slots,
    "_accumulated_grads": test_an_optimizer_lists_its_slots,
    "_accumulators": test_an_optimizer_lists_its_slots,
    "_average_gradients": test_an_optimizer_lists_its_slots,
    "_built": test_an_optimizer_tells_whether_it_is_built,
    "_compile_metrics": test_what_a_model_was_compiled_with,
    "_create_all_weights": test_the_slots_of_a_legacy_optimizer_can_be_made,
    "_flatten_layers": test_the_sublayers_of_a_layer,
    "_function": test_a_new_step_function_is_kept_in_known_places,
    "_implements_predict_batch_hooks": (
        test_keras_2_asks_a_callback_for_its_batch_methods
    ),
    "_implements_test_batch_hooks": (
        test_keras_2_asks_a_callback_for_its_batch_methods
    ),
    "_implements_train_batch_hooks": (
        test_keras_2_asks_a_callback_for_its_batch_methods
    ),
    "_index_dict": test_an_optimizer_lists_its_slots,
    "_initial_decay": test_the_decay_of_a_legacy_optimizer_is_found,
    "_learning_rate": test_the_schedule_of_keras_2_is_found,
    "_linears": test_an_optimizer_lists_its_slots,
    "_model": test_the_state_of_a_callback_has_no_model,
    "_model_variables_moving_average": test_an_optimizer_lists_its_averages,
    "_momentums": test_an_optimizer_lists_its_slots,
    "_resource_apply_dense": test_an_update_is_one_method,
    "_supports_tf_logs": test_keras_2_gives_tensors_to_who_takes_them,
    "_symbolic_build": test_metrics_can_be_built_without_a_step,
    "_tf_function": test_a_new_step_function_is_kept_in_known_places,
    "_trainable_variables": test_an_optimizer_knows_its_variables,
    "_u_product": test_nadam_of_keras_2_does_not_list_a_variable,
    "_user_metrics": test_what_a_model_was_compiled_with,
    "_user_weighted_metrics": test_what_a_model_was_compiled_with,
    "_var_key": test_an_optimizer_lists_its_slots,
    "_velocities": test_an_optimizer_lists_its_slots,
    "compile_metrics": test_the_metrics_of_compile_are_in_no_container,
}
