# SPDX-License-Identifier: Apache-2.0
"""Hooks that feed a batch of their own through the graph of the training."""

import tensorflow.compat.v1 as tf


class Validate(tf.train.SessionRunHook):
    """Is given placeholders."""

    def __init__(self, acc, images, labels, held_out):
        self.acc = acc
        self.images, self.labels = images, labels
        self._held_out = held_out

    def after_run(self, run_context, run_values):
        x, y = self._held_out
        self.value = run_context.session.run(
            self.acc, {self.images: x, self.labels: y}
        )


class ByNames(tf.train.SessionRunHook):
    def end(self, session):
        self.value = session.run("accuracy:0", {"features:0": [[1.0]]})


class FromDict(tf.train.SessionRunHook):
    def __init__(self, loss, tensors, values):
        self._loss = loss
        self._tensors = tensors
        self._values = values

    def after_create_session(self, session, coord):
        feeds = dict(zip(self._tensors, self._values))
        self.first = session.run(self._loss, feed_dict=feeds)


class OwnInput(tf.train.SessionRunHook):
    """Feeds what it has made, which runs."""

    def begin(self):
        self._input = tf.placeholder(tf.float32, [None])
        self._mean = tf.reduce_mean(self._input)

    def end(self, session):
        feeds = {self._input: [1.0, 3.0]}
        self.mean = session.run(self._mean, feed_dict=feeds)


def train(acc, images, labels, test_x, test_y):
    class Around(tf.train.SessionRunHook):
        def end(self, session):
            self.value = session.run(
                "accuracy:0", {images: test_x, labels: test_y}
            )

    return [Validate(acc, images, labels, (test_x, test_y)), Around()]
