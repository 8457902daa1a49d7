# SPDX-License-Identifier: Apache-2.0
"""Several bases."""

import tensorflow.compat.v1 as tf


class Mixin(object):
    pass


class Several(Mixin, tf.train.SessionRunHook):
    pass


class Unrelated(Mixin):
    def before_run(self, run_context):
        pass
