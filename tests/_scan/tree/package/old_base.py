# SPDX-License-Identifier: Apache-2.0
"""A base that dies at its import, and with it what derives from it."""

import tensorflow as tf


class OldBase(tf.train.SessionRunHook):
    pass
