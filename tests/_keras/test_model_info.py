# SPDX-License-Identifier: Apache-2.0
"""What a run needs to know of a model."""

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import model_info
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_keras_3
from tests.flavors import path_of
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def subclassed(flavor: Any, layer: Any = None) -> Any:
    """Returns a model whose layers a batch has to build."""

    class Own(flavor.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layer or flavor.layers.Dense(1, name="dense")

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Own()
    model.compile("sgd", "mse")
    return model


SPEC = (tf.TensorSpec([4, 3]), tf.TensorSpec([4, 1]))


@flavors
def test_a_model_is_built_from_what_a_batch_looks_like(flavor: Any) -> None:
    """The variables have the shapes that the batch itself gives them."""
    model, by_batch = subclassed(flavor), subclassed(flavor)
    assert not model_info.is_built(model)
    model_info.build_for(model, "test", SPEC)
    by_batch.predict(np.zeros((4, 3)), verbose=0)

    assert model_info.is_built(model)
    shapes = [tuple(v.shape) for v in model.variables]
    assert shapes == [tuple(v.shape) for v in by_batch.variables]


@flavors
def test_a_model_that_can_not_be_built_stays(
    flavor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said why, and the run goes on."""

    class Failing(flavor.layers.Layer):
        def call(self, inputs: Any) -> Any:
            raise ValueError("no such input")

    model = subclassed(flavor, Failing())
    model_info.build_for(model, "test", SPEC)

    assert "can't be built from its inputs" in caplog.text
    assert "no such input" in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        lambda x: iter(tf.data.Dataset.from_tensor_slices(x).batch(2)),
        lambda x: [tf.constant(x)],
    ],
    ids=["iterator", "batches"],
)
def test_the_spec_of_a_batch_takes_none(data: Any) -> None:
    """The number of rows is open, and no batch is gone afterwards."""
    batches = data(np.zeros((2, 3), "float32"))
    spec = model_info.data_spec(batches)

    assert (spec.shape.as_list(), spec.dtype) == ([None, 3], tf.float32)
    assert len(list(itertools.islice(batches, 2))) == 1


@flavors
def test_layers_have_the_paths_of_those_around_them(flavor: Any) -> None:
    """A shared layer stands under each path, and the first of a name wins."""
    layers = flavor.layers
    shared = layers.Dense(1, name="shared")
    inner = flavor.Sequential([flavor.Input((1,)), shared], name="inner")
    x = flavor.Input((1,))
    model = flavor.Model(x, shared(inner(x)))
    found = model_info.layers_by_path(model)

    assert set(found) == {"inner", "inner/shared", "shared"}
    assert found["inner/shared"] is found["shared"] is shared


@flavors
@pytest.mark.parametrize("kind", ["functional", "sequential", "subclassed"])
def test_symbolic_tensors_are_found_where_there_are_any(
    flavor: Any, kind: str
) -> None:
    """A model of the user's own has none; others tell their shapes."""
    if kind == "functional":
        model = models.tiny_model(flavor)
    elif kind == "sequential":
        model = flavor.Sequential([flavor.Input((3,)), flavor.layers.Dense(1)])
    else:
        model = subclassed(flavor)
        model.predict(np.zeros((4, 3)), verbose=0)
    found = [model_info.symbolic(model, side) for side in ("input", "output")]
    shapes = [tensor if tensor is None else tensor.shape for tensor in found]

    expected = [None, None] if kind == "subclassed" else [(None, 3), (None, 1)]
    assert [s and tuple(s) for s in shapes] == expected


@flavors
def test_the_names_of_inputs_are_known(flavor: Any) -> None:
    """A model that knows no inputs has none."""
    assert model_info.input_names(models.tiny_model(flavor)) == ["x"]
    assert model_info.input_names(subclassed(flavor)) == []


@flavors
def test_the_rate_is_that_of_the_next_step(flavor: Any) -> None:
    """A schedule gives it at the present step."""
    model = models.tiny_model(flavor)
    assert float(to_numpy(model_info.learning_rate_of(model))) == (
        pytest.approx(0.1)
    )
    schedule = flavor.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    model.compile(flavor.optimizers.SGD(schedule), "mse")
    model.optimizer.iterations.assign(2)
    rate = model_info.learning_rate_of(model)

    assert float(rate) == float(schedule(2))


@flavors
def test_the_path_of_a_variable_has_no_output(flavor: Any) -> None:
    """What Keras 2 has as a name ends in `:0`; a path does not."""
    kernel, _ = models.tiny_model(flavor).trainable_variables

    assert model_info.path_of(kernel) == path_of(kernel) == "out/kernel"


@flavors
def test_a_batch_is_taken_apart_as_by_keras(flavor: Any) -> None:
    """What is not there is `None`; data of one's own are not known."""
    model = models.tiny_model(flavor)

    assert model_info.unpacked(model, (1, 2, 3)) == (1, 2, 3)
    assert model_info.unpacked(model, (1,)) == (1, None, None)
    assert model_info.unpacked(model, (1, 2, 3, 4)) == (None, None, None)


@pytest.mark.parametrize(
    ("tensor", "is_dense"),
    [
        (lambda: tf.constant(1.0), True),
        (lambda: tf.TensorSpec([1]), True),
        (lambda: tf.sparse.from_dense([1.0]), False),
        (lambda: tf.ragged.constant([[1.0]]), False),
        (lambda: tf.IndexedSlices(tf.ones([1]), tf.constant([0])), False),
        (lambda: tf.RaggedTensorSpec([None, None]), False),
        (lambda: KERAS_2.Input((1,)), True),
        (lambda: KERAS_2.Input((1,), sparse=True), False),
        (lambda: "text", False),
    ],
)
def test_dense_tensors_are_told_apart(tensor: Any, is_dense: bool) -> None:
    """Values, specs and symbolic tensors are, of each kind."""
    assert model_info.is_dense(tensor()) is is_dense


@flavors
def test_log_names_of_several_outputs_have_theirs(flavor: Any) -> None:
    """What is known of compile is among what a step logs."""
    x = flavor.Input((3,))
    layers = [flavor.layers.Dense(1, name=name) for name in "ab"]
    model = flavor.Model(x, [layer(x) for layer in layers])
    model.compile("sgd", ["mse", "mse"], metrics=[["mae"], ["mae"]])
    names = model_info.log_names(model)
    data = models.tiny_data()
    history = model.fit(data.x, [data.y, data.y], verbose=0).history

    assert {"a_loss", "b_loss", "a_mae", "b_mae"} <= set(names)
    assert {"a_mae", "b_mae"} <= set(history)


@flavors
def test_one_replica_is_one(flavor: Any) -> None:
    """Without a strategy, a step runs once."""
    assert model_info.replicas(models.tiny_model(flavor)) == 1
    assert model_info.replicas(object()) == 1


@needs_keras_3
def test_the_states_of_random_layers_are_named_after_them() -> None:
    """The number of a state depends on what was made before; its name not."""
    found = []
    for _ in range(2):
        inner = [keras.Input((3,)), keras.layers.GaussianNoise(1, name="noise")]
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dropout(0.5, name="drop"),
                keras.Sequential(inner, name="inner"),
            ]
        )
        paths = model_info.seed_paths(model)
        found.append([paths.get(id(v.value)) for v in model.variables])

    assert found == [["drop/seed_generator", "inner/noise/seed_generator"]] * 2


def test_keras_2_has_no_such_states() -> None:
    """Its layers keep no state that a checkpoint holds."""
    assert model_info.seed_paths(models.tiny_model(KERAS_2)) == {}
