# SPDX-License-Identifier: Apache-2.0
"""The base of the others."""

import tensorflow.compat.v1 as tf

__all__ = ["EveryN", "Hook"]

Hook = tf.train.SessionRunHook


class EveryN(tf.train.SessionRunHook):
    def __init__(self, every=2):
        self._timer = tf.train.SecondOrStepTimer(every_steps=every)
        self.lines = []

    def begin(self):
        self._timer.reset()
        self._count = 0

    def after_run(self, run_context, run_values):
        self._count += 1
        if self._timer.should_trigger_for_step(self._count):
            self._timer.update_last_triggered_step(self._count)
            self.act(run_values)

    def act(self, run_values):
        self.lines.append(self._count)
