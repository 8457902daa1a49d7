# SPDX-License-Identifier: Apache-2.0
"""Hooks that feed."""

import tensorflow.compat.v1 as tf


class RateByName(tf.train.SessionRunHook):
    def before_run(self, run_context):
        return tf.train.SessionRunArgs(
            "loss:0", feed_dict={"learning_rate:0": 0.05}
        )


class RateByTensor(tf.train.SessionRunHook):
    def __init__(self, lrn_rate):
        self._lrn_rate = lrn_rate

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(None, feed_dict={self._lrn_rate: 0.1})


class OwnPlaceholder(tf.train.SessionRunHook):
    def begin(self):
        self._value = tf.placeholder(tf.float32, [])
        self._double = self._value * 2

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(
            self._double, feed_dict={self._value: 4.0}
        )

    def after_run(self, run_context, run_values):
        self.double = run_values.results


class KeepProbability(tf.train.SessionRunHook):
    def __init__(self, keep_prob):
        self._keep_prob = keep_prob

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(None, {self._keep_prob: 1.0})


def hooks():
    return tf.train.FeedFnHook(lambda: {"x:0": 1})
