# SPDX-License-Identifier: Apache-2.0
"""Hooks that take tensors from the code around them."""

import tensorflow.compat.v1 as tf


def train(images, total_loss, batch_size):
    logits = tf.layers.dense(images, 10)

    class Logger(tf.train.SessionRunHook):
        def before_run(self, run_context):
            return tf.train.SessionRunArgs([total_loss, logits])

        def after_run(self, run_context, run_values):
            self.loss = run_values.results[0]

    class Sized(tf.train.SessionRunHook):
        def end(self, session):
            self.size = batch_size

    with tf.train.MonitoredTrainingSession(
        checkpoint_dir="train",
        hooks=[
            tf.train.StopAtStepHook(last_step=10),
            tf.train.NanTensorHook(total_loss),
            Logger(),
            Sized(),
        ],
        save_summaries_steps=None,
    ) as session:
        while not session.should_stop():
            session.run(logits)


def make_sized(batch_size):
    class AlsoSized(tf.train.SessionRunHook):
        def end(self, session):
            self.size = batch_size

    return AlsoSized()
