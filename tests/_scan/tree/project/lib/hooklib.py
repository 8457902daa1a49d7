# SPDX-License-Identifier: Apache-2.0
"""A module that is found below a folder of the tree."""

from tensorflow.compat.v1 import train


class LibHook(train.SessionRunHook):
    def before_run(self, run_context):
        return train.SessionRunArgs("gradients/global_norm:0")

    def after_run(self, run_context, run_values):
        self.norm = run_values.results
