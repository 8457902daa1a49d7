# SPDX-License-Identifier: Apache-2.0
"""A hook fetches the same values from inside a step as it did in v1.

A model of two layers trains twice from the same start on the same batches:
as a v1 graph under `MonitoredSession`, whose tensors have names, and under
Keras, whose step delivers them by these names. The hooks are the same.
"""

import dataclasses
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.contract import drivers
from tests.contract.suite import Suite
from tests.contract.suite import args
from tests.contract.suite import tensor
from tests.flavors import FLAVORS
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
suite = Suite()

RATE, BATCH, EPOCHS, ROWS = 0.5, 4, 2, 12
CLASSES = 2

RANDOM = np.random.RandomState(0)
FEATURES = RANDOM.normal(size=(ROWS, 3)).astype("float32")
LABELS = (FEATURES.sum(axis=1) > 0).astype("int64")
START = {
    "hidden/kernel": RANDOM.normal(size=(3, 3)).astype("float32"),
    "hidden/bias": np.float32([0.25, 0.125, -0.25]),
    "logits/kernel": RANDOM.normal(size=(3, CLASSES)).astype("float32"),
    "logits/bias": np.float32([0.5, -0.5]),
}
DECLARED = {"labels": tf.TensorSpec([None], "int64")}


@dataclasses.dataclass(frozen=True)
class Way:
    """How both sides train, and what only the Keras side does.

    Args:
        mode: `"train"`, `"evaluate"` or `"predict"`.
        rows: Examples in an epoch.
        own_step: Whether the model has a `train_step` of its own.
        compiled: Arguments of `compile`.
    """

    mode: str = "train"
    rows: int = ROWS
    own_step: bool = False
    compiled: tuple = ()

    @property
    def epochs(self):
        """Passes over the data."""
        return EPOCHS if self.mode == "train" else 1

    @property
    def steps(self):
        """Steps in all epochs."""
        return self.epochs * math.ceil(self.rows / BATCH)

    @property
    def data(self):
        """The batches of one epoch."""
        arrays = FEATURES[: self.rows], LABELS[: self.rows]
        return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)


PLAIN = Way()
WAYS = {
    "plain": PLAIN,
    "run_eagerly": Way(compiled=(("run_eagerly", True),)),
    "jit_compile": Way(compiled=(("jit_compile", True),)),
    "short_last_batch": Way(rows=10),
    "short_last_batch_jit": Way(rows=10, compiled=(("jit_compile", True),)),
    "own_train_step": Way(own_step=True),
    "own_train_step_eagerly": Way(
        own_step=True, compiled=(("run_eagerly", True),)
    ),
    "evaluate": Way(mode="evaluate", rows=10),
    "predict": Way(mode="predict", rows=10),
}


# The original


def run_v1(make, root, way=PLAIN):
    """Train the v1 graph under `MonitoredSession`; return the `Trace`."""
    trace = drivers.Trace()
    with drivers.workplace(root, trace), tf.Graph().as_default():
        weights, op = v1_graph(way)
        scaffold = v1.train.Scaffold()
        hooks = []
        try:
            hooks += make(drivers.Env(trace, scaffold))
            drivers.watch(hooks, trace)
            creator = v1.train.ChiefSessionCreator(scaffold)
            with v1.train.MonitoredSession(creator, hooks) as session:
                for _ in range(way.steps):
                    session.run(op)
                trace.weights = session.run_step_fn(
                    lambda step_context: step_context.session.run(weights)
                )
        except Exception as error:
            trace.error = error
        trace.state = drivers.harvest(hooks)
    trace.weights = drivers.normalized(trace.weights)
    return trace


def v1_graph(way):
    """Build the model with the names of v1; return weights and what to run."""
    data = v1.data.make_one_shot_iterator(way.data.repeat(way.epochs))
    features, labels = data.get_next()
    features = named(features, "features")
    named(features, "image")
    weights = {
        name: v1.get_variable(name, initializer=value)
        for name, value in START.items()
    }
    step = v1.train.get_or_create_global_step()

    def dense(inputs, layer):
        product = tf.matmul(inputs, weights[f"{layer}/kernel"])
        return product + weights[f"{layer}/bias"]

    hidden = named(tf.nn.relu(dense(features, "hidden")), "hidden")
    logits = named(dense(hidden, "logits"), "logits")
    softmax = named(tf.nn.softmax(logits), "softmax_tensor")
    predictions = named(softmax, "predictions")
    if way.mode == "predict":
        return weights, predictions
    labels = named(labels, "labels")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    )
    loss = named(loss, "loss")
    if way.mode == "evaluate":
        return weights, loss
    gradients = tf.gradients(loss, list(weights.values()), name="back")
    for name, gradient in zip(weights, gradients, strict=True):
        named(gradient, f"gradients/{name}")
    named(tf.linalg.global_norm(gradients), "gradients/global_norm")
    # A fetch and an update have no order: the update waits for the fetches.
    with tf.control_dependencies([loss, *gradients]):
        pause = tf.numpy_function(drivers._pause, [], [], stateful=True)
    with tf.control_dependencies([pause]):
        updates = [
            weight.assign_sub(RATE * gradient, read_value=False)
            for weight, gradient in zip(
                weights.values(), gradients, strict=True
            )
        ]
    with tf.control_dependencies(updates):
        return weights, step.assign_add(1, read_value=False)


def named(value, name):
    """Give a tensor exactly this name."""
    found = tf.identity(value, name=name)
    assert found.name == f"{name}:0"
    return found


# Ours


def run_keras(make, root, flavor=keras, way=PLAIN):
    """Train the Keras model; return the `Trace`."""
    trace = drivers.Trace()
    model = keras_model(flavor, way)
    hooks = []
    with drivers.workplace(root, trace):
        scaffold = v1.train.Scaffold()

        def make_hooks():
            hooks.extend(make(drivers.Env(trace, scaffold)))
            drivers.watch(hooks, trace)
            return hooks

        callback = SessionRunHookCallback(
            make_hooks, scaffold=scaffold, step_tensors=DECLARED
        )
        options = {"callbacks": [callback], "verbose": 0}
        try:
            if way.mode == "predict":
                model.predict(way.data, **options)
            elif way.mode == "evaluate":
                model.evaluate(way.data, **options)
            else:
                options |= {"epochs": way.epochs, "shuffle": False}
                model.fit(way.data, **options)
        except Exception as error:
            trace.error = error
        trace.state = drivers.harvest(hooks)
    trace.weights = drivers.normalized(
        dict(zip(START, model.get_weights(), strict=True))
    )
    return trace


def keras_model(flavor, way):
    """Build the same model as `v1_graph`, compiled."""
    layers = flavor.layers
    inputs = flavor.Input((3,), name="image")
    hidden = layers.Dense(3, activation="relu", name="hidden")(inputs)
    logits = layers.Dense(CLASSES, name="logits")(hidden)
    outputs = layers.Softmax(name="softmax_tensor")(logits)
    kind = own_step_of(flavor) if way.own_step else flavor.Model
    model = kind(inputs, outputs)
    model.set_weights(list(START.values()))
    model.compile(
        flavor.optimizers.SGD(RATE),
        "sparse_categorical_crossentropy",
        **{"jit_compile": False, **dict(way.compiled)},
    )
    return model


def own_step_of(flavor):
    """Make a class of models with a training step of its own."""

    class OwnStep(flavor.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            weights = self.trainable_variables
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, weights), weights, strict=True)
            )
            return {"loss": loss}

    return OwnStep


# The hooks


class Fetches(v1.train.SessionRunHook):
    """Fetches what it built in `begin`, in every `every`-th step."""

    def __init__(self, build, every=1):
        self._build = build
        self._every = every
        self._step = 0

    def begin(self):
        self._fetches = self._build()

    def before_run(self, run_context):
        self._step += 1
        return None if self._step % self._every else args(self._fetches)

    def after_run(self, run_context, run_values):
        self.last = run_values.results


class Builds(v1.train.SessionRunHook):
    """Adds a summary to the collection in `begin`, and fetches nothing."""

    def begin(self):
        v1.summary.histogram("collected", tensor("hidden:0"))
        v1.summary.scalar("norm", tf.norm(tensor("predictions:0")))


def weight(name):
    """Find a variable of the model by its name."""
    return next(v for v in v1.trainable_variables() if v.op.name == name)


def confusion():
    """Build the confusion matrix of the batch."""
    guessed = tf.argmax(tensor("predictions:0"), axis=1)
    return tf.math.confusion_matrix(tensor("labels:0"), guessed, CLASSES)


def mixed():
    """Build an op of a step tensor and a variable's value before the step."""
    kernel = weight("hidden/kernel")
    return tf.norm(tensor("hidden:0")) * tf.norm(kernel)


def recomputed():
    """Build the difference of a forward pass in the hook and the step's."""
    product = tf.matmul(tensor("features:0"), weight("hidden/kernel"))
    again = tf.nn.relu(product + weight("hidden/bias"))
    return tf.reduce_max(tf.abs(again - tensor("hidden:0")))


def expected_weight():
    """Build what a step of plain SGD will make of a weight."""
    gradient = tensor("gradients/logits/kernel:0")
    return weight("logits/kernel") - RATE * gradient


def running_sum():
    """Build a variable of the hook's own that adds up the hidden units."""
    total = v1.get_variable("total", initializer=tf.zeros([3]), trainable=False)
    return total.assign_add(tf.reduce_sum(tensor("hidden:0"), axis=0))


def dead_units():
    """Build a branch on a step tensor."""
    dead = tf.reduce_mean(tf.cast(tensor("hidden:0") == 0.0, tf.float32))
    return v1.cond(dead > 0.4, lambda: -dead, lambda: dead + 1.0)


NAMES = ["features", "image", "hidden", "logits", "softmax_tensor"]
NAMES += ["predictions", "labels", "loss"]
TRAINED = [f"gradients/{name}" for name in (*START, "global_norm")]

TRAIN = ("train",)
LABELLED = (*TRAIN, "evaluate")
PREDICT = (*LABELLED, "predict")


def modes_of(name):
    """Tell in which modes there is a tensor of this name."""
    if name in TRAINED:
        return TRAIN
    return LABELLED if name in ("labels", "loss") else PREDICT


MODES = {}


def case(name, modes):
    """Register a case that works in these modes."""
    MODES[name] = modes
    return suite.case(name)


for key in NAMES + TRAINED:
    case(key, modes_of(key))(lambda env, key=key: [Fetches(lambda: f"{key}:0")])
    case(f"{key}_as_tensor", modes_of(key))(
        lambda env, key=key: [Fetches(lambda: {"x": tensor(f"{key}:0")})]
    )

BUILT = {
    "confusion_matrix": (confusion, LABELLED),
    "mixed_with_a_variable": (mixed, PREDICT),
    "hidden_is_of_the_weights_before": (recomputed, PREDICT),
    "gradient_and_its_weight": (expected_weight, TRAIN),
    "running_sum": (running_sum, PREDICT),
    "branch": (dead_units, PREDICT),
    "serialized_histogram": (
        lambda: v1.summary.histogram("h", tensor("gradients/logits/bias:0")),
        TRAIN,
    ),
}
for key, (build, modes) in BUILT.items():
    case(key, modes)(lambda env, build=build: [Fetches(build)])


@case("all_at_once", TRAIN)
def all_at_once(env):
    return [Fetches(lambda: [f"{name}:0" for name in NAMES + TRAINED])]


@case("every_third_step", PREDICT)
def every_third_step(env):
    return [Fetches(lambda: ["hidden:0", mixed()], every=3)]


@case("now_this_and_now_that", TRAIN)
def now_this_and_now_that(env):
    return [
        Fetches(lambda: "hidden:0", every=2),
        Fetches(lambda: "gradients/hidden/bias:0", every=3),
        Fetches(lambda: "loss:0"),
    ]


@case("summary_saver", PREDICT)
def summary_saver(env):
    summary = v1.summary.histogram("the_hidden", tensor("hidden:0"))
    return [
        v1.train.SummarySaverHook(
            save_steps=1, output_dir="histograms", summary_op=summary
        )
    ]


@case("summary_saver_of_the_scaffold", PREDICT)
def summary_saver_of_the_scaffold(env):
    return [
        Builds(),
        v1.train.SummarySaverHook(
            save_steps=1, output_dir="collected", scaffold=env.scaffold
        ),
    ]


@case("logging", PREDICT)
def logging(env):
    probabilities = {"probabilities": "softmax_tensor"}
    return [v1.train.LoggingTensorHook(probabilities, every_n_iter=1)]


@case("logging_of_several", TRAIN)
def logging_of_several(env):
    names = ["loss:0", "gradients/global_norm", "labels"]
    return [v1.train.LoggingTensorHook(names, every_n_iter=2)]


@case("nan_guard", LABELLED)
def nan_guard(env):
    return [v1.train.NanTensorHook("loss:0")]


def together(mode):
    """Make one case of all that work in a mode."""

    def make(env):
        return [
            hook
            for name, (each, _) in suite.items()
            if mode in MODES[name]
            for hook in each(env)
        ]

    return make


def found_by(make, folder, flavor, way):
    """List the differences of both sides."""
    expected = run_v1(make, folder / "v1", way)
    actual = run_keras(make, folder / "ours", flavor, way)
    for trace in (expected, actual):
        # NumPy pads what it prints: XLA rounds the last digit otherwise.
        trace.logs = [re.sub(" +]", "]", line) for line in trace.logs]
    assert expected.error is None
    assert expected.events
    return drivers.differences(expected, actual), expected


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("name", suite)
def test_same_as_the_original(name, flavor, tmp_path):
    """A hook that looks into the step sees what it saw in v1."""
    make, _ = suite[name]

    found, _ = found_by(make, tmp_path, FLAVORS[flavor], PLAIN)

    assert not found, "\n".join(found)


@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("way", WAYS)
def test_all_together_in_every_way(way, flavor, tmp_path):
    """All hooks in one run see the same, however the step is run."""
    make = together(WAYS[way].mode)

    found, _ = found_by(make, tmp_path, FLAVORS[flavor], WAYS[way])

    assert not found, "\n".join(found)


def test_the_event_files_hold_every_step(tmp_path):
    """Each step has a histogram to compare, and the histograms differ."""
    _, trace = found_by(summary_saver, tmp_path, keras, PLAIN)

    (events,) = trace.summaries.values()
    values = [value for _, tag, value in events if "hidden" in tag]
    assert len(values) == PLAIN.steps
    assert len({str(value) for value in values}) == len(values)


def test_a_kernel_of_after_the_step_is_noticed(tmp_path):
    """A comparison tells the values before and after an update apart."""

    class After(Fetches):
        def before_run(self, run_context):
            return args(self._fetches[0])

        def after_run(self, run_context, run_values):
            self.before = float(run_values.results)
            self.after = float(run_context.session.run(self._fetches[1]))

    def norms():
        kernel = weight("hidden/kernel")
        return tf.norm(kernel) + 0.0 * tensor("loss:0"), tf.norm(kernel)

    found, trace = found_by(lambda env: [After(norms)], tmp_path, keras, PLAIN)

    assert not found, "\n".join(found)
    state = trace.state["0:After"]
    assert not np.isclose(state["before"], state["after"], atol=1e-5)
