# SPDX-License-Identifier: Apache-2.0
"""Aliases of aliases."""

import tensorflow as tf

v1 = tf.compat.v1
training = v1.train
Base, Args = training.SessionRunHook, training.SessionRunArgs
Older = Base if hasattr(v1, "Session") else object


class Outer:
    class Inner(Base):
        def before_run(self, run_context):
            return Args("learning_rate:0")

        def after_run(self, run_context, run_values):
            self.rate = run_values.results


class Elder(Older):
    def end(self, session):
        self.ended = True


class Younger(Outer.Inner, Elder):
    pass


def hooks():
    return [Outer.Inner(), training.StopAtStepHook(last_step=4)]
