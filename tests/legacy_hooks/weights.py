# SPDX-License-Identifier: Apache-2.0
"""Hooks that watch or swap the weights."""

import numpy as np
import tensorflow.compat.v1 as tf


class UpdateRatio(tf.train.SessionRunHook):
    """Compares the weights before and after each step."""

    def begin(self):
        self._weights = tf.trainable_variables()
        self.ratios = []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._weights)

    def after_run(self, run_context, run_values):
        after = run_context.session.run(self._weights)
        ratios = [
            float(np.linalg.norm(b - a) / np.linalg.norm(a))
            for a, b in zip(run_values.results, after, strict=True)
        ]
        self.ratios.append(ratios)


class EmaLoader(tf.train.SessionRunHook):
    """Averages the weights; swaps the averages in at the end."""

    def __init__(self, decay=0.5):
        self._ema = tf.train.ExponentialMovingAverage(decay)

    def begin(self):
        weights = tf.trainable_variables()
        self._update = self._ema.apply(weights)
        self._load = tf.group(
            *[tf.assign(v, self._ema.average(v)) for v in weights]
        )

    def after_run(self, run_context, run_values):
        run_context.session.run(self._update)

    def end(self, session):
        session.run(self._load)


class BackupWeights(tf.train.SessionRunHook):
    """Goes back to the best weights when the loss goes up."""

    def __init__(self):
        self._best = float("inf")
        self.backs = 0

    def begin(self):
        self._pairs = []
        for variable in tf.trainable_variables():
            copy = tf.get_variable(
                variable.op.name + "_backup",
                shape=variable.get_shape(),
                initializer=tf.zeros_initializer(),
                trainable=False,
            )
            self._pairs.append((variable, copy))
        self._save = tf.group(*[tf.assign(c, v) for v, c in self._pairs])
        self._back = tf.group(*[tf.assign(v, c) for v, c in self._pairs])

    def after_create_session(self, session, coord):
        session.run(self._save)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs("loss:0")

    def after_run(self, run_context, run_values):
        if run_values.results < self._best:
            self._best = float(run_values.results)
            run_context.session.run(self._save)
        else:
            self.backs += 1
            run_context.session.run(self._back)


class GradientNoise(tf.train.SessionRunHook):
    """Adds a noise from Python to the weights, by placeholder."""

    def __init__(self, seed=0, scale=0.01):
        self._random = np.random.RandomState(seed)
        self._scale = scale

    def begin(self):
        self._noise, self._add = {}, []
        for variable in tf.trainable_variables():
            noise = tf.placeholder(tf.float32, variable.get_shape())
            self._noise[variable] = noise
            self._add.append(tf.assign_add(variable, noise))

    def after_run(self, run_context, run_values):
        feeds = {
            noise: self._random.normal(0, self._scale, noise.shape)
            for noise in self._noise.values()
        }
        run_context.session.run(self._add, feed_dict=feeds)


class WeightHistory(tf.train.SessionRunHook):
    """Fetches all weights and slots by name, nested, every run."""

    def __init__(self):
        self.kernels = []

    def begin(self):
        self._fetches = {
            "weights": {v.op.name: v for v in tf.trainable_variables()},
            "others": [
                v
                for v in sorted(tf.global_variables(), key=lambda v: v.name)
                if not v.trainable
            ],
        }

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(fetches=self._fetches)

    def after_run(self, run_context, run_values):
        self.kernels.append(run_values.results["weights"]["dense/kernel"])


class CheckWeights(tf.train.SessionRunHook):
    """Fails when a weight is not finite; counts its checks in the graph."""

    def begin(self):
        self._count = tf.get_variable(
            "checks", initializer=tf.constant(0), trainable=False
        )
        finite = [
            tf.reduce_all(tf.is_finite(v)) for v in tf.trainable_variables()
        ]
        with tf.control_dependencies([tf.assign_add(self._count, 1)]):
            self._finite = tf.reduce_all(tf.stack(finite))

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._finite)

    def after_run(self, run_context, run_values):
        if not run_values.results:
            raise ValueError("a weight is not finite")

    def end(self, session):
        self.checks = int(session.run(self._count))


CITIZENS = {
    "update_ratio": UpdateRatio,
    "ema_loader": EmaLoader,
    "backup_weights": BackupWeights,
    "gradient_noise": GradientNoise,
    "weight_history": WeightHistory,
    "check_weights": CheckWeights,
}
