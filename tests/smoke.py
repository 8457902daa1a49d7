# SPDX-License-Identifier: Apache-2.0
"""Tries an installed package, as a user does who has just installed it.

python smoke.py, anywhere but in the folder of the sources.
"""

import importlib.metadata
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

import final_ops_callback
from final_ops_callback import FinalOpsCallback
from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback import v1_names

SOURCES = pathlib.Path(__file__).parents[1]


def installed() -> None:
    """The package is the installed one, with its version and its types."""
    home = pathlib.Path(final_ops_callback.__file__).parent
    assert SOURCES not in home.parents, home
    assert (home / "py.typed").exists()
    version = importlib.metadata.version("final_ops_callback")
    assert final_ops_callback.__version__ == version
    for name in final_ops_callback.__all__:
        getattr(final_ops_callback, name)


def trained(folder: str) -> None:
    """A v1 hook stops a training, whose final values are kept."""
    layers = [keras.Input((2,)), keras.layers.Dense(1, name="dense")]
    model = keras.Sequential(layers, name="net")
    model.compile("sgd", "mse")
    with v1_names.install():
        hook = tf.estimator.StopAtStepHook(last_step=3)
    final = FinalOpsCallback({"loss": "loss"})
    data = tf.data.Dataset.from_tensors((np.ones((4, 2)), np.ones(4)))
    model.fit(
        data.repeat(),
        steps_per_epoch=10,
        verbose=0,
        callbacks=[MonitoredTrainingCallback(folder, hook), final],
    )
    assert model.optimizer.iterations.numpy() == 3
    assert np.isfinite(final.final_ops_values["loss"])
    assert tf.train.latest_checkpoint(folder).endswith("-3")


def commanded(folder: str) -> None:
    """The commands are there."""
    module = [sys.executable, "-m", "final_ops_callback"]
    text = subprocess.check_output([*module, "--help"], text=True)
    assert "--epochs" in text
    script = pathlib.Path(folder) / "script.py"
    script.write_text("import tensorflow.compat.v1 as tf\n")
    subprocess.run([*module, "scan", str(script)], check=True)


def main() -> None:
    """Tries all, and says so."""
    installed()
    with tempfile.TemporaryDirectory() as folder:
        trained(folder)
        commanded(folder)
    print("the installed package works")


if __name__ == "__main__":
    main()
