# SPDX-License-Identifier: Apache-2.0
"""Summaries."""

import tensorflow as tf


class Summarizing(tf.compat.v1.train.SessionRunHook):
    def begin(self):
        self._summary = tf.summary.scalar("loss", "loss:0")


class Writes(tf.compat.v1.train.SessionRunHook):
    def begin(self):
        graph = tf.compat.v1.get_default_graph()
        loss = graph.get_tensor_by_name("loss:0")
        self._summary = tf.compat.v1.summary.scalar("mine", loss)

    def before_run(self, run_context):
        return tf.compat.v1.train.SessionRunArgs(self._summary)

    def after_run(self, run_context, run_values):
        self.summary = run_values.results


class Listener(tf.compat.v1.train.CheckpointSaverListener):
    def after_save(self, session, global_step_value):
        self.saved = global_step_value


def hooks(op):
    return [
        tf.compat.v1.train.SummarySaverHook(10, summary_op=op),
        tf.compat.v1.train.ProfilerHook(save_steps=100),
        tf.compat.v1.train.CheckpointSaverHook(
            "here", saver=tf.compat.v1.train.Saver()
        ),
    ]
