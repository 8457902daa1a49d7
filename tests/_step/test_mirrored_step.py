# SPDX-License-Identifier: Apache-2.0
"""A step on two replicas delivers one batch and one loss."""

import subprocess
import sys

import pytest

from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

# In a process of its own: devices are configured once, before TensorFlow.
SCRIPT = """
import importlib, sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
device = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [device, device])
keras = importlib.import_module(sys.argv[1])
from final_ops_callback import FinalOpsCallback, SessionRunHookCallback
v1 = tf.compat.v1

X = np.random.RandomState(0).normal(size=(10, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Fetches(v1.train.SessionRunHook):
    def __init__(self, names):
        self.names, self.seen = names, []

    def before_run(self, run_context):
        fetches = {name: name + ":0" for name in self.names}
        return v1.train.SessionRunArgs(fetches)

    def after_run(self, run_context, run_values):
        self.seen.append(run_values.results)


def run(strategy):
    with strategy.scope():
        model = keras.Sequential([
            keras.Input((2,)),
            keras.layers.Dense(3, name="hidden", kernel_initializer="ones"),
            keras.layers.Dense(1, name="out", kernel_initializer="ones"),
        ])
        model.compile(keras.optimizers.SGD(0.05), "mse")
    kernel = model.trainable_variables[0]
    path = getattr(kernel, "path", None) or kernel.name.removesuffix(":0")
    names = ["features", "labels", "predictions", "hidden", "loss"]
    gradients = ["gradients/global_norm", "gradients/" + path]
    spec = {"labels": tf.TensorSpec([None, 1], "float32")}
    seen = []
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    for method, wanted in (
        ("fit", names + gradients),
        ("evaluate", names),
        ("predict", ["features", "predictions", "hidden"]),
    ):
        hook = Fetches(wanted)
        callback = SessionRunHookCallback(hook, step_tensors=spec)
        final = FinalOpsCallback(["features", "predictions"])
        getattr(model, method)(data, verbose=0, callbacks=[callback, final])
        assert len(hook.seen) == 3
        seen += [{n.split("/")[-1]: v for n, v in s.items()} for s in hook.seen]
        for name, value in zip(("features", "predictions"),
                               final.final_ops_values):
            np.testing.assert_array_equal(value, hook.seen[-1][name])
    return seen


one = run(tf.distribute.get_strategy())
two = run(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for alone, mirrored in zip(one, two, strict=True):
    assert alone.keys() == mirrored.keys()
    for name in alone:
        assert alone[name].shape == mirrored[name].shape, name
        np.testing.assert_allclose(
            alone[name], mirrored[name], rtol=1e-5, atol=1e-5, err_msg=name
        )
print("compared", len(one))
"""


@pytest.mark.parametrize("flavor", FLAVORS)
def test_two_replicas_deliver_what_one_does(flavor: str) -> None:
    """Batches come in the order of the replicas, gradients aggregated."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, flavor],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-3000:]
    assert "compared 9" in result.stdout
