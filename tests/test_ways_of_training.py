# SPDX-License-Identifier: Apache-2.0
"""Hooks change nothing in any way of training that Keras offers."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback.errors import UnsupportedOpError
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "steps per execution": {"compiled": {"steps_per_execution": 2}},
    "accumulation": {"optimizer": {"gradient_accumulation_steps": 2}},
    "mixed precision": {"policy": "mixed_bfloat16"},
    "scaled loss": {"policy": "mixed_float16"},
    "moving average": {"optimizer": {"use_ema": True, "ema_momentum": 0.5}},
    "xla": {"compiled": {"jit_compile": True}},
    "eager": {"compiled": {"run_eagerly": True}},
}


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    """Each Keras package of this process."""
    return request.param


def model_of(
    flavor: ModuleType,
    optimizer: Any = None,
    compiled: Any = None,
    policy: str = "float32",
) -> Any:
    """The model of a way of training, or a skip if Keras lacks it."""
    flavor.utils.set_random_seed(0)
    layers = [
        flavor.layers.Dense(4, "tanh", dtype=policy, name="hidden"),
        flavor.layers.Dense(1, dtype="float32", name="out"),
    ]
    model = flavor.Sequential([flavor.Input((3,)), *layers])
    options = {"momentum": 0.5, **(optimizer or {})}
    try:
        optimizer = flavor.optimizers.SGD(0.1, **options)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this Keras has it not: {error}")
    model.compile(
        optimizer, "mse", **{"jit_compile": False, **(compiled or {})}
    )
    return model


def six_hooks(folder: Path) -> Any:
    """Stock hooks that log, count, watch, save and write summaries."""

    def make() -> list[Any]:
        norm = v1.summary.scalar("norm", tf.norm(v1.trainable_variables()[0]))
        return [
            v1.train.LoggingTensorHook(["loss:0"], every_n_iter=1),
            v1.train.StepCounterHook(1, output_dir=str(folder)),
            v1.train.NanTensorHook("loss:0"),
            v1.train.SummarySaverHook(
                1, output_dir=str(folder), summary_op=norm
            ),
            v1.train.CheckpointSaverHook(str(folder), save_steps=1),
            v1.train.StopAtStepHook(last_step=100),
        ]

    return make


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_those_of_a_training_without_us(
    way: str, flavor: ModuleType, tmp_path: Path
) -> None:
    """Weights, slots and step are the same to the last bit."""
    alone = model_of(flavor, **WAYS[way])
    models.fit(alone, epochs=3)
    model = model_of(flavor, **WAYS[way])
    final = FinalOpsCallback([list(model.weights), "loss"])
    hooks = SessionRunHookCallback(six_hooks(tmp_path))
    history = models.fit(model, hooks, final, epochs=3)

    weights, loss = final.final_ops_values
    assert loss == history["loss"][-1]
    assert to_numpy(model.optimizer.iterations) == to_numpy(
        alone.optimizer.iterations
    )
    for expected, weight, value in zip(
        alone.get_weights(), model.get_weights(), weights, strict=True
    ):
        np.testing.assert_array_equal(weight, expected)
        if way != "moving average":  # Keras puts it in place after our end
            np.testing.assert_array_equal(value, expected)
    reader = tf.train.load_checkpoint(str(tmp_path))
    assert reader.get_tensor("global_step") == to_numpy(
        model.optimizer.iterations
    )


def test_accumulation_counts_updates(flavor: ModuleType) -> None:
    """The global step is `optimizer.iterations`, and can't be written."""
    model = model_of(flavor, {"gradient_accumulation_steps": 2})
    seen: list[int] = []

    class Steps(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs(v1.train.get_global_step())

        def after_run(self, context: Any, values: Any) -> None:
            seen.append(int(values.results))

    class Writes(v1.train.SessionRunHook):
        def begin(self) -> None:
            self.write = v1.train.get_global_step().assign(7)

        def after_run(self, context: Any, values: Any) -> None:
            context.session.run(self.write)

    class Reads(v1.train.SessionRunHook):
        """Writes its own variable, in a branch that reads the step."""

        def begin(self) -> None:
            step, own = v1.train.get_global_step(), v1.get_variable("own", [])
            write = own.assign
            self.branch = v1.cond(
                step > 0,
                lambda: write(tf.cast(step, tf.float32)) + 0.0,
                lambda: write(-1.0) + 0.0,
            )

        def after_run(self, context: Any, values: Any) -> None:
            self.last = context.session.run(self.branch)

    stop, reads = v1.train.StopAtStepHook(last_step=2), Reads()
    hooks = SessionRunHookCallback([Steps(), stop, reads])
    models.fit(model, hooks, epochs=9)

    assert seen == [0, 0, 1, 1]
    assert reads.last == 2.0
    with pytest.raises(UnsupportedOpError, match="count of batches"):
        models.fit(model, SessionRunHookCallback(Writes()))


def test_a_model_without_an_optimizer(flavor: ModuleType) -> None:
    """It has no step of its own: the hooks count from 0, as v1 would."""
    model = model_of(flavor)
    try:
        model.compile(optimizer=None, loss="mse")
    except ValueError as error:
        pytest.skip(f"this Keras wants one: {error}")
    seen: list[Any] = []

    class Sees(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs(["loss:0", "global_step:0"])

        def after_run(self, context: Any, values: Any) -> None:
            seen.append(values.results)

    data = models.tiny_data()
    loss = model.evaluate(
        data.x,
        data.y,
        batch_size=8,
        verbose=0,
        callbacks=[SessionRunHookCallback(Sees())],
    )

    assert seen == [[pytest.approx(loss), 0]]
