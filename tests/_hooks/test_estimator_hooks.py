# SPDX-License-Identifier: Apache-2.0
"""The hooks of `tf.estimator`, where TensorFlow still has it (2.15)."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.contract import drivers
from tests.contract.suite import disagreements
from tests.flavors import keras

pytest.importorskip(
    "tensorflow_estimator",
    reason="tf.estimator ended with TensorFlow 2.15; .ci/stacks/legacy has it",
)

v1 = tf.compat.v1
EVERY = {"run_every_secs": None, "run_every_steps": 1}
# What the evaluations of the estimator are said to have found, by step.
LOSSES = {1: 1.0, 2: 2.0, 3: 3.0}


def model_fn(features: Any, labels: Any, mode: str) -> Any:
    """The model of `tests.contract.drivers`, as an Estimator has it."""
    kernel = v1.get_variable("dense/kernel", [2, 1])
    bias = v1.get_variable("dense/bias", [1])
    outputs = tf.matmul(features, kernel) + bias
    loss = v1.losses.mean_squared_error(labels, outputs)
    optimizer = v1.train.GradientDescentOptimizer(0.1)
    train_op = optimizer.minimize(loss, v1.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


def input_fn() -> Any:
    """All examples, as one batch."""
    data = (drivers.FEATURES, drivers.LABELS)
    return v1.data.Dataset.from_tensors(data)


def an_estimator(folder: Path) -> Any:
    """An Estimator whose evaluations found `LOSSES`."""
    estimator = tf.estimator.Estimator(model_fn, str(folder))
    with tf.Graph().as_default():
        writer = v1.summary.FileWriter(estimator.eval_dir())
        for step, loss in LOSSES.items():
            value = v1.Summary.Value(tag="loss", simple_value=loss)
            writer.add_summary(v1.Summary(value=[value]), step)
        writer.close()
    return estimator


def stopping(name: str, *args: Any) -> Any:
    """Returns a function that makes a hook of the family, by its name."""

    def make(estimator: Any) -> Any:
        made_by = getattr(tf.estimator.experimental, name)
        return made_by(estimator, *args, **EVERY)

    return make


STOPPING = {
    "no decrease": stopping("stop_if_no_decrease_hook", "loss", 1),
    "a decrease in time": stopping("stop_if_no_decrease_hook", "loss", 9),
    "no increase": stopping("stop_if_no_increase_hook", "loss", 9),
    "higher": stopping("stop_if_higher_hook", "loss", 2.5),
    "never higher": stopping("stop_if_higher_hook", "loss", 9.0),
    "lower": stopping("stop_if_lower_hook", "loss", 1.5),
    "never lower": stopping("stop_if_lower_hook", "loss", 0.5),
    "by a function": stopping("make_early_stopping_hook", lambda: True),
}


@pytest.mark.parametrize("name", STOPPING)
def test_it_stops_when_it_did(name: str, tmp_path: Path) -> None:
    """A hook of early stopping stops at the step of the original."""
    estimator = an_estimator(tmp_path / "estimator")

    found = disagreements(lambda env: [STOPPING[name](estimator)], {}, tmp_path)

    assert not found, "\n".join(found)


def test_some_stop_and_some_do_not(tmp_path: Path) -> None:
    """The comparison can fail: some hooks of the family stop, some don't."""
    estimator = an_estimator(tmp_path / "estimator")
    steps = {
        drivers.run_keras(
            lambda env, make=make: [make(estimator)], tmp_path / name
        ).step
        for name, make in STOPPING.items()
    }

    assert len(steps) == 2


def test_the_evaluator_in_memory_sees_the_live_model(tmp_path: Path) -> None:
    """`InMemoryEvaluatorHook` evaluates the weights that Keras trains."""
    estimator = tf.estimator.Estimator(model_fn, str(tmp_path))
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, name="dense")]
    )
    model.compile(keras.optimizers.SGD(0.05), "mse")
    hook = tf.estimator.experimental.InMemoryEvaluatorHook(
        estimator, input_fn, every_n_iter=2
    )
    model.fit(
        drivers.FEATURES,
        drivers.LABELS,
        batch_size=4,
        epochs=2,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
    )
    data = (drivers.FEATURES, drivers.LABELS)
    expected = model.evaluate(*data, verbose=0)

    losses = {
        event.step: value.simple_value
        for path in Path(estimator.eval_dir()).glob("events.*")
        for event in v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == "loss"
    }
    assert max(losses) == 6
    assert len(losses) > 2
    np.testing.assert_allclose(losses[6], expected, rtol=1e-5)
