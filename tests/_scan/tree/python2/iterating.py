# SPDX-License-Identifier: Apache-2.0
"""Python 2 that Python 3 can parse."""

import tensorflow.compat.v1 as tf


class Iterating(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
        for name, value in run_values.results.iteritems():
            print(name, value)


class Counting(tf.train.SessionRunHook):
    def begin(self):
        self.some = [i for i in xrange(3)]
