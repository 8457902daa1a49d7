# SPDX-License-Identifier: Apache-2.0
"""Hooks that take part in the training."""

import tensorflow.compat.v1 as tf


class LearningRateSchedule(tf.train.SessionRunHook):
    """Feeds the learning rate: a rate per boundary of the step."""

    def __init__(self, boundaries, rates):
        self._boundaries = boundaries
        self._rates = rates
        self.used = []

    def begin(self):
        self._step = tf.train.get_global_step()
        self._rate = self._rates[0]

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(
            self._step, feed_dict={"learning_rate:0": self._rate}
        )

    def after_run(self, run_context, run_values):
        self.used.append(self._rate)
        passed = sum(run_values.results + 1 >= b for b in self._boundaries)
        self._rate = self._rates[passed]


class GanTrainOps(tf.train.SessionRunHook):
    """Runs the generator's train op some times before each step."""

    def __init__(self, steps=2):
        self._steps = steps

    def begin(self):
        with tf.variable_scope("generator"):
            noise = tf.get_variable(
                "w", shape=[2, 1], initializer=tf.ones_initializer()
            )
        real = tf.stop_gradient(tf.trainable_variables()[0])
        self._loss = tf.losses.mean_squared_error(real, noise)
        optimizer = tf.train.AdamOptimizer(0.1)
        self._train = optimizer.minimize(self._loss, var_list=[noise])
        self.losses = []

    def before_run(self, run_context):
        for _ in range(self._steps):
            run_context.session.run(self._train)
        self.losses.append(float(run_context.session.run(self._loss)))


class WeightDecay(tf.train.SessionRunHook):
    """Shrinks the weights after the run."""

    def __init__(self, rate=0.01):
        self._rate = rate

    def begin(self):
        self._decay = tf.group(
            *[
                v.assign_sub(self._rate * v)
                for v in tf.trainable_variables()
                if "bias" not in v.op.name
            ]
        )

    def after_run(self, run_context, run_values):
        run_context.session.run(self._decay)


class WeightClipping(tf.train.SessionRunHook):
    """Clips the weights in a fetch of each run's own session."""

    def __init__(self, limit=1.0):
        with tf.name_scope("clip"):
            self._clip = [
                tf.assign(v, tf.clip_by_value(v, -limit, limit))
                for v in tf.trainable_variables()
            ]

    def after_run(self, run_context, run_values):
        run_context.session.run(self._clip)


class KnobByPlaceholder(tf.train.SessionRunHook):
    """Sets a variable of its own, by placeholder, to what Python says."""

    def __init__(self, schedule):
        self._schedule = schedule

    def begin(self):
        self._value = tf.placeholder(tf.float32, [])
        self._knob = tf.get_variable(
            "keep_prob",
            shape=[],
            initializer=tf.ones_initializer(),
            trainable=False,
            use_resource=True,
        )
        self._set = tf.assign(self._knob, self._value)
        self._step = tf.train.get_global_step()
        self.seen = []

    def before_run(self, run_context):
        step = run_context.session.run(self._step)
        run_context.session.run(
            self._set, feed_dict={self._value: self._schedule(step)}
        )
        return tf.train.SessionRunArgs(self._knob)

    def after_run(self, run_context, run_values):
        self.seen.append(float(run_values.results))


class StepsPerRunSetter(tf.train.SessionRunHook):
    """Loads a value into an integer variable, as multi-step loops did."""

    def begin(self):
        self._variable = tf.get_variable(
            "iterations_per_loop",
            initializer=tf.constant(1, tf.int32),
            trainable=False,
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
            use_resource=True,
        )

    def after_create_session(self, session, coord):
        self._variable.load(1, session=session)

    def after_run(self, run_context, run_values):
        now = run_context.session.run(self._variable)
        self._variable.load(now + 1, session=run_context.session)

    def end(self, session):
        self.last = int(session.run(self._variable))


CITIZENS = {
    "learning_rate_schedule": lambda: LearningRateSchedule(
        [2, 4], [0.1, 0.05, 0.01]
    ),
    "gan_train_ops": GanTrainOps,
    "weight_decay": WeightDecay,
    "weight_clipping": WeightClipping,
    "knob_by_placeholder": lambda: KnobByPlaceholder(
        lambda step: 1.0 / (1.0 + step)
    ),
    "steps_per_run_setter": StepsPerRunSetter,
}
