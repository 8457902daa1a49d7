# SPDX-License-Identifier: Apache-2.0
"""Everything of a module."""

from tensorflow.compat.v1.train import *


class FromStar(SessionRunHook):
    def before_run(self, run_context):
        return SessionRunArgs("loss:0")


def hooks():
    return [StopAtStepHook(num_steps=2)]
