# SPDX-License-Identifier: Apache-2.0
"""Trains and writes files, to be killed or denied the disk.

The program trains in the way that its argument names. It imports TensorFlow,
and forks for each line on its input (a folder) before TensorFlow runs
anything: the child trains there, its id goes to the output. The import takes
longer than the child lives.
"""

import os
import pathlib
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback import SessionRunHookCallback

SIZE = 200
LAST_STEP = 1000


def train_endlessly() -> None:
    """Fits without end, with two files and a checkpoint in each fit."""
    model = keras.Sequential([keras.Input((SIZE,)), keras.layers.Dense(SIZE)])
    model.compile("sgd", "mse", jit_compile=False)
    zeros = np.zeros((4, SIZE), "float32")
    data = tf.data.Dataset.from_tensors((zeros, zeros)).repeat(2)
    hook = tf.compat.v1.train.CheckpointSaverHook("saved", save_steps=1)
    callbacks: list[Any] = [SessionRunHookCallback(hook)]
    callbacks += [
        FinalOpsCallback(
            {"kernel": model.layers[0].kernel, "loss": "loss"},
            filepath=f"final_ops{suffix}",
        )
        for suffix in (".json", ".npz")
    ]
    while True:
        model.fit(data, shuffle=False, verbose=0, callbacks=callbacks)


class Slowly(tf.compat.v1.train.SessionRunHook):
    """Makes a step last long enough to be killed in it."""

    def after_run(self, run_context: Any, run_values: Any) -> None:
        time.sleep(0.002)


def train_to_the_end() -> None:
    """Trains up to the last step, from the latest checkpoint on."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((SIZE,)), keras.layers.Dense(4, name="dense")], name="net"
    )
    optimizer = keras.optimizers.Adam(name="adam")
    model.compile(optimizer, "mse", jit_compile=False)
    generator = np.random.default_rng(0)
    batch = generator.normal(size=(8, SIZE)), generator.normal(size=(8, 4))
    data = tf.data.Dataset.from_tensors(batch).repeat()
    monitored = MonitoredTrainingCallback(
        "saved",
        [tf.compat.v1.train.StopAtStepHook(last_step=LAST_STEP), Slowly()],
        save_checkpoint_steps=3,
        save_graph_def=False,
    )
    model.fit(data, shuffle=False, verbose=0, callbacks=[monitored])
    pathlib.Path("done").touch()


WAYS = {way.__name__: way for way in (train_endlessly, train_to_the_end)}


def serve(way: str) -> None:
    """Forks a child for each folder that the input names."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.chdir(line.rstrip("\n"))
            WAYS[way]()
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)  # ended by then, or killed by who asked for it


if __name__ == "__main__":
    serve(sys.argv[1])
