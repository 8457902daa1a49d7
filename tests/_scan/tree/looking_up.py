# SPDX-License-Identifier: Apache-2.0
"""Hooks that look up names."""

import tensorflow.compat.v1 as tf


class ByKnownName(tf.train.SessionRunHook):
    def begin(self):
        graph = tf.get_default_graph()
        self._labels = graph.get_tensor_by_name("labels:0")
        self._mean = tf.reduce_mean(self._labels)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._mean)

    def after_run(self, run_context, run_values):
        self.mean = run_values.results


class ByOldName(tf.train.SessionRunHook):
    def begin(self):
        graph = tf.get_default_graph()
        self._logits = graph.get_tensor_by_name("tower_0/softmax/logits:0")


class RunsTooEarly(tf.train.SessionRunHook):
    def before_run(self, run_context):
        self.loss = run_context.session.run("loss:0")


class Gradients(tf.train.SessionRunHook):
    def begin(self):
        loss = tf.get_default_graph().get_tensor_by_name("loss:0")
        self._grads = tf.gradients(loss, tf.trainable_variables())


class Queued(tf.train.SessionRunHook):
    def begin(self):
        self._queue = tf.FIFOQueue(10, [tf.float32])


class Losses(tf.train.SessionRunHook):
    def begin(self):
        self._total = tf.losses.get_total_loss()


def hooks():
    tensors = {"p": "softmax_tensor"}
    return [tf.train.LoggingTensorHook(tensors=tensors, every_n_iter=50)]
