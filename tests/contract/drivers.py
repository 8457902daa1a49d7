# SPDX-License-Identifier: Apache-2.0
"""Runs hooks under the original and under this package, and traces both.

Both drivers train the same small model on the same batches from the same
start values. `run_v1` does it in a graph under `MonitoredSession`, which is
the oracle; `run_keras` does it under `model.fit`. What the hooks saw and left
behind is a `Trace`; `differences` compares two of them.
"""

import contextlib
import dataclasses
import functools
import logging
import math
import pathlib
import re
import time
import warnings

import numpy as np
import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback import SessionRunHookCallback
from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import variables_of

v1 = tf.compat.v1

METHODS = ("begin", "after_create_session", "before_run", "after_run", "end")
PAUSE = 0.004  # seconds; a fetch of the oracle reads before the update
BETA_1, BETA_2, EPSILON, MOMENTUM = 0.9, 0.999, 1e-7, 0.5

# Features, labels and start values: 12 rows, three batches of four.
FEATURES = np.random.RandomState(0).normal(size=(12, 2)).astype("float32")
LABELS = (FEATURES @ [[1.5], [-2.0]] + 0.5).astype("float32")
KERNEL = np.array([[0.25], [-0.5]], "float32")
BIAS = np.array([0.125], "float32")


# Other ways to the same training under Keras.
VARIANTS = (
    "run_eagerly",
    "jit_compile",
    "functional",
    "custom_train_step",
    "unbuilt_optimizer",
)


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a case, for both drivers.

    Args:
        mode: `"train"`, `"evaluate"` or `"predict"`.
        epochs: Passes over the three batches.
        batch: Rows of a batch.
        start_step: The global step at the start.
        learning_rate: The rate of the model's own optimizer.
        optimizer: `"momentum"` or `"adam"`.
        metrics: Whether `mae` and the running `logs/loss` exist; for one
            epoch only, because Keras resets them in each epoch.
        nan_at: The batch whose labels are NaN, or `None`.
        unknown_length: Whether only the end of the data ends the run.
        scaffold: Builds the `Scaffold`, outside any graph.
        error_text: Whether the text of an escaping exception is compared.
        variant: One of `VARIANTS`, of the Keras side alone.
    """

    mode: str = "train"
    epochs: int = 2
    batch: int = 4
    start_step: int = 0
    learning_rate: float = 0.1
    optimizer: str = "momentum"
    metrics: bool = False
    nan_at: int | None = None
    unknown_length: bool = False
    scaffold: object = None
    error_text: bool = True
    variant: str | None = None

    @property
    def labels(self):
        """The labels, with NaN where a case wants it."""
        labels = LABELS.copy()
        if self.nan_at is not None:
            labels[self.nan_at * self.batch :][: self.batch] = np.nan
        return labels

    @property
    def steps(self):
        """The number of steps that the data lasts for."""
        return self.epochs * math.ceil(len(FEATURES) / self.batch)


@dataclasses.dataclass
class Trace:
    """The traces of a run: seen by hooks, on disk, in the log, at the end."""

    events: list = dataclasses.field(default_factory=list)
    logs: list = dataclasses.field(default_factory=list)
    state: dict = dataclasses.field(default_factory=dict)
    summaries: dict = dataclasses.field(default_factory=dict)
    checkpoints: dict = dataclasses.field(default_factory=dict)
    files: list = dataclasses.field(default_factory=list)
    step: int | None = None
    weights: dict = dataclasses.field(default_factory=dict)
    marks: list = dataclasses.field(default_factory=list)
    error: Exception | None = None


class Env:
    """The argument of a case: a place for notes, and the scaffold."""

    def __init__(self, trace, scaffold):
        self.trace = trace
        self.scaffold = scaffold

    def note(self, what, value=None):
        """Add an event of the case's own to the trace."""
        self.trace.events.append((what, normalized(value)))


def run_v1(case, root, **options):
    """Run the hooks that `case(env)` returns under the original.

    Args:
        case: Takes an `Env`, returns a list of hooks; called in the graph.
        root: An empty folder, the working folder of the run.
        **options: Fields of `Options`.

    Returns:
        A `Trace`.
    """
    options = Options(**options)
    trace = Trace()
    with workplace(root, trace), tf.Graph().as_default():
        scaffold = options.scaffold() if options.scaffold else None
        parts = v1_model(options)
        creator = _SnapshotCreator(parts.variables, scaffold)
        hooks = []
        try:
            hooks += case(Env(trace, scaffold))
            watch(hooks, trace)
            _V1_LOOPS[options.mode](creator, hooks, parts, options)
        except Exception as error:
            trace.error = error
        creator.snapshot()
        trace.state = harvest(hooks)
    trace.weights = {
        name: normalized(creator.values.get(name, parts.start[name]))
        for name in sorted(parts.variables)
    }
    trace.step = int(creator.values.get("global_step", options.start_step))
    return trace


def run_keras(case, root, **options):
    """Run the hooks that `case(env)` returns under Keras.

    Args:
        case: Takes an `Env`, returns a list of hooks; called in the graph.
        root: An empty folder, the working folder of the run.
        **options: Fields of `Options`.

    Returns:
        A `Trace`.
    """
    options = Options(**options)
    trace = Trace()
    model, names = keras_model(options)
    hooks = []
    with workplace(root, trace):
        scaffold = options.scaffold() if options.scaffold else None

        def make_hooks():
            hooks.extend(case(Env(trace, scaffold)))
            watch(hooks, trace)
            return hooks

        try:
            callback = SessionRunHookCallback(
                make_hooks, scaffold=scaffold, variable_names=names
            )
            keras_call(model, [callback], options)
        except Exception as error:
            trace.error = error
        trace.state = harvest(hooks)
    state = state_of(model, names, options.learning_rate)
    for field, value in state.items():
        setattr(trace, field, value)
    return trace


def state_of(model, names, rate):
    """Read the fields of a `Trace` that describe a model after a run.

    Args:
        model: What `keras_model` built.
        rate: The learning rate at first.
        names: The names of its variables in v1.

    Returns:
        A dict of `weights`, `step` and `marks`.
    """
    optimizer = model.optimizer
    variables = {
        names[path_of(v)]: v
        for v in model.weights + variables_of(optimizer)
        if not has_its_own_name(v, optimizer)
    }
    variables["learning_rate"] = optimizer.learning_rate
    variables["global_step"] = optimizer.iterations
    values = {name: v.numpy() for name, v in sorted(variables.items())}
    if isinstance(optimizer, keras.optimizers.SGD):
        # Keras keeps minus the rate times what v1 kept.
        for name in values:
            if name.endswith("/momentum"):
                values[name] = values[name] / -np.float32(rate)
    return {
        "weights": {name: normalized(v) for name, v in values.items()},
        "step": int(model.optimizer.iterations.numpy()),
        "marks": marks_on(model),
    }


def has_its_own_name(variable, optimizer):
    """Return whether a variable's name in the graph differs from its path."""
    return variable is optimizer.learning_rate or (
        variable is optimizer.iterations
    )


_COVERED_BY_KERAS = ("build", "quantize", "loss")


def marks_on(model):
    """Find the methods of a model that its instance overrides.

    Args:
        model: A Keras model.

    Returns:
        A list of names, those of its layers and its optimizer among them.
    """
    return [
        f"{type(part).__name__}.{name}"
        for part in (model, *model.layers, model.optimizer)
        for name in sorted(vars(part))
        if callable(getattr(type(part), name, None))
        and name not in _COVERED_BY_KERAS
    ]


def hooks_of(case, **options):
    """Build the hooks that `case(env)` returns, and run nothing.

    Args:
        case: Takes an `Env`, returns a list of hooks.
        **options: Fields of `Options`.

    Returns:
        A list of hooks.
    """
    options = Options(**options)
    with tf.Graph().as_default():
        scaffold = options.scaffold() if options.scaffold else None
        v1_model(options)
        return case(Env(Trace(), scaffold))


def keras_model(options=None):
    """Build the small model and the names its variables have in v1.

    Args:
        options: `Options`; the default ones if not given.

    Returns:
        The compiled, built model and a dict of Keras path to v1 name.
    """
    options = options or Options()
    model = _uncompiled(options)
    if options.optimizer == "adam":
        optimizer = keras.optimizers.Adam(options.learning_rate, name="opt")
    else:
        optimizer = keras.optimizers.SGD(
            options.learning_rate, momentum=MOMENTUM, name="opt"
        )
    model.compile(
        optimizer=optimizer,
        loss="mse",
        metrics=["mae"] if options.metrics else None,
        run_eagerly=options.variant == "run_eagerly",
        jit_compile=options.variant == "jit_compile",
    )
    if options.variant == "unbuilt_optimizer":
        _, names = keras_model(dataclasses.replace(options, variant=None))
        return model, names
    with contextlib.nullcontext() if IS_KERAS_3 else tf.name_scope("opt"):
        optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(options.start_step)
    return model, {
        path_of(v): _v1_name(path_of(v))
        for v in model.weights + variables_of(optimizer)
        if not has_its_own_name(v, optimizer)
    }


class _TrainStep(keras.Sequential):
    """A model with a user-defined train step."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        weights = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        return {"loss": loss}


def _uncompiled(options):
    """Build the model in the way of the variant."""
    dense = keras.layers.Dense(
        1,
        name="dense",
        kernel_initializer=_constant(KERNEL),
        bias_initializer=_constant(BIAS),
    )
    inputs = keras.Input((2,))
    if options.variant == "functional":
        return keras.Model(inputs, dense(inputs))
    kind = keras.Sequential
    if options.variant == "custom_train_step":
        kind = _TrainStep
    return kind([inputs, dense], name="sequential")


def _constant(value):
    return lambda shape, dtype=None: tf.constant(value)


def _v1_name(path):
    """Give a variable's v1 name from its Keras path."""
    slot = re.fullmatch(r"opt/([mv])/(.+)", path)  # of Keras 2
    if slot:
        kind = {"m": "momentum", "v": "velocity"}[slot[1]]
        return f"{slot[2]}/{kind}"
    slot = re.fullmatch(r"opt/(?:sequential_)?dense_([a-z]+)_(\w+)", path)
    if slot:
        return "dense/{}/{}".format(*slot.groups())
    return path.removeprefix("sequential/")


def keras_call(model, callbacks, options):
    """Call `fit`, `evaluate` or `predict` as the options say.

    Args:
        model: What `keras_model` built.
        callbacks: A list of callbacks.
        options: `Options`.
    """
    if options.mode == "predict":
        model.predict(
            FEATURES, batch_size=options.batch, callbacks=callbacks, verbose=0
        )
    elif options.mode == "evaluate":
        model.evaluate(
            FEATURES,
            options.labels,
            batch_size=options.batch,
            callbacks=callbacks,
            verbose=0,
        )
    elif options.unknown_length:
        with warnings.catch_warnings():
            # Keras says so at the end of any data of unknown length.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            model.fit(
                _unknown_length_data(options),
                shuffle=False,
                callbacks=callbacks,
                verbose=0,
            )
    else:
        model.fit(
            FEATURES,
            options.labels,
            batch_size=options.batch,
            epochs=options.epochs,
            shuffle=False,
            callbacks=callbacks,
            verbose=0,
        )


def _unknown_length_data(options):
    data = tf.data.Dataset.from_tensor_slices((FEATURES, options.labels))
    data = data.repeat(options.epochs).batch(options.batch)
    return data.filter(lambda *row: True)


@dataclasses.dataclass
class _Parts:
    """The v1 twin of the Keras model."""

    loss: object
    train_op: object
    predictions: object
    eval_ops: object
    variables: dict
    start: dict


def v1_model(options):
    """Build what `keras_model` builds, as v1 code wrote it."""
    data = tf.data.Dataset.from_tensor_slices((FEATURES, options.labels))
    data = data.batch(options.batch).repeat(options.epochs)
    features, labels = v1.data.make_one_shot_iterator(data).get_next()
    start = {
        "dense/kernel": KERNEL,
        "dense/bias": BIAS,
        "global_step": np.int64(options.start_step),
        "learning_rate": np.float32(options.learning_rate),
    }
    variables = {}

    def variable(name, value, collection=v1.GraphKeys.GLOBAL_VARIABLES, **kw):
        variables[name] = v1.get_variable(
            name,
            initializer=v1.constant_initializer(value),
            dtype=value.dtype,
            shape=value.shape,
            collections=[collection, *kw.pop("also", [])],
            **kw,
        )
        start[name] = value
        return variables[name]

    kernel = variable("dense/kernel", KERNEL)
    bias = variable("dense/bias", BIAS)
    step = variable(
        "global_step",
        start["global_step"],
        also=[v1.GraphKeys.GLOBAL_STEP],
        trainable=False,
    )
    # A reference variable: one can feed it by name, as v1 scripts did.
    rate = variable(
        "learning_rate",
        start["learning_rate"],
        collection=v1.GraphKeys.LOCAL_VARIABLES,
        trainable=False,
        use_resource=False,
    )
    predictions = tf.matmul(features, kernel) + bias
    loss = tf.reduce_mean(tf.square(predictions - labels))
    loss = tf.identity(loss, name="loss")
    updates = []
    if options.metrics:
        mae = v1.metrics.mean_absolute_error(labels, predictions)[1]
        updates = [tf.identity(mae, name="mae")]
        updates += [
            tf.identity(v1.metrics.mean(loss)[1], name="logs/loss"),
        ]
    gradients = tf.gradients(loss, [kernel, bias])
    with tf.control_dependencies([loss, *gradients, *updates]):
        pause = tf.numpy_function(_pause, [], [], stateful=True)
    update = functools.partial(_momentum, options.learning_rate)
    if options.optimizer == "adam":
        update = _adam
    with tf.control_dependencies([pause]):
        ops = [
            update(weight, gradient, tf.identity(rate), step, variable)
            for weight, gradient in zip((kernel, bias), gradients, strict=True)
        ]
    with tf.control_dependencies(ops):
        train_op = step.assign_add(1, read_value=False)
    return _Parts(loss, train_op, predictions, [loss], variables, start)


def _pause():
    time.sleep(PAUSE)


def _momentum(base, weight, gradient, rate, step, variable):
    """Apply the update of `keras.optimizers.SGD`, and keep v1's slots.

    While the rate does not change, this is also the update of v1's
    `MomentumOptimizer`. If a hook changes the rate, Keras applies it only to
    later gradients, v1 to earlier ones, too.
    """
    del step
    zeros = np.zeros(weight.shape, "float32")
    slot = variable(f"{weight.op.name}/momentum", zeros, trainable=False)
    new = slot * MOMENTUM + gradient * (rate / base)
    return tf.group(
        slot.assign(new, read_value=False),
        weight.assign_sub(new * base, read_value=False),
    )


def _adam(weight, gradient, rate, step, variable):
    """Apply the update of `keras.optimizers.Adam`."""
    zeros = np.zeros(weight.shape, "float32")
    name = weight.op.name
    m = variable(f"{name}/momentum", zeros, trainable=False)
    v = variable(f"{name}/velocity", zeros, trainable=False)
    power = tf.cast(step + 1, tf.float32)
    alpha = rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)
    new_m = m + (gradient - m) * (1 - BETA_1)
    new_v = v + (tf.square(gradient) - v) * (1 - BETA_2)
    change = new_m * alpha / (tf.sqrt(new_v) + EPSILON)
    with tf.control_dependencies([new_m, new_v, change]):
        return tf.group(
            m.assign(new_m, read_value=False),
            v.assign(new_v, read_value=False),
            weight.assign_sub(change, read_value=False),
        )


class _SnapshotCreator(v1.train.ChiefSessionCreator):
    """A session creator that reads the variables as the session closes."""

    def __init__(self, variables, scaffold):
        super().__init__(scaffold=scaffold)
        self.values = {}
        self._session = None
        self._reads = {n: tf.identity(v) for n, v in variables.items()}

    def create_session(self):
        self._session = super().create_session()
        close = self._session.close

        def snapshot_and_close():
            self.snapshot()
            close()

        self._session.close = snapshot_and_close
        return self._session

    def snapshot(self):
        """Read the variables, if there is a session and for the first time."""
        if self._session is not None and not self.values:
            self.values = self._session.run(self._reads)


def _v1_train(creator, hooks, parts, options):
    steps = None if options.unknown_length else options.steps
    _v1_loop(creator, hooks, parts.train_op, steps)


def _v1_predict(creator, hooks, parts, options):
    _v1_loop(creator, hooks, parts.predictions, options.steps // options.epochs)


def _v1_loop(creator, hooks, op, steps):
    with v1.train.MonitoredSession(creator, hooks) as session:
        while not session.should_stop() and steps != 0:
            session.run(op)
            steps = None if steps is None else steps - 1


def _v1_evaluate(creator, hooks, parts, options):
    """Do what `evaluation._evaluate_once` does, for a known length."""
    eval_step = evaluation._get_or_create_eval_step()
    stops = (
        evaluation._StopAfterNEvalsHook,
        evaluation._MultiStepStopAfterNEvalsHook,
    )
    with tf.control_dependencies(parts.eval_ops):
        pause = tf.numpy_function(_pause, [], [], stateful=True)
    with tf.control_dependencies([pause]):
        update = v1.assign_add(eval_step, 1, use_locking=True)
    ops = [*parts.eval_ops, update]
    value = evaluation._get_latest_eval_step_value(ops)
    for hook in hooks:
        if isinstance(hook, stops):
            hook._set_evals_completed_tensor(value)
    _v1_loop(creator, hooks, ops, options.steps // options.epochs)


_V1_LOOPS = {
    "train": _v1_train,
    "evaluate": _v1_evaluate,
    "predict": _v1_predict,
}


@contextlib.contextmanager
def workplace(root, trace):
    """Work in a separate folder, and collect the files that are left there."""
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    v1.summary.FileWriterCache.clear()
    with contextlib.chdir(root):
        with _captured_log(trace.logs):
            yield
        v1.summary.FileWriterCache.clear()
        trace.summaries = _summaries()
        trace.checkpoints = _checkpoints()
        trace.files = sorted(
            str(path)
            for path in pathlib.Path().rglob("*")
            if path.suffix in (".json", ".txt", ".npz", ".npy", ".csv")
        )


# Lines of these files are a hook's; all other lines are the session's own.
_HOOK_FILES = re.compile(
    r"basic_session_run_hooks|training/evaluation|[\\/]tests[\\/]"
)
_TIMING = re.compile(r" ?\(\d+\.\d+ sec\)|(?<=global_step/sec: ).*")


@contextlib.contextmanager
def _captured_log(lines):
    """Collect the lines that hooks log, less their timings."""

    class Handler(logging.Handler):
        def emit(self, record):
            if _HOOK_FILES.search(record.pathname):
                lines.append(_TIMING.sub("", record.getMessage()))

    logger = tf.get_logger()
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [Handler()], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


def _summaries():
    """Read the event files below the working folder back, by folder."""
    found = {}
    for path in sorted(pathlib.Path().rglob("*.tfevents.*")):
        events = found.setdefault(str(path.parent), [])
        for event in v1.train.summary_iterator(str(path)):
            if event.HasField("summary"):
                events += [(event.step, *one) for one in _values(event.summary)]
            elif event.HasField("session_log"):
                log = event.session_log
                events.append((event.step, "session_log", log.status))
            elif event.HasField("tagged_run_metadata"):
                tag = event.tagged_run_metadata.tag
                events.append((event.step, "run_metadata", tag))
    return found


def _values(summary):
    """List (tag, value) of a summary; rates count only as finite or not."""
    for value in summary.value:
        kind = value.WhichOneof("value")
        content = getattr(value, kind)
        if value.tag.endswith("/sec"):
            content = math.isfinite(content)
        elif kind == "histo":
            content = [content.min, content.max, content.num, content.sum]
        elif kind == "tensor":
            content = normalized(tf.make_ndarray(content))
        yield value.tag, content


def _checkpoints():
    """Read every checkpoint below the working folder back."""
    found = {}
    for state in sorted(pathlib.Path().rglob("checkpoint")):
        folder = str(state.parent)
        names = tf.train.get_checkpoint_state(folder)
        for path in names.all_model_checkpoint_paths:
            reader = tf.train.load_checkpoint(path)
            found[path] = {
                name: normalized(reader.get_tensor(name))
                for name in sorted(reader.get_variable_to_shape_map())
            }
    return found


def watch(hooks, trace):
    """Record each call of the hooks' methods in the trace.

    Only methods that the hook's class overrides are watched; the class stays
    as it is.

    Args:
        hooks: A list of hooks.
        trace: The `Trace` to record in.
    """
    for index, hook in enumerate(hooks):
        for method in METHODS:
            own = getattr(type(hook), method, None)
            if own is not getattr(v1.train.SessionRunHook, method):
                name = f"{index}:{type(hook).__name__}"
                _watch_method(hook, name, method, trace.events)


def _watch_method(hook, name, method, events):
    original = getattr(hook, method)

    def watched(*args):
        seen = args[1].results if method == "after_run" else None
        events.append((name, method, normalized(seen)))
        try:
            result = original(*args)
        except Exception as error:
            events.append((name, method, "raises", type(error).__name__))
            raise
        if method == "before_run":
            events.append((name, "asks", result is not None))
        return result

    setattr(hook, method, watched)


_PLAIN = (bool, int, float, str, bytes, np.ndarray, np.generic)


def harvest(hooks):
    """Collect the public plain attributes of the hooks.

    Args:
        hooks: A list of hooks.

    Returns:
        A dict of hook to a dict of attribute to its value.
    """
    state = {}
    for index, hook in enumerate(hooks):
        found = {
            key: normalized(value)
            for key, value in sorted(vars(hook).items())
            if not key.startswith("_") and _is_plain(value)
        }
        if isinstance(hook, v1.train.FinalOpsHook):
            found["final_ops_values"] = normalized(hook.final_ops_values)
        state[f"{index}:{type(hook).__name__}"] = found
    return state


def _is_plain(value):
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, _PLAIN)


def normalized(value):
    """Give a fetched value a form that compares and prints well.

    Args:
        value: Anything `Session.run` returns.

    Returns:
        Nested tuples, dicts and lists that name the type of each part.
    """
    if isinstance(value, dict):
        items = {
            key if isinstance(key, str) else repr(key): normalized(one)
            for key, one in value.items()
        }
        return (type(value).__name__, items)
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [normalized(one) for one in value])
    if isinstance(value, bytes):
        return _normalized_bytes(value)
    if isinstance(value, np.ndarray):
        return ("ndarray", value.dtype.name, value.tolist())
    if isinstance(value, np.generic):
        return (type(value).__name__, value.item())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return type(value).__name__


def _normalized_bytes(value):
    try:
        summary = v1.Summary.FromString(value)
    except Exception:
        return value
    if summary.value and all(one.tag for one in summary.value):
        return ("Summary", list(_values(summary)))
    return value


def differences(expected, actual, options=None):
    """Compare two traces.

    Args:
        expected: The `Trace` of the original.
        actual: The `Trace` of ours.
        options: The dict of options of the case.

    Returns:
        A list of lines, one per difference; empty if there is none.
    """
    lines = _error_differences(
        expected.error,
        actual.error,
        (options or {}).get("error_text", True),
    )
    for field in dataclasses.fields(Trace):
        if field.name != "error":
            _compare(
                field.name,
                getattr(expected, field.name),
                getattr(actual, field.name),
                lines,
            )
    return lines


def _error_differences(expected, actual, with_text):
    lines = []
    kinds = (type(None) if expected is None else type(expected),)
    if not isinstance(actual, kinds):
        lines.append(f"error: v1 {expected!r}, ours {actual!r}")
    elif expected is not None and with_text and str(expected) != str(actual):
        lines.append(f"error text: v1 {expected!s}, ours {actual!s}")
    return lines


def _compare(where, expected, actual, lines):
    if isinstance(expected, dict) and isinstance(actual, dict):
        if list(expected) != list(actual):
            lines.append(f"{where}: v1 {list(expected)}, ours {list(actual)}")
        for key in expected.keys() & actual.keys():
            _compare(f"{where}[{key!r}]", expected[key], actual[key], lines)
    elif isinstance(expected, (list, tuple)) and isinstance(
        actual, (list, tuple)
    ):
        if len(expected) != len(actual):
            lines.append(f"{where}: v1 has {expected}, ours {actual}")
        for index, pair in enumerate(zip(expected, actual, strict=False)):
            _compare(f"{where}[{index}]", *pair, lines)
    elif isinstance(expected, float) and isinstance(actual, float):
        if not np.isclose(
            expected, actual, rtol=1e-5, atol=1e-5, equal_nan=True
        ):
            lines.append(f"{where}: v1 {expected}, ours {actual}")
    elif where.startswith("logs["):
        _compare_line(where, expected, actual, lines)
    elif expected != actual or type(expected) is not type(actual):
        lines.append(f"{where}: v1 {expected!r}, ours {actual!r}")


_NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")


def _compare_line(where, expected, actual, lines):
    """Compare a line of the log: words exactly, fractions as numbers."""
    numbers = [
        [float(n) for n in _NUMBER.findall(one)] for one in (expected, actual)
    ]
    words = [_NUMBER.sub("#", one).split() for one in (expected, actual)]
    if (
        words[0] != words[1]
        or len(numbers[0]) != len(numbers[1])
        or not np.allclose(*numbers, rtol=1e-5, atol=1e-5)
    ):
        lines.append(f"{where}: v1 {expected!r}, ours {actual!r}")
