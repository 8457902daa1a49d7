# SPDX-License-Identifier: Apache-2.0
"""FinalOpsCallback on the other backends of Keras 3."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flavors import needs_keras_3

pytestmark = pytest.mark.slow

SCRIPT = """
import keras
import numpy as np
import final_ops_callback
from final_ops_callback import FinalOpsCallback

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X[:, :1] * 2
keras.utils.set_random_seed(0)
image = keras.Input((3,), name="x")
hidden = keras.layers.Dense(2, name="hidden")(image)
normed = keras.layers.BatchNormalization()(hidden)
model = keras.Model(image, keras.layers.Dense(1)(normed))
mae = keras.metrics.MeanAbsoluteError(name="mae")
model.compile("adam", "mse", metrics=[mae])

def norm(model):
    return keras.ops.sum(model.trainable_variables[0] ** 2)

ops = {
    "metric": mae,
    "name": "mae",
    "loss": "loss",
    "function": lambda model: mae.result(),
    "norm": norm,
    "variables": list(model.variables),
    "moving": model.non_trainable_variables[0],
    "step": model.optimizer.iterations,
    "slot": model.optimizer.variables[-1],
    "hidden": hidden,
    "logs": lambda logs: dict(logs),
    "numpy": np.arange(3),
}
final = FinalOpsCallback(ops, {"x": X}, filepath="{phase}.npz")
inner = FinalOpsCallback({"mae": mae, "variables": list(model.variables)},
                         on="validation")
history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0,
                    validation_data=(X + 1, Y),
                    callbacks=[final, inner]).history
values = final.final_ops_values

def same(value, expected):
    value, expected = np.asarray(value), np.asarray(expected)
    assert type(value) is np.ndarray, type(value)
    np.testing.assert_allclose(value, expected, rtol=1e-5)

def check(values, logs):
    for name in ("metric", "name", "function"):
        same(values[name], logs["mae"])
    same(values["loss"], logs["loss"])
    same(values["norm"], np.sum(model.get_weights()[0] ** 2))
    for value, weight in zip(values["variables"], model.get_weights()):
        assert isinstance(value, np.ndarray)
        same(value, weight)
    same(values["step"], 4)
    part = keras.Model(image, hidden)
    same(values["hidden"], part.predict(X, verbose=0))

validation = inner.final_ops_values_by_phase["validation"]
same(validation["mae"], history["val_mae"][-1])
for value, weight in zip(validation["variables"], model.get_weights()):
    same(value, weight)
last = {name: history[name][-1] for name in ("loss", "mae")}
check(values, last)
same(values["moving"], model.get_weights()[4])
assert np.any(values["slot"] != 0)
assert values["logs"].keys() == history.keys()
logs = model.evaluate(X, Y, verbose=0, return_dict=True, callbacks=[final])
check(final.final_ops_values, logs)
some = FinalOpsCallback({k: ops[k] for k in ("variables", "norm", "hidden")},
                        {"x": X})
model.predict(X, verbose=0, callbacks=[some])
same(some.final_ops_values["variables"][0], model.get_weights()[0])
assert sorted(np.load("test.npz", allow_pickle=False).files)
print("checked", keras.backend.backend())
"""


@needs_keras_3
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_values_of_a_backend(backend: str, tmp_path: Path) -> None:
    """Metrics, callables and variables in fit, evaluate and predict."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed; .ci/stacks/backends has it")
    root = Path(__file__).parents[2]

    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-3000:]
    assert f"checked {backend}" in result.stdout
