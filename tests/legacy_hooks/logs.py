# SPDX-License-Identifier: Apache-2.0
"""Hooks that log and measure."""

import itertools
import json
import os

import numpy as np
import tensorflow.compat.v1 as tf


class MetricsLogger(tf.train.SessionRunHook):
    """Logs the loss with the step every few steps."""

    def __init__(self, every_n=2):
        self.every_n = every_n
        self._timer = tf.train.SecondOrStepTimer(every_steps=every_n)

    def begin(self):
        self._global_step = tf.train.get_global_step()
        self._loss = tf.get_default_graph().get_tensor_by_name("loss:0")

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(
            {"step": self._global_step, "loss": self._loss}
        )

    def after_run(self, run_context, run_values):
        step = run_values.results["step"]
        if self._timer.should_trigger_for_step(step):
            self._timer.update_last_triggered_step(step)
            tf.logging.info(
                "step %d: loss %.5f", step, run_values.results["loss"]
            )


class MovingAverageLoss(tf.train.SessionRunHook):
    """Keeps a moving average of the loss in Python."""

    def __init__(self, tensor_name="loss:0", decay=0.8):
        self._name = tensor_name
        self._decay = decay
        self.history = []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._name)

    def after_run(self, run_context, run_values):
        last = self.history[-1] if self.history else run_values.results
        now = self._decay * last + (1 - self._decay) * run_values.results
        self.history.append(float(now))

    def end(self, session):
        tf.logging.info("average loss at the end: %.5f", self.history[-1])


class ParameterCountLogger(tf.train.SessionRunHook):
    """Logs how many parameters there are, by variable and in all."""

    def begin(self):
        self.total = 0
        for variable in tf.trainable_variables():
            count = int(np.prod(variable.get_shape().as_list()))
            tf.logging.info("%s: %d", variable.op.name, count)
            self.total += count
        tf.logging.info("%d parameters", self.total)


class StepTimer(tf.train.SessionRunHook):
    """Times steps; the clock is handed in, the result fed to the graph."""

    def __init__(self, clock):
        self._clock = clock

    def begin(self):
        self._seconds = tf.placeholder(tf.float32, [], name="step_seconds")
        self._mean, self._update = tf.metrics.mean(
            self._seconds, name="mean_seconds"
        )
        self.means = []

    def before_run(self, run_context):
        self._start = self._clock()

    def after_run(self, run_context, run_values):
        seconds = self._clock() - self._start
        run_context.session.run(
            self._update, feed_dict={self._seconds: seconds}
        )
        self.means.append(float(run_context.session.run(self._mean)))


class Throughput(tf.train.SessionRunHook):
    """Counts examples, given the size of a batch, by the fetched step."""

    def __init__(self, batch_size):
        self._batch_size = batch_size
        self.examples = []

    def begin(self):
        self._step = tf.train.get_or_create_global_step()

    def after_create_session(self, session, coord):
        self._first = session.run(self._step)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        # The fetched step is the one before this run.
        done = run_values.results + 1 - self._first
        self.examples.append(int(done * self._batch_size))


class MemoryLogger(tf.train.SessionRunHook):
    """Logs how many bytes the variables take."""

    def begin(self):
        variables = sorted(tf.global_variables(), key=lambda v: v.name)
        self._sizes = [tf.size(v) * v.dtype.base_dtype.size for v in variables]

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._sizes)

    def after_run(self, run_context, run_values):
        tf.logging.info("variables take %d bytes", sum(run_values.results))


class GlobalStepLogger(tf.train.SessionRunHook):
    """Logs the step before and after each run."""

    def __init__(self):
        self._step = tf.train.get_global_step()

    def before_run(self, ctx):
        return tf.train.SessionRunArgs({"gs": self._step})

    def after_run(self, ctx, values):
        after = ctx.session.run(self._step)
        tf.logging.info("%d -> %d", values.results["gs"], after)


class TextFileLogger(tf.train.SessionRunHook):
    """Writes a line of JSON per step."""

    def __init__(self, path, tensors):
        self._path = path
        self._tensors = tensors

    def begin(self):
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path, "w"):
            pass

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._tensors)

    def after_run(self, run_context, run_values):
        values = {k: float(v) for k, v in run_values.results.items()}
        with open(self._path, "a") as file:
            file.write(json.dumps(values) + "\n")

    def end(self, session):
        with open(self._path) as file:
            self.lines = [json.loads(line)["loss"] for line in file]


class SessionConfigPrinter(tf.train.SessionRunHook):
    """Logs what the graph holds once the session is there."""

    def after_create_session(self, session, coord):
        graph = session.graph
        tf.logging.info("finalized: %s", graph.finalized)
        tf.logging.info("default: %s", graph is tf.get_default_graph())
        tf.logging.info("asked to stop: %s", coord.should_stop())


class WordCounter(tf.train.SessionRunHook):
    """Counts words in a table of its own, fed from Python."""

    def __init__(self, lines):
        self._lines = iter(lines)

    def begin(self):
        self._words = tf.placeholder(tf.string, [None])
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant(["the", "a"]), tf.constant([0, 1])
            ),
            default_value=2,
        )
        self._counts = tf.get_variable(
            "word_counts",
            shape=[3],
            dtype=tf.int32,
            initializer=tf.zeros_initializer(),
            trainable=False,
        )
        rows = table.lookup(self._words)
        self._count = tf.scatter_add(self._counts, rows, tf.ones_like(rows))

    def before_run(self, run_context):
        words = next(self._lines).split()
        return tf.train.SessionRunArgs(self._count, {self._words: words})

    def end(self, session):
        self.counts = session.run(self._counts)


def _ticking():
    """Build a clock whose every reading is a second later."""
    ticks = itertools.count()
    return lambda: float(next(ticks))


def _text():
    return itertools.cycle(["the cat and the dog", "a the bird", "none"])


CITIZENS = {
    "metrics_logger": MetricsLogger,
    "moving_average_loss": MovingAverageLoss,
    "parameter_count_logger": ParameterCountLogger,
    "step_timer": lambda: StepTimer(_ticking()),
    "throughput": lambda: Throughput(batch_size=4),
    "memory_logger": MemoryLogger,
    "global_step_logger": GlobalStepLogger,
    "text_file_logger": lambda: TextFileLogger(
        "shelf/log.txt", {"loss": "loss:0"}
    ),
    "session_config_printer": SessionConfigPrinter,
    "word_counter": lambda: WordCounter(_text()),
}
