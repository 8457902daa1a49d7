# SPDX-License-Identifier: Apache-2.0
"""What README says that Keras itself changes, without this package."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.flavors import keras
from tests.flavors import needs_keras_3

v1 = tf.compat.v1

TABLE = np.arange(8, dtype="float32").reshape(4, 2) / 10
UNIQUE = [[0, 1], [1, 2], [3, 0], [2, 3]]
TWICE = [[0, 1], [1, 1], [3, 3], [2, 2]]

OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "sgd": (
        lambda: v1.train.GradientDescentOptimizer(0.1),
        lambda: keras.optimizers.SGD(0.1),
    ),
    "momentum": (
        lambda: v1.train.MomentumOptimizer(0.1, 0.9),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    ),
    "adam": (
        lambda: v1.train.AdamOptimizer(0.1, epsilon=1e-7),
        lambda: keras.optimizers.Adam(0.1),
    ),
    "adagrad": (
        lambda: v1.train.AdagradOptimizer(0.1),
        lambda: keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.1),
    ),
    "rmsprop": (
        lambda: v1.train.RMSPropOptimizer(0.1, epsilon=1e-7),
        lambda: keras.optimizers.RMSprop(0.1, epsilon=1e-7),
    ),
}


def embedding_of_v1(optimizer: Any, batches: Any) -> Any:
    """Trains an embedding in a v1 session; returns its table."""
    with tf.Graph().as_default(), v1.Session() as session:
        table = v1.get_variable("table", initializer=TABLE)
        ids = v1.placeholder(tf.int64, [2])
        rows = tf.nn.embedding_lookup(table, ids)
        loss = tf.reduce_mean(tf.square(rows - 1.0))
        train_op = optimizer().minimize(loss)
        session.run(v1.global_variables_initializer())
        for batch in batches:
            session.run(train_op, {ids: batch})
        return session.run(table)


def embedding_of_keras(optimizer: Any, batches: Any) -> Any:
    """Trains the same embedding in Keras; returns its table."""
    layer = keras.layers.Embedding(4, 2)
    model = keras.Sequential([keras.Input((), dtype="int64"), layer])
    layer.set_weights([TABLE])
    model.compile(optimizer(), "mse", jit_compile=False)
    for batch in batches:
        model.train_on_batch(np.array(batch), np.ones((2, 2), "float32"))
    return layer.get_weights()[0]


def is_same(name: str, batches: Any) -> bool:
    of_v1, of_keras = OPTIMIZERS[name]
    return np.allclose(
        embedding_of_v1(of_v1, batches),
        embedding_of_keras(of_keras, batches),
        atol=1e-4,
    )


def test_plain_sgd_updates_an_embedding_as_v1_did() -> None:
    """The rows are equal, also those of an id that comes twice."""
    assert is_same("sgd", TWICE)


@needs_keras_3
@pytest.mark.parametrize("name", ["momentum", "adam", "adagrad", "rmsprop"])
def test_other_optimizers_update_an_embedding_in_another_way(
    name: str,
) -> None:
    """The rows differ from those of v1."""
    assert not is_same(name, TWICE)


@pytest.mark.parametrize("name", ["adam", "adagrad"])
def test_only_an_id_that_comes_twice_makes_the_difference(name: str) -> None:
    """With each id once in a batch, the rows are those of v1."""
    assert is_same(name, UNIQUE)


def test_momentum_moves_rows_that_a_batch_does_not_touch() -> None:
    """The first row moves in Keras in a step without it, and not in v1."""
    moved = []
    for run, make in zip(
        (embedding_of_v1, embedding_of_keras),
        OPTIMIZERS["momentum"],
        strict=True,
    ):
        before = run(make, [[0, 1]])
        after = run(make, [[0, 1], [2, 3]])
        moved.append(bool(np.any(after[0] != before[0])))

    assert moved == [False, True]


def test_the_default_epsilon_of_adam_is_another() -> None:
    """Keras has ten times that of v1."""
    assert v1.train.AdamOptimizer()._epsilon == 1e-8
    assert keras.optimizers.Adam().epsilon == 1e-7


def slope_of_v1(rates: list[float]) -> list[float]:
    """Trains one weight with momentum, a rate in each step."""
    with tf.Graph().as_default(), v1.Session() as session:
        weight = v1.get_variable("weight", initializer=1.0)
        rate = v1.placeholder(tf.float32, [])
        optimizer = v1.train.MomentumOptimizer(rate, 0.9)
        train_op = optimizer.minimize(tf.square(weight))
        slot = optimizer.get_slot(weight, "momentum")
        session.run(v1.global_variables_initializer())
        for one in rates:
            session.run(train_op, {rate: one})
        return session.run([weight, slot])


def slope_of_keras(rates: list[float]) -> list[float]:
    """Trains the same weight in Keras."""
    weight = tf.Variable(1.0)
    if hasattr(keras, "Variable"):
        weight = keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(0.0, momentum=0.9)
    optimizer.build([weight])
    for one in rates:
        optimizer.learning_rate.assign(one)
        gradient = 2 * tf.convert_to_tensor(weight)
        optimizer.apply_gradients([(gradient, weight)])
    slots = optimizer.momentums
    return [float(weight.numpy()), float(slots[0].numpy())]


def test_momentum_keeps_minus_the_rate_times_the_slot_of_v1() -> None:
    """While the rate stays, weights are equal and slots are converted."""
    rates = [0.1] * 3

    (weight, slot), (of_keras, kept) = slope_of_v1(rates), slope_of_keras(rates)

    assert of_keras == pytest.approx(weight, rel=1e-5)
    assert kept == pytest.approx(-0.1 * slot, rel=1e-5)


def test_a_change_of_the_rate_affects_later_gradients_only() -> None:
    """Another rate gives other weights than in v1."""
    rates = [0.1, 0.1, 0.01]

    assert slope_of_keras(rates)[0] != pytest.approx(
        slope_of_v1(rates)[0], rel=1e-2
    )


def test_the_logged_loss_is_the_mean_of_the_examples() -> None:
    """v1 took the mean of the batches, the short last one like the others."""
    labels = np.array([[1.0], [1.0], [3.0]], "float32")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.layers[0].set_weights([np.zeros((1, 1)), np.zeros(1)])
    logged = model.evaluate(
        np.zeros((3, 1), "float32"), labels, batch_size=2, verbose=0
    )
    with tf.Graph().as_default(), v1.Session() as session:
        batch = v1.placeholder(tf.float32, [None, 1])
        value, update = v1.metrics.mean(tf.reduce_mean(tf.square(batch)))
        session.run(v1.local_variables_initializer())
        for part in (labels[:2], labels[2:]):
            session.run(update, {batch: part})
        of_v1 = session.run(value)

    assert logged == pytest.approx(np.mean(labels**2))
    assert of_v1 == pytest.approx(
        np.mean([np.mean(labels[:2] ** 2), np.mean(labels[2:] ** 2)])
    )
    assert logged != pytest.approx(of_v1)
