# SPDX-License-Identifier: Apache-2.0
"""Python 2."""

import time
import tensorflow as tf


class Timing(tf.train.SessionRunHook):
    def before_run(self, run_context):
        self._start = time.time()

    def after_run(self, run_context, run_values):
        try:
            print "took %.3f s" % (time.time() - self._start)
        except IOError, error:
            print >>log, `error`, 0777, 10L, ur"\d"


class Ok(tf.compat.v1.train.SessionRunHook):
    pass


def run(loss):
    hooks = [Timing(), tf.train.NanTensorHook(loss)]
    exec "print 1" in {}
    with tf.train.MonitoredTrainingSession(hooks=hooks) as session:
        while not session.should_stop():
            session.run(loss)
