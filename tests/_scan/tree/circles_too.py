# SPDX-License-Identifier: Apache-2.0
"""The other half of a circle, and a name that is a hook in its own right."""

import tensorflow.compat.v1 as tf
from circles import Ring

tf = tf
SessionRunHook = SessionRunHook


class Round(Ring):
    pass
