# SPDX-License-Identifier: Apache-2.0
"""Turns off what Keras needs."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


class WithoutEager(tf.train.SessionRunHook):
    pass
