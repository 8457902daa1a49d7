# SPDX-License-Identifier: Apache-2.0
"""The spelling of TensorFlow 1, which TensorFlow 2 has not."""

import tensorflow as tf


class LogLoss(tf.train.SessionRunHook):
    def __init__(self, every):
        self._every = every

    def begin(self):
        self._step = -1
        self._loss = tf.get_default_graph().get_tensor_by_name("loss:0")

    def before_run(self, run_context):
        self._step += 1
        return tf.train.SessionRunArgs(self._loss)

    def after_run(self, run_context, run_values):
        if self._step % self._every == 0:
            tf.logging.info("loss %s", run_values.results)


class SaveBest(tf.train.CheckpointSaverHook):
    pass


def hooks(loss, train_op):
    return [
        LogLoss(10),
        tf.train.StopAtStepHook(num_steps=3),
        tf.train.NanTensorHook(loss),
        tf.train.LoggingTensorHook({"loss": loss, "rate": "learning_rate:0"}),
    ]
