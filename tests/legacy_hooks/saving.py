# SPDX-License-Identifier: Apache-2.0
"""Hooks that save and restore."""

import os

import numpy as np
import tensorflow.compat.v1 as tf


class PredictionSaver(tf.train.SessionRunHook):
    """Saves what the weights predict for rows of its own."""

    def __init__(self, rows, output_dir):
        self._rows = rows
        self._output_dir = output_dir

    def begin(self):
        os.makedirs(self._output_dir, exist_ok=True)
        kernel, bias = tf.trainable_variables()[:2]
        self._input = tf.placeholder(tf.float32, [None, 2], name="rows")
        self._output = tf.matmul(self._input, kernel) + bias
        self._step = tf.train.get_global_step()
        self.predictions = []

    def after_run(self, run_context, run_values):
        predicted, step = run_context.session.run(
            [self._output, self._step], feed_dict={self._input: self._rows}
        )
        self.predictions.append(predicted)
        path = os.path.join(self._output_dir, f"predictions-{step}.npy")
        np.save(path, predicted)


class BestExporter(tf.train.SessionRunHook):
    """Saves a checkpoint whenever the loss is the best so far."""

    def __init__(self, output_dir):
        self._path = os.path.join(output_dir, "best")

    def begin(self):
        self._saver = tf.train.Saver(tf.trainable_variables(), max_to_keep=2)
        self._step = tf.train.get_global_step()
        self.best = float("inf")
        self.saved = []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs({"loss": "loss:0"})

    def after_run(self, run_context, run_values):
        loss = float(run_values.results["loss"])
        if loss < self.best:
            self.best = loss
            path = self._saver.save(
                run_context.session,
                self._path,
                global_step=self._step,
                write_meta_graph=False,
            )
            self.saved.append(path)


class PartialRestore(tf.train.SessionRunHook):
    """Restores those variables that a checkpoint has, if their shape fits."""

    def __init__(self, checkpoint):
        self._checkpoint = checkpoint

    def begin(self):
        reader = tf.train.NewCheckpointReader(self._checkpoint)
        shapes = reader.get_variable_to_shape_map()
        fitting = {
            v.op.name: v
            for v in tf.global_variables()
            if shapes.get(v.op.name) == v.get_shape().as_list()
        }
        self.restored = sorted(fitting)
        self._saver = tf.train.Saver(fitting)

    def after_create_session(self, session, coord):
        self._saver.restore(session, self._checkpoint)


class InitFromCheckpoint(tf.train.SessionRunHook):
    """Starts a copy of a weight by `init_from_checkpoint`."""

    def __init__(self, checkpoint):
        self._checkpoint = checkpoint

    def begin(self):
        with tf.variable_scope("teacher"):
            self._copy = tf.get_variable(
                "kernel",
                shape=[2, 1],
                initializer=tf.zeros_initializer(),
                trainable=False,
            )
        tf.train.init_from_checkpoint(
            self._checkpoint, {"dense/kernel": self._copy}
        )
        self._gap = tf.norm(self._copy - tf.trainable_variables()[0])
        self.gaps = []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._gap)

    def after_run(self, run_context, run_values):
        self.gaps.append(float(run_values.results))


class EvalCheckpoint(tf.train.SessionRunHook):
    """Saves all and reads it back every few steps, as evaluators did."""

    def __init__(self, output_dir, every_n=3):
        self._path = os.path.join(output_dir, "eval")
        self._every_n = every_n

    def begin(self):
        self._saver = tf.train.Saver(tf.global_variables())
        self._step = tf.train.get_global_step()
        self.read = []

    def after_run(self, run_context, run_values):
        step = run_context.session.run(self._step)
        if step % self._every_n == 0:
            path = self._saver.save(
                run_context.session, self._path, step, write_meta_graph=False
            )
            reader = tf.train.load_checkpoint(path)
            self.read.append(reader.get_tensor("dense/kernel"))


class NumpyDump(tf.train.SessionRunHook):
    """Dumps all weights into one NumPy file at the end."""

    def __init__(self, path):
        self._path = path

    def end(self, session):
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        variables = tf.global_variables()
        values = session.run(variables)
        names = [v.op.name.replace("/", ".") for v in variables]
        np.savez(self._path, **dict(zip(names, values, strict=True)))


def written_checkpoint(folder="shelf/old"):
    """Write the checkpoint of some former training, in a graph of its own.

    Args:
        folder: Where to.

    Returns:
        The path of the checkpoint.
    """
    os.makedirs(folder, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        values = {
            "dense/kernel": [[1.0], [-1.0]],
            "dense/bias": [0.75],
            "dense/other": [1.0, 2.0, 3.0],
        }
        for name, value in values.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, os.path.join(folder, "model"))


CITIZENS = {
    "prediction_saver": lambda: PredictionSaver(
        np.eye(2, dtype="float32"), "shelf"
    ),
    "best_exporter": lambda: BestExporter("shelf"),
    "partial_restore": lambda: PartialRestore(written_checkpoint()),
    "init_from_checkpoint": lambda: InitFromCheckpoint(written_checkpoint()),
    "eval_checkpoint": lambda: EvalCheckpoint("shelf"),
    "numpy_dump": lambda: NumpyDump("shelf/weights.npz"),
}
