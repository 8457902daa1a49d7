# SPDX-License-Identifier: Apache-2.0
"""Imports what Python 3 has elsewhere."""

import ConfigParser
import tensorflow.compat.v1 as tf


class Configured(tf.train.SessionRunHook):
    pass
