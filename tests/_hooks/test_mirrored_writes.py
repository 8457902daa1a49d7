# SPDX-License-Identifier: Apache-2.0
"""Hooks under MirroredStrategy: replicas never diverge."""

import subprocess
import sys

import pytest

from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

# In a process of its own: devices are configured once, before TensorFlow.
SCRIPT = """
import importlib, sys, tempfile
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
device = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [device, device])
keras = importlib.import_module(sys.argv[1])
from final_ops_callback import FinalOpsCallback, SessionRunHookCallback
from final_ops_callback._keras import compat
from tests import legacy_hooks
v1 = tf.compat.v1
keras.utils.set_random_seed(0)

X = np.random.RandomState(0).normal(size=(12, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
folder = tempfile.mkdtemp()


def built(strategy, policy="float32", of_optimizer=None, **more):
    with strategy.scope():
        model = keras.Sequential([
            keras.Input((2,)),
            keras.layers.Dense(3, kernel_initializer="ones"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, kernel_initializer="ones", dtype=policy),
        ])
        optimizer = keras.optimizers.SGD(
            0.05, momentum=0.5, **(of_optimizer or {}))
        model.compile(optimizer, "mse", metrics=["mae"], **more)
    return model


def components(model):
    variables = model.optimizer.variables
    variables = variables() if callable(variables) else variables
    for variable in [*model.weights, *variables]:
        yield variable, [p.numpy() for p in compat.components(variable)]


def differing(model):
    parts = list(components(model))
    assert all(len(part) == 2 for _, part in parts), "nothing is mirrored"
    return [i for i, (_, (a, b)) in enumerate(parts) if (a != b).any()]


def check(model, what):
    assert set(differing(model)) <= set(own), (what, differing(model), own)


class Writes(v1.train.SessionRunHook):
    \"""Writes weights, in the step and through the session.\"""

    turn = 0

    def begin(self):
        self.first, self.last = [
            v1.trainable_variables()[index] for index in (0, -1)
        ]
        self.clip = self.first.assign(tf.clip_by_value(self.first, -0.5, 0.5))
        loss = v1.get_default_graph().get_tensor_by_name("loss:0")
        # Through a handle that is handed on, and through a function.
        bias = v1.trainable_variables()[1]
        self.bias = bias
        self.forwarded = tf.raw_ops.AssignVariableOp(
            resource=tf.identity(bias.handle), value=tf.fill(bias.shape, 7.0))
        self.branch = v1.cond(
            self.last.shape[0] > tf.reduce_sum(bias),
            lambda: tf.identity(bias.assign(tf.fill(bias.shape, 3.0))),
            lambda: tf.identity(bias.assign(tf.fill(bias.shape, 5.0))))
        self.mixed = self.last.assign(tf.fill(self.last.shape, loss))

    def before_run(self, run_context):
        return v1.train.SessionRunArgs([self.mixed, "learning_rate:0"],
                                       {"learning_rate:0": 0.25})

    def after_run(self, run_context, run_values):
        run_context.session.run(self.clip)
        self.first.load([[2.0] * 3] * 2, run_context.session)
        write = [self.forwarded, self.branch][self.turn % 2]
        self.turn += 1
        run_context.session.run(write)
        self.left = run_context.session.run(
            [self.first, self.last, self.bias])


class Apart(keras.layers.Layer):
    \"""Has a variable of which each replica keeps its own.\"""

    def build(self, shape):
        kind = tf.VariableSynchronization.ON_READ
        if hasattr(keras, "ops"):
            self.own = keras.Variable(
                0.0, trainable=False, synchronization="on_read", name="own")
        else:
            self.own = self.add_weight(
                shape=(), trainable=False, synchronization=kind, name="own")

    def call(self, inputs):
        return inputs


class Metric(v1.train.SessionRunHook):
    \"""Reads, doubles and reads the state of a metric.\"""

    def begin(self):
        self.seen = []
        (self.total,) = [
            v for v in v1.get_collection(v1.GraphKeys.METRIC_VARIABLES)
            if "mean_absolute_error" in v.name and "total" in v.name
            or "mae" in v.name and "total" in v.name
        ][:1]
        self.double = self.total.assign(2.0 * self.total)

    def after_run(self, run_context, run_values):
        session = run_context.session
        before = session.run(self.total)
        session.run(self.double)
        self.seen.append((before, session.run(self.total)))


prefix = folder + "/old.ckpt"
with tf.Graph().as_default(), v1.Session() as session:
    v1.get_variable("old", initializer=np.full((2, 3), 0.5, "float32"))
    session.run(v1.global_variables_initializer())
    v1.train.Saver().save(session, prefix)


class Starts(v1.train.SessionRunHook):
    \"""Begins from a checkpoint, and doubles the momentum of v1.\"""

    def begin(self):
        self.first = v1.trainable_variables()[0]
        v1.train.init_from_checkpoint(prefix, {"old": self.first})
        self.slot = [v for v in v1.global_variables()
                     if "momentum" in v.name or "/m/" in v.name][0]
        self.double = self.slot.assign(2.0 * self.slot)
        self.seen = []

    def after_create_session(self, session, coord):
        self.start = session.run(self.first)

    def after_run(self, run_context, run_values):
        session = run_context.session
        before = session.run(self.slot)
        session.run(self.double)
        self.seen.append((before, session.run(self.slot)))


def fit(model, *callbacks):
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0,
              callbacks=list(callbacks))


def both(make, read):
    found = []
    for strategy in (tf.distribute.get_strategy(),
                     tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
        model = built(strategy)
        fit(model)  # so that the metrics are there
        hook = make()
        final = FinalOpsCallback({"weights": list(model.weights)})
        fit(model, SessionRunHookCallback(hook), final)
        for value, weight in zip(final.final_ops_values["weights"],
                                 model.get_weights()):
            np.testing.assert_array_equal(value, weight)
        found.append((read(hook), model))
    check(found[1][1], make)
    alone, mirrored = found[0][0], found[1][0]
    return alone, mirrored


# Keras itself keeps the statistics of batch normalization for each replica.
bare = built(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
fit(bare)
own = differing(bare)
assert own and all("moving" in str(bare.weights[i]) for i in own), own

# The statistics of batch normalization are those of a replica's share of a
# batch, so only what does not depend on them is compared.
alone, mirrored = both(Writes, lambda hook: hook.left)
for index in (0, 2):
    np.testing.assert_array_equal(alone[index], mirrored[index])
_, seen = both(Metric, lambda hook: hook.seen)
for before, after in seen:
    assert before > 0 and abs(after - 2 * before) < 1e-4 * before, seen
alone, mirrored = both(Starts, lambda hook: hook)
for hook in (alone, mirrored):
    assert (hook.start == 0.5).all(), hook.start
    for before, after in hook.seen:
        assert (before != 0).any()
        np.testing.assert_allclose(after, 2 * before, rtol=1e-6)

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
stock = {
    "saver": lambda: v1.train.CheckpointSaverHook(folder, save_steps=1),
    "counter": lambda: v1.train.StepCounterHook(1, output_dir=folder),
    "logging": lambda: v1.train.LoggingTensorHook(["loss:0"], 1),
    "nan": lambda: v1.train.NanTensorHook("loss:0"),
    "stop": lambda: v1.train.StopAtStepHook(num_steps=2),
    "summary": lambda: v1.train.SummarySaverHook(
        1, output_dir=folder, summary_op=v1.summary.scalar("a", 1.0)),
    "final": lambda: v1.train.FinalOpsHook(v1.train.get_global_step()),
    "feed": lambda: v1.train.FeedFnHook(lambda: {"learning_rate:0": 0.5}),
    "waiter": lambda: v1.train.GlobalStepWaiterHook(0),
    "profiler": lambda: v1.train.ProfilerHook(1, output_dir=folder),
}
every = {n for n in dir(v1.train) if n.endswith("Hook")} - {"SessionRunHook"}
assert len(every) == len(stock), every
for name, make in stock.items():
    model = built(strategy)
    fit(model, SessionRunHookCallback(make))
    check(model, name)
    assert int(model.optimizer.iterations.numpy()) == (
        2 if name == "stop" else 3), name
with strategy.scope():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1), Apart()])
    model.compile("sgd", "mse")
fit(model, SessionRunHookCallback(stock["stop"]))
assert int(model.optimizer.iterations.numpy()) == 2
reader = tf.train.load_checkpoint(folder)
assert reader.get_tensor("global_step") == 3

# As training may be set up beside it.
tried = []
for name, options in {
    "several steps": {"steps_per_execution": 3},
    "mixed precision": {"policy": "mixed_bfloat16"},
    "moving average": {"of_optimizer": {"use_ema": True}},
    "accumulation": {"of_optimizer": {"gradient_accumulation_steps": 2}},
    "xla": {"jit_compile": True},
}.items():
    try:
        fit(built(strategy, **options))
    except (tf.errors.OpError, RuntimeError, TypeError, ValueError):
        print("Keras alone does not support", name)
        continue
    model = built(strategy, **options)
    fit(model, SessionRunHookCallback([Writes(), stock["stop"]()]))
    check(model, name)
    tried.append(name)
assert {"mixed precision", "moving average"} <= set(tried), tried
print("checked", len(stock), tried)
"""


@pytest.mark.parametrize("flavor", FLAVORS)
def test_replicas_stay_equal(flavor: str) -> None:
    """Every stock hook, and hooks that write, leave all replicas the same."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, flavor],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-3000:]
    assert "checked 10" in result.stdout
