# SPDX-License-Identifier: Apache-2.0
"""Imports that are tried in two ways."""

try:
    import tensorflow.compat.v1 as tf
except ImportError:
    import tensorflow as tf

try:
    from tensorflow.estimator import SessionRunHook
except ImportError:
    from tensorflow.compat.v1.train import SessionRunHook

if tf.__version__.startswith("1."):
    Args = tf.contrib.framework.nest
else:
    Args = tf.train.SessionRunArgs


class Tried(SessionRunHook):
    def before_run(self, run_context):
        return tf.train.SessionRunArgs("loss:0")


class AlsoTried(tf.train.SessionRunHook):
    pass


if __name__ == "__main__":
    tf.contrib.learn.run(AlsoTried)
