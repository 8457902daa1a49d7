# SPDX-License-Identifier: Apache-2.0
"""A base that is in no file of the tree."""

import outside_library
import tensorflow.compat.v1 as tf


class Foreign(outside_library.BaseHook):
    def before_run(self, run_context):
        return tf.train.SessionRunArgs("loss:0")

    def after_run(self, run_context, run_values):
        self.loss = run_values.results
