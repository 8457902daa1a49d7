# SPDX-License-Identifier: Apache-2.0
"""Hooks of the plainest kind, in the spelling that TensorFlow 2 has."""

import time

import tensorflow.compat.v1 as tf


class CountSteps(tf.train.SessionRunHook):
    """Counts."""

    def begin(self):
        self.steps = 0

    def after_run(self, run_context, run_values):
        self.steps += 1


class KeepLoss(tf.train.SessionRunHook):
    def before_run(self, run_context):
        return tf.train.SessionRunArgs({"loss": "loss:0"})

    def after_run(self, run_context, run_values):
        self.loss = run_values.results["loss"]


class StopWhenFlat(tf.train.SessionRunHook):
    def __init__(self, loss, patience=3):
        self._loss = loss
        self._patience = patience

    def begin(self):
        self._best, self._since = None, 0

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._loss)

    def after_run(self, run_context, run_values):
        if self._best is None or run_values.results < self._best:
            self._best, self._since = run_values.results, 0
        self._since += 1
        if self._since > self._patience:
            run_context.request_stop()


class WeightNorm(tf.train.SessionRunHook):
    def begin(self):
        norm = tf.global_norm(tf.trainable_variables())
        self._norm = tf.identity(norm, name="norm")
        self._step = tf.train.get_or_create_global_step()

    def after_create_session(self, session, coord):
        self.before = session.run(self._norm)

    def after_run(self, run_context, run_values):
        self.norm, self.step = run_context.session.run(["norm:0", self._step])

    def end(self, session):
        self.after = session.run(self._norm)


class StepsPerSecond(tf.train.StepCounterHook):
    def after_run(self, run_context, run_values):
        super().after_run(run_context, run_values)
        self.seen = time.time()


def hooks():
    return [
        tf.train.StopAtStepHook(num_steps=5),
        tf.train.LoggingTensorHook(["loss:0", "predictions:0"], at_end=True),
        tf.train.NanTensorHook("loss:0", fail_on_nan_loss=False),
        StopWhenFlat("loss:0", patience=9),
        StepsPerSecond(every_n_steps=2),
    ]
