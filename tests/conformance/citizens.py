# SPDX-License-Identifier: Apache-2.0
"""Collects the hooks under test, "citizens": stock hooks and legacy hooks."""

import inspect

import tensorflow as tf
from tensorflow.python.training import evaluation

from tests.legacy_hooks import CITIZENS as SHELF

v1 = tf.compat.v1
train = v1.train


def _loss():
    return v1.get_default_graph().get_tensor_by_name("loss:0")


STOCK = {
    train.CheckpointSaverHook: lambda: train.CheckpointSaverHook(
        "stock", save_steps=3
    ),
    train.FeedFnHook: lambda: train.FeedFnHook(
        lambda: {"learning_rate:0": 0.05}
    ),
    train.FinalOpsHook: lambda: train.FinalOpsHook(v1.trainable_variables()),
    train.GlobalStepWaiterHook: lambda: train.GlobalStepWaiterHook(0),
    train.LoggingTensorHook: lambda: train.LoggingTensorHook(
        ["loss:0"], every_n_iter=2
    ),
    train.NanTensorHook: lambda: train.NanTensorHook(_loss()),
    train.ProfilerHook: lambda: train.ProfilerHook(
        save_steps=2, output_dir="stock"
    ),
    train.StepCounterHook: lambda: train.StepCounterHook(
        every_n_steps=2, output_dir="stock"
    ),
    train.StopAtStepHook: lambda: train.StopAtStepHook(num_steps=4),
    train.SummarySaverHook: lambda: train.SummarySaverHook(
        save_steps=2,
        output_dir="stock",
        summary_op=v1.summary.scalar("the_loss", _loss()),
    ),
}

# Those that only make sense while evaluating.
EVALUATORS = {
    evaluation._StopAfterNEvalsHook: lambda: evaluation._StopAfterNEvalsHook(2),
    evaluation._MultiStepStopAfterNEvalsHook: (
        lambda: evaluation._MultiStepStopAfterNEvalsHook(2)
    ),
}

TRAINING = {kind.__name__: make for kind, make in STOCK.items()} | SHELF


def found_by_inspection():
    """Find the stock hook classes.

    Returns:
        A set of classes.
    """
    return {
        getattr(module, name)
        for module in (train, evaluation)
        for name in dir(module)
        if name.endswith("Hook") and inspect.isclass(getattr(module, name))
    } - {train.SessionRunHook}
