# SPDX-License-Identifier: Apache-2.0
"""Hooks work on models with unusual names."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.flavors import FLAVORS
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1] * 2

NAMES = [
    "loss",
    "global_step",
    "learning_rate",
    "features",
    "labels",
    "predictions",
    "gradients",
    "logs",
    "layers",
    "step",
    "train_op",
    "a:0",
    "with spaces",
    "größe_Σ_模型",
    "..",
    "^up",
    "_first",
    "-dash",
    ".dot",
    "%s{x}",
    "x" * 300,
    "Loss",
]


@pytest.fixture(autouse=True)
def _no_open_scopes() -> Iterator[None]:
    """A model that Keras refuses leaves its name scopes open behind it."""
    yield
    for flavor in FLAVORS.values():
        flavor.backend.clear_session()


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    """Each Keras package of this process."""
    return request.param


def named(flavor: ModuleType, name: str, metric: str = "mae") -> Any:
    """Builds a model with a layer of this name, or skips if Keras can't."""
    flavor.utils.set_random_seed(0)
    inputs = flavor.Input((3,), name="x")
    try:
        hidden = flavor.layers.Dense(2, name=name)(inputs)
        outputs = flavor.layers.Dense(1, name="out")(hidden)
        model = flavor.Model(inputs, outputs)
        model.predict(X, verbose=0)
    except ValueError as error:
        pytest.skip(f"Keras refuses the name: {str(error)[:60]}")
    mae = flavor.metrics.MeanAbsoluteError(name=metric)
    model.compile("sgd", "mse", metrics=[mae], jit_compile=False)
    return model


class Weights(v1.train.SessionRunHook):
    """Reads all weights, the loss and the step, by their graph names."""

    def begin(self) -> None:
        self.weights = list(v1.trainable_variables())
        self.step = v1.train.get_global_step()
        self.losses: list[float] = []
        self.steps: list[int] = []

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs(["loss:0", self.step])

    def after_run(self, context: Any, values: Any) -> None:
        loss, step = values.results
        self.losses.append(float(loss))
        self.steps.append(int(step))
        self.values = context.session.run(self.weights)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_may_be_called_so(
    name: str, flavor: ModuleType, tmp_path: Path
) -> None:
    """Each value is that of the right variable, and a checkpoint holds all."""
    expected = named(flavor, name)
    history = expected.fit(
        X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0
    ).history
    model, hook = named(flavor, name), Weights()
    saver = v1.train.CheckpointSaverHook(str(tmp_path / "of_hook"), None, 1)
    final = FinalOpsCallback(
        {"loss": "loss", "all": list(model.weights), "out": "out"},
        filepath=tmp_path / "final.npz",
        log_dir=tmp_path / "events",
    )
    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[SessionRunHookCallback([hook, saver]), final],
    )

    live = [to_numpy(weight) for weight in model.weights]
    assert hook.steps == [0, 1]
    np.testing.assert_allclose(hook.losses, history["loss"], rtol=1e-6)
    assert final.final_ops_values["loss"] == pytest.approx(hook.losses[-1])
    for values in (hook.values, final.final_ops_values["all"]):
        for value, weight in zip(values, live, strict=True):
            np.testing.assert_array_equal(value, weight)
    reader = tf.train.load_checkpoint(str(tmp_path / "of_hook"))
    kept = [
        reader.get_tensor(key) for key in reader.get_variable_to_shape_map()
    ]
    for weight in live:
        assert any(np.array_equal(weight, value) for value in kept)


def test_a_saver_puts_each_value_where_it_was(
    flavor: ModuleType, tmp_path: Path
) -> None:
    """Names that a graph can't hold come back from a checkpoint."""
    first, second = (named(flavor, "..") for _ in range(2))
    folder = str(tmp_path)

    class Restores(v1.train.SessionRunHook):
        def begin(self) -> None:
            self.saver = v1.train.Saver(v1.trainable_variables())

        def after_create_session(self, session: Any, coord: Any) -> None:
            self.saver.restore(session, tf.train.latest_checkpoint(folder))

        def before_run(self, context: Any) -> None:
            raise StopIteration

    saver = v1.train.CheckpointSaverHook(folder, save_steps=1)
    first.fit(X, Y, verbose=0, callbacks=[SessionRunHookCallback(saver)])
    second.fit(X, Y, verbose=0, callbacks=[SessionRunHookCallback(Restores())])

    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.parametrize("metric", ["hidden", "out", "x", "step"])
def test_a_metric_may_share_a_name(metric: str, flavor: ModuleType) -> None:
    """The log of a metric is `logs/<name>:0`, whatever else has the name."""
    model = named(flavor, "hidden", metric)
    seen: list[Any] = []

    class Sees(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs(f"logs/{metric}:0")

        def after_run(self, context: Any, values: Any) -> None:
            seen.append(values.results)

    history = model.fit(
        X,
        Y,
        batch_size=8,
        verbose=0,
        callbacks=[SessionRunHookCallback(Sees())],
    ).history

    np.testing.assert_allclose(seen, history[metric], rtol=1e-6)


def test_a_metric_that_no_tensor_can_be_called(
    flavor: ModuleType,
) -> None:
    """FinalOpsCallback gives it; a hook gets v1's own error for the name."""
    model, final = named(flavor, "hidden", "a:0"), FinalOpsCallback("a:0")
    history = model.fit(X, Y, verbose=0, callbacks=[final]).history
    log = SessionRunHookCallback(v1.train.LoggingTensorHook(["logs/a:0:0"], 1))

    assert final.final_ops_values == history["a:0"][-1]
    with pytest.raises(ValueError, match="not a valid one"):
        model.fit(X, Y, verbose=0, callbacks=[log])


def test_two_variables_of_one_path(flavor: ModuleType, tmp_path: Path) -> None:
    """Each has a twin of its own, in the order of the model."""

    class Twice(flavor.layers.Layer):
        def build(self, shape: Any) -> None:
            self.parts = [
                self.add_weight(
                    shape=(shape[-1], 1), initializer=start, name="same"
                )
                for start in ("ones", "zeros")
            ]

        def call(self, inputs: Any) -> Any:
            first, second = self.parts
            return tf.matmul(inputs, first) + tf.matmul(inputs, second)

    inputs = flavor.Input((3,), name="x")
    model = flavor.Model(inputs, Twice(name="twice")(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    hook = Weights()
    saver = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=1)
    model.fit(
        X, Y, verbose=0, callbacks=[SessionRunHookCallback([hook, saver])]
    )
    values = [to_numpy(weight) for weight in model.trainable_weights]

    names = [variable.op.name for variable in hook.weights]
    assert len(set(names)) == 2
    reader = tf.train.load_checkpoint(str(tmp_path))
    for name, value, seen in zip(names, values, hook.values, strict=True):
        np.testing.assert_array_equal(value, seen)
        np.testing.assert_array_equal(value, reader.get_tensor(name))


def test_two_metrics_of_one_name(flavor: ModuleType) -> None:
    """Hooks and final ops see the names that Keras gives to the metrics."""
    model = named(flavor, "hidden")
    kind = flavor.metrics.MeanSquaredError
    model.compile("sgd", "mse", metrics=[kind(name="loss"), kind(name="b")])
    hook = Weights()
    final = FinalOpsCallback(["loss", "b"])
    history = model.fit(
        X,
        Y,
        batch_size=8,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook), final],
    ).history

    expected = [history[name][-1] for name in ("loss", "b")]
    np.testing.assert_allclose(final.final_ops_values, expected, rtol=1e-6)
    assert len(hook.losses) == 1
