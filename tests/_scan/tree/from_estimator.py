# SPDX-License-Identifier: Apache-2.0
"""Names taken out of tf.estimator."""

from tensorflow.estimator import LoggingTensorHook as Log
from tensorflow.estimator import SessionRunHook


class Named(SessionRunHook):
    def end(self, session):
        self.ended = True


def hooks():
    return [Named(), Log(["loss"], every_n_iter=5)]
