# SPDX-License-Identifier: Apache-2.0
"""A hook before an error, and one after it."""

import tensorflow.compat.v1 as tf


class Before(tf.train.SessionRunHook):
    pass


def broken(:
    pass


class After(tf.train.SessionRunHook):
    pass
