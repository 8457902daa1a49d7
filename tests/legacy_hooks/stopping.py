# SPDX-License-Identifier: Apache-2.0
"""Hooks that stop the training."""

import itertools
import threading

import tensorflow.compat.v1 as tf


class EarlyStopping(tf.train.SessionRunHook):
    """Stops when a predicate of the session says so."""

    def __init__(self, should_stop, every_n=1):
        self._should_stop = should_stop
        self._timer = tf.train.SecondOrStepTimer(every_steps=every_n)

    def begin(self):
        self._global_step = tf.train.get_global_step()
        self._flag = tf.get_variable(
            "stop_flag",
            shape=[],
            dtype=tf.bool,
            initializer=tf.constant_initializer(False),
            collections=[tf.GraphKeys.LOCAL_VARIABLES],
            trainable=False,
        )
        self._raise_flag = self._flag.assign(True)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs([self._global_step, self._flag])

    def after_run(self, run_context, run_values):
        step, flag = run_values.results
        if flag:
            tf.logging.info("stopping, as asked for at step %d", step)
            run_context.request_stop()
        elif self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            if self._should_stop(run_context.session):
                run_context.session.run(self._raise_flag)


class LossPlateauStop(tf.train.SessionRunHook):
    """Stops when the loss has not gone down for some steps."""

    def __init__(self, loss="loss:0", patience=0):
        self._loss = loss
        self._patience = patience
        self.best = float("inf")
        self.waited = 0

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._loss)

    def after_run(self, run_context, run_values):
        loss = float(run_values.results)
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self._patience:
            run_context.request_stop()


class TimeBasedStop(tf.train.SessionRunHook):
    """Stops after so many seconds of a clock."""

    def __init__(self, seconds, clock):
        self._seconds = seconds
        self._clock = clock

    def after_create_session(self, session, coord):
        self._start = self._clock()

    def after_run(self, run_context, run_values):
        if self._clock() - self._start >= self._seconds:
            run_context.request_stop()


class StopFromThread(tf.train.SessionRunHook):
    """Watches the weights from a thread that stops the coordinator."""

    def __init__(self, limit=2.0):
        self._limit = limit

    def begin(self):
        self._norm = tf.global_norm(tf.trainable_variables())

    def after_create_session(self, session, coord):
        self._coord = coord

    def after_run(self, run_context, run_values):
        thread = threading.Thread(
            target=self._watch, args=(run_context.session,)
        )
        thread.start()
        thread.join()

    def _watch(self, session):
        if session.run(self._norm) > self._limit:
            self._coord.request_stop()


class StopIterationAt(tf.train.SessionRunHook):
    """Ends the run as if the data had, once enough was seen."""

    def __init__(self, batches):
        self._left = batches

    def before_run(self, run_context):
        if self._left == 0:
            raise StopIteration
        self._left -= 1


class OutOfRangeOfOwnData(tf.train.SessionRunHook):
    """Pulls from a data set of its own, whose end ends the run."""

    def begin(self):
        data = tf.data.Dataset.range(5)
        self._next = tf.data.make_one_shot_iterator(data).get_next()
        self.seen = []

    def before_run(self, run_context):
        self.seen.append(int(run_context.session.run(self._next)))


def _small_loss(session):
    norm = session.run(tf.trainable_variables()[0])
    return abs(norm).sum() > 2.5


def _ticking():
    ticks = itertools.count()
    return lambda: float(next(ticks))


CITIZENS = {
    "early_stopping": lambda: EarlyStopping(_small_loss),
    "loss_plateau_stop": LossPlateauStop,
    "time_based_stop": lambda: TimeBasedStop(4.0, _ticking()),
    "stop_from_thread": StopFromThread,
    "stop_iteration_at": lambda: StopIterationAt(4),
    "out_of_range_of_own_data": OutOfRangeOfOwnData,
}
