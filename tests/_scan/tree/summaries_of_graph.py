# SPDX-License-Identifier: Apache-2.0
"""Summaries that a session wrote, and those of a hook."""

import tensorflow.compat.v1 as tf


class OwnSummary(tf.train.SessionRunHook):
    def begin(self):
        graph = tf.get_default_graph()
        loss = graph.get_tensor_by_name("loss:0")
        self._summary = tf.summary.scalar("own", loss)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._summary)


def train(total_loss, weights, train_op, folder):
    tf.summary.histogram("weights", weights)
    tf.summary.scalar("total", total_loss)
    tf.summary.merge_all()
    with tf.train.MonitoredTrainingSession(checkpoint_dir=folder) as session:
        session.run(train_op)
