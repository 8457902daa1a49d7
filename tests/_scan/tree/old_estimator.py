# SPDX-License-Identifier: Apache-2.0
"""An Estimator and its hooks."""

import tensorflow as tf


class Progress(tf.estimator.SessionRunHook):
    def after_run(self, run_context, run_values):
        print(".", end="")


def model_fn(features, labels, mode):
    loss = tf.reduce_mean(features["x"])
    hook = tf.estimator.LoggingTensorHook({"loss": loss}, every_n_iter=10)
    return tf.estimator.EstimatorSpec(
        mode,
        loss=loss,
        training_hooks=[hook],
        evaluation_hooks=[Progress()],
        prediction_hooks=[Progress()],
        training_chief_hooks=[tf.estimator.StepCounterHook()],
    )


def main(input_fn):
    estimator = tf.estimator.Estimator(model_fn)
    early = tf.estimator.experimental.stop_if_no_decrease_hook(
        estimator, "loss", max_steps_without_decrease=100
    )
    estimator.train(input_fn, hooks=[early, Progress()], max_steps=1000)
    estimator.evaluate(input_fn, hooks=[Progress()])
    spec = tf.estimator.TrainSpec(input_fn, 1000, [Progress()])
    tf.estimator.train_and_evaluate(estimator, spec, None)
