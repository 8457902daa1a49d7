# SPDX-License-Identifier: Apache-2.0
"""What tf.contrib had."""

import tensorflow as tf
import tensorflow.contrib.slim as slim
from tensorflow.contrib import training as contrib_training


class Stopper(contrib_training.StopAfterNEvalsHook):
    pass


def evaluate(checkpoint_dir, log_dir, names_to_updates, auc):
    hooks = [
        tf.contrib.training.SummaryAtEndHook(log_dir),
        contrib_training.StopAfterNEvalsHook(10),
        tf.contrib.hooks.ProfilerHook(save_steps=10),
    ]
    contrib_training.evaluate_repeatedly(
        checkpoint_dir, final_ops={"auc": auc}, hooks=hooks
    )
    return slim.evaluation.evaluate_once(
        "", checkpoint_dir, log_dir, final_op=names_to_updates
    )


def train(train_op, log_dir):
    slim.learning.train(train_op, log_dir, number_of_steps=10)
    monitor = tf.contrib.learn.monitors.ValidationMonitor(None)
    return monitor
