# SPDX-License-Identifier: Apache-2.0
"""Trains endlessly and writes files, to be killed or denied the disk.

The program imports TensorFlow, and forks for each line on its input (a
folder) before TensorFlow runs anything: the child trains there, its id goes to
the output. The import takes longer than the child lives.
"""

import os
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback

SIZE = 200


def train(folder: str) -> None:
    """Fits without end, with two files and a checkpoint in each fit."""
    os.chdir(folder)
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


def serve() -> None:
    """Forks a child for each folder that the input names."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            train(line.rstrip("\n"))
        print(child, flush=True)
        os.waitpid(child, 0)  # killed by then, by who asked for it


if __name__ == "__main__":
    serve()
