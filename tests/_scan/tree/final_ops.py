# SPDX-License-Identifier: Apache-2.0
"""FinalOpsHook in all ways."""

import tensorflow.compat.v1 as tf
from final_ops_callback import SessionRunHookCallback


def simple():
    final = tf.train.FinalOpsHook({"auc": "auc:0", "loss": "loss:0"})
    with tf.train.MonitoredSession(hooks=[final]) as session:
        session.run([])
    return final.final_ops_values


def with_tensors(total):
    return tf.train.FinalOpsHook([total])


def with_feeds():
    return tf.train.FinalOpsHook("loss:0", final_ops_feed_dict={"x:0": 1})


def already(model, data):
    final = tf.train.FinalOpsHook("loss:0")
    model.fit(data, callbacks=[SessionRunHookCallback(hooks=[final])])


class KeepsFinal(tf.train.FinalOpsHook):
    def __init__(self):
        super().__init__("loss:0")

    def end(self, session):
        super().end(session)
        self.kept = self.final_ops_values
