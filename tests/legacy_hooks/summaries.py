# SPDX-License-Identifier: Apache-2.0
"""Hooks that write summaries."""

import tensorflow.compat.v1 as tf


class GradientNoiseSummary(tf.train.SessionRunHook):
    """Writes histograms of the weights every few steps."""

    def __init__(self, output_dir, every_n=2):
        self._output_dir = output_dir
        self._every_n = every_n

    def begin(self):
        self._writer = tf.summary.FileWriterCache.get(self._output_dir)
        self._step = tf.train.get_global_step()
        self._summary = tf.summary.merge(
            [
                tf.summary.histogram(v.op.name, v)
                for v in tf.trainable_variables()
            ]
        )

    def before_run(self, run_context):
        step = run_context.session.run(self._step)
        fetches = {"step": self._step}
        if step % self._every_n == 0:
            fetches["summary"] = self._summary
        return tf.train.SessionRunArgs(fetches)

    def after_run(self, run_context, run_values):
        results = run_values.results
        if "summary" in results:
            self._writer.add_summary(results["summary"], results["step"])

    def end(self, session):
        self._writer.flush()


class SummaryAtEnd(tf.train.SessionRunHook):
    """Writes one summary when all is over."""

    def __init__(self, output_dir):
        self._output_dir = output_dir

    def begin(self):
        self._norm = tf.summary.scalar(
            "final_norm", tf.global_norm(tf.trainable_variables())
        )
        self._step = tf.train.get_global_step()

    def end(self, session):
        writer = tf.summary.FileWriter(self._output_dir)
        summary, step = session.run([self._norm, self._step])
        writer.add_summary(summary, step)
        writer.close()


class PythonSummary(tf.train.SessionRunHook):
    """Writes values of Python as summaries made by hand."""

    def __init__(self, output_dir):
        self._writer = tf.summary.FileWriter(output_dir)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(["loss:0", tf.train.get_global_step()])

    def after_run(self, run_context, run_values):
        loss, step = run_values.results
        value = tf.Summary.Value(tag="twice_the_loss", simple_value=2 * loss)
        self._writer.add_summary(tf.Summary(value=[value]), step + 1)

    def end(self, session):
        self._writer.close()


class StreamingMetric(tf.train.SessionRunHook):
    """Feeds a streaming metric, and resets it by its local variables."""

    def __init__(self, reset_every=3):
        self._reset_every = reset_every
        self.values = []

    def begin(self):
        loss = tf.get_default_graph().get_tensor_by_name("loss:0")
        self._value, self._update = tf.metrics.mean(loss, name="streamed")
        mine = [v for v in tf.local_variables() if "streamed" in v.op.name]
        self._reset = tf.variables_initializer(mine)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._update)

    def after_run(self, run_context, run_values):
        self.values.append(float(run_values.results))
        if len(self.values) % self._reset_every == 0:
            run_context.session.run(self._reset)


CITIZENS = {
    "gradient_noise_summary": lambda: GradientNoiseSummary("shelf/noise"),
    "summary_at_end": lambda: SummaryAtEnd("shelf/end"),
    "python_summary": lambda: PythonSummary("shelf/python"),
    "streaming_metric": StreamingMetric,
}
