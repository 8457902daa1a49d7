# SPDX-License-Identifier: Apache-2.0
"""One class serves every flavor of Keras, and models on several devices."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from tests import models
from tests import original
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_both

pytestmark = pytest.mark.slow

BATCH = models.tiny_data().x


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    """Each Keras package of one process."""
    return request.param


@pytest.fixture
def model(flavor: ModuleType) -> Any:
    """The tiny model of a flavor, with metrics that are built."""
    model = models.tiny_model(flavor)
    models.fit(model)
    return model


def mae_of(model: Any) -> Any:
    """The metric that the model was compiled with."""
    return next(m for m in compat.metrics_of(model) if m.name == "mae")


def test_fit_gives_training_values(model: Any) -> None:
    """Metric, variable, name and symbolic output at the end of fit."""
    ops = {
        "mae": mae_of(model),
        "function": tf.function(lambda: mae_of(model).result()),
        "kernel": model.layers[-1].kernel,
        "names": ["loss", "val_loss", "mae"],
        "output": model.layers[-1].output,
    }
    callback = FinalOpsCallback(ops, {"x": BATCH})

    history = models.fit(model, callback, validate=True, epochs=2)

    values = callback.final_ops_values
    assert values["mae"] == values["function"]
    assert values["mae"] == pytest.approx(history["mae"][-1])
    assert values["names"] == pytest.approx(
        [history[name][-1] for name in ("loss", "val_loss", "mae")]
    )
    assert original.is_same(values["kernel"], model.get_weights()[0])
    assert original.is_same(
        model(BATCH, training=False).numpy(), values["output"]
    )


def test_evaluate_and_predict_have_their_phases(model: Any) -> None:
    """The values of each phase are kept apart."""
    x, _, validation = models.tiny_data()
    callback = FinalOpsCallback(mae_of(model), on=callback_base.PHASES)
    options = {"verbose": 0, "callbacks": [callback]}

    history = models.fit(model, callback, validate=True)
    logs = model.evaluate(*validation, return_dict=True, **options)
    model.predict(x, **options)

    assert callback.final_ops_values_by_phase == {
        "validation": pytest.approx(history["val_mae"][-1]),
        "train": pytest.approx(history["mae"][-1]),
        "test": pytest.approx(logs["mae"]),
        "predict": pytest.approx(logs["mae"]),
    }


def test_the_metrics_of_a_model_are_those_that_have_a_log(model: Any) -> None:
    """A model's metrics are its compiled ones and those that it holds."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    held = package.metrics.Mean(name="held")
    if not hasattr(held, "metrics"):  # a layer of tf_keras has them anyway
        held.metrics = [package.metrics.Mean(name="inside")]
    model.held = held

    names = [metric.name for metric in compat.metrics_of(model)]

    logs = models.fit(model)
    assert set(names) - {"inside"} == {*logs, "held"}


@needs_both
def test_one_callback_serves_all_flavors() -> None:
    """A callback that ran in one flavor runs in the next."""
    callback = FinalOpsCallback("loss")

    for package in (keras, KERAS_2, keras):
        history = models.fit(models.tiny_model(package), callback)

        assert callback.final_ops_values == pytest.approx(history["loss"][-1])


def test_symbolic_inputs_of_all_flavors_are_fed_by_tensor(
    model: Any,
) -> None:
    """In Keras 3 a symbolic input is a key, in Keras 2 its `.ref()` is."""
    key = models.key_of(model.input)
    callback = FinalOpsCallback(model.output, {key: BATCH})

    values = models.finish(callback, model)

    np.testing.assert_array_equal(values, model(BATCH, training=False))


def test_no_log_is_copied_to_the_host_for_us(model: Any) -> None:
    """In Keras 2 the logs of a subclass with a batch method are tensors."""
    package = sys.modules[type(model).__module__.partition(".")[0]]
    if package.__name__ == "keras" and hasattr(package, "ops"):
        pytest.skip("Keras 3 always gives numbers")
    seen: list[Any] = []

    class Recording(FinalOpsCallback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(logs["loss"])

    models.fit(model, Recording("loss"))

    assert isinstance(seen[0], tf.Tensor)


def test_the_step_counts_updates(model: Any) -> None:
    """The step is the number of updates, also of several fits."""
    steps: list[int] = []

    class Recording(FinalOpsCallback):
        def on_final_ops_values(self, values: Any, _: str, step: int) -> None:
            steps.append(step)

    models.fit(model, Recording(1), epochs=3)

    assert steps == [model.optimizer.iterations.numpy()]


def test_xla_gives_the_same_values(flavor: ModuleType) -> None:
    """With XLA a metric has its training value, too."""
    model = models.tiny_model(flavor)
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=True)
    callback = FinalOpsCallback(["mae", lambda model: mae_of(model).result()])

    history = models.fit(model, callback, validate=True)

    assert callback.final_ops_values == pytest.approx(history["mae"] * 2)


MIRRORED = """
    import sys
    import tensorflow as tf
    import {package} as flavor
    from final_ops_callback import FinalOpsCallback
    from final_ops_callback._keras import compat
    from tests import models

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = models.tiny_model(flavor)
    mae = lambda model: next(
        m for m in compat.metrics_of(model) if m.name == "mae"
    )
    models.fit(model)
    ops = [mae(model), lambda model: mae(model).result(), "val_mae"]
    callback = FinalOpsCallback([*ops, model.layers[-1].kernel])
    shares = []

    def take_shares(_):
        parts = [compat.components(v) for v in mae(model).variables]
        assert {{len(part) for part in parts}} == {{2}}
        shares.append([[p.numpy() for p in part] for part in parts])

    before, after = [
        flavor.callbacks.LambdaCallback(on_train_end=take_shares)
        for _ in range(2)
    ]
    history = models.fit(
        model, before, callback, after, validate=True, epochs=2
    )
    assert shares[0] == shares[1], shares
    *metrics, kernel = callback.final_ops_values
    expected = [history[n][-1] for n in ("mae", "mae", "val_mae")]
    assert len(compat.components(model.layers[-1].kernel)) == 2
    assert all(abs(a - b) < 1e-5 for a, b in zip(metrics, expected)), (
        metrics, expected
    )
    assert (kernel == model.get_weights()[0]).all()
"""


@pytest.mark.parametrize("package", FLAVORS)
def test_replicas_are_read_together(package: str) -> None:
    """Under MirroredStrategy a value is that of all replicas."""
    root = Path(__file__).parents[2]

    script = textwrap.dedent(MIRRORED).format(package=package)
    # Logical devices can be made only before TensorFlow has started.
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("phase", ["train", "test", "predict"])
@pytest.mark.parametrize("kind", [FinalOpsCallback, SessionRunHookCallback])
def test_a_list_of_callbacks_without_parameters(
    model: Any, phase: str, kind: Any, flavor: Any
) -> None:
    """A custom loop may give no parameters to its callbacks."""
    stop = tf.compat.v1.train.StopAtStepHook(last_step=9)
    callback = kind([1]) if kind is FinalOpsCallback else kind(stop)
    callbacks = flavor.callbacks.CallbackList([callback], model=model)
    if kind is SessionRunHookCallback:
        getattr(model, f"make_{phase}_function")()

    getattr(callbacks, f"on_{phase}_begin")()
    getattr(callbacks, f"on_{phase}_end")()

    if kind is FinalOpsCallback:
        assert callback.final_ops_values == [1]
