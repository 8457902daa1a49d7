# SPDX-License-Identifier: Apache-2.0
"""ParameterServerStrategy: two workers and a server, on loopback."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests._keras.test_workers import free_ports
from tests.flavors import KERAS_2

pytestmark = pytest.mark.slow

SCRIPT = """
import importlib, sys
import numpy as np
import tensorflow as tf
keras = importlib.import_module(sys.argv[1])
from final_ops_callback import FinalOpsCallback, SessionRunHookCallback
from final_ops_callback.errors import StrategyError
v1 = tf.compat.v1

addresses = [f"127.0.0.1:{port}" for port in sys.argv[2].split(",")]
cluster = tf.train.ClusterSpec(
    {"worker": addresses[:2], "ps": addresses[2:3], "chief": addresses[3:]}
)
# On few cores, servers of one process would wait for each other's threads.
config = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=4)
servers = [
    tf.distribute.Server(cluster, job, index, protocol="grpc", config=config)
    for job, index in (("worker", 0), ("worker", 1), ("ps", 0))
]
strategy = tf.distribute.ParameterServerStrategy(
    tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster, rpc_layer="grpc", task_type="chief", task_id=0
    )
)
X = np.random.RandomState(0).normal(size=(32, 2)).astype("float32")
Y = 2 * X.sum(axis=1, keepdims=True)
with strategy.scope():
    model = keras.Sequential([
        keras.Input((2,)),
        keras.layers.Dense(1, kernel_initializer="ones"),
    ])
    model.compile(keras.optimizers.SGD(0.05), "mse", metrics=["mae"])
mae = lambda model: model.metrics[-1].result()
data = tf.data.Dataset.from_tensor_slices((X, Y)).repeat().batch(8)

hook = SessionRunHookCallback(v1.train.StopAtStepHook(num_steps=1))
try:
    model.fit(data, steps_per_epoch=4, verbose=0, callbacks=[hook])
except StrategyError as error:
    print("refused:", error)
assert int(model.optimizer.iterations.numpy()) == 0

final = FinalOpsCallback({
    "logs": ["loss", "mae"],
    "mae": mae,
    "weights": list(model.weights),
    "step": model.optimizer.iterations,
    "function": tf.function(lambda model: tf.reduce_sum(model.weights[0])),
})
for phase in ("fit", "evaluate"):
    logs = getattr(model, phase)(
        data, verbose=0, callbacks=[final],
        **({"steps_per_epoch": 4, "epochs": 2} if phase == "fit"
           else {"steps": 4, "return_dict": True}),
    )
    if phase == "fit":
        logs = {name: values[-1] for name, values in logs.history.items()}
    values = final.final_ops_values
    np.testing.assert_allclose(values["logs"], [logs["loss"], logs["mae"]])
    np.testing.assert_allclose(values["mae"], logs["mae"], rtol=1e-6)
    for value, weight in zip(values["weights"], model.get_weights()):
        np.testing.assert_array_equal(value, weight)
    assert values["step"] == 8
    np.testing.assert_allclose(values["function"], values["weights"][0].sum())
print("values equal", flush=True)
import os
os._exit(0)  # servers never leave by themselves
"""


def test_final_values_and_no_hooks() -> None:
    """FinalOpsCallback works; hooks are refused before the first step."""
    ports = ",".join(map(str, free_ports(4)))

    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, KERAS_2.__name__, ports],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert "values equal" in result.stdout, result.stderr[-3000:]
    assert "refused: a coordinator dispatches the steps" in result.stdout
