# SPDX-License-Identifier: Apache-2.0
"""Hooks run where and as often as they should under Keras."""

from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests import models
from tests.flavors import IS_KERAS_3
from tests.flavors import KERAS_2
from tests.flavors import LossScaleOptimizer
from tests.flavors import ends_in_the_step
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


class Steps(v1.train.SessionRunHook):
    """Notes its moments, with the global step fetched in the run and after."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def begin(self) -> None:
        self.step = v1.train.get_global_step()
        self.events.append("begin")

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs(self.step)

    def after_run(self, context: Any, values: Any) -> None:
        after = context.session.run(self.step)
        self.events.append((int(values.results), int(after)))

    def end(self, session: Any) -> None:
        self.events.append("end")


def steps(first: int, last: int, stride: int = 1) -> list[Any]:
    """Returns what `Steps` notes of a run from one step to another."""
    runs = [
        (step, min(step + stride, last)) for step in range(first, last, stride)
    ]
    return ["begin", *runs, "end"]


@pytest.fixture
def model() -> keras.Model:
    """The tiny model, fitted on four batches an epoch."""
    return models.tiny_model()


def data(count: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and labels for the tiny model."""
    x, y, _ = models.tiny_data()
    repeat = -(-count // len(x))
    return np.tile(x, (repeat, 1))[:count], np.tile(y, (repeat, 1))[:count]


def call(model: keras.Model, method: str, *callbacks: Any, **more: Any) -> None:
    x, y = data()
    inputs = (x,) if method == "predict" else (x, y)
    getattr(model, method)(
        *inputs, batch_size=2, verbose=0, callbacks=list(callbacks), **more
    )


def test_fit_runs_over_epochs_as_one_session(model: keras.Model) -> None:
    """Two epochs are one run: one begin, one end, all steps."""
    hook = Steps()
    call(model, "fit", SessionRunHookCallback(hook), epochs=2)

    assert hook.events == steps(0, 8)


def test_hooks_of_fit_do_not_see_validation(model: keras.Model) -> None:
    """A training hook does not run in the validation inside fit."""
    hook = Steps()
    callback = SessionRunHookCallback(hook)
    call(model, "fit", callback, epochs=2, validation_data=data(4))

    assert hook.events == steps(0, 8)


def test_hooks_on_test_see_each_validation(model: keras.Model) -> None:
    """With on="test" a hook runs for each validation, and not for fit."""
    hook = Steps()
    callback = SessionRunHookCallback(hook, on="test")
    call(
        model,
        "fit",
        callback,
        epochs=2,
        validation_data=data(4),
        validation_batch_size=2,
    )

    first = ["begin", (4, 4), (4, 4), "end"]
    assert hook.events == [*first, "begin", (8, 8), (8, 8), "end"]


def test_a_callback_may_be_on_several_phases(model: keras.Model) -> None:
    """With on=("train", "test") validation is a run inside the run."""
    made: list[Steps] = []

    def make() -> Steps:
        made.append(Steps())
        return made[-1]

    callback = SessionRunHookCallback(make, on=("train", "test"))
    call(model, "fit", callback, validation_data=data(2))

    assert [hook.events for hook in made] == [
        steps(0, 4),
        ["begin", (4, 4), "end"],
    ]


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_evaluate_and_predict_take_no_step(
    model: keras.Model, method: str
) -> None:
    """Each batch is a run, and the global step stays."""
    hook = Steps()
    call(model, method, SessionRunHookCallback(hook))

    assert hook.events == ["begin", *[(0, 0)] * 4, "end"]


def test_a_phase_that_is_not_asked_for_is_left_alone(
    model: keras.Model,
) -> None:
    """With on="predict" a fit calls no hook."""
    hook = Steps()
    call(model, "fit", SessionRunHookCallback(hook, on="predict"))

    assert hook.events == []


def test_a_second_fit_goes_on(model: keras.Model) -> None:
    """The same callback in a second fit starts at the step of the model."""
    hook = Steps()
    callback = SessionRunHookCallback(hook)
    call(model, "fit", callback)
    call(model, "fit", callback)

    assert hook.events == steps(0, 4) + steps(4, 8)


def test_several_callbacks_share_the_step(model: keras.Model) -> None:
    """Hooks of two callbacks both get the loss of each step, the same."""
    losses: list[list[float]] = [[], []]

    class Losses(v1.train.SessionRunHook):
        def __init__(self, into: list[float]) -> None:
            self.into = into

        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs("loss:0")

        def after_run(self, context: Any, values: Any) -> None:
            self.into.append(float(values.results))

    callbacks = [SessionRunHookCallback(Losses(into)) for into in losses]
    call(model, "fit", *callbacks)

    assert losses[0] == losses[1]
    assert len(losses[0]) == 4


@pytest.mark.parametrize("jit_compile", [False, True])
def test_steps_per_execution_is_steps_per_run(jit_compile: bool) -> None:
    """One execution of three steps is one run, as steps_per_run says."""
    model = models.tiny_model()
    model.compile("sgd", "mse", steps_per_execution=3, jit_compile=jit_compile)
    hook = Steps()
    seen: list[int] = []

    class Stride(v1.train.SessionRunHook):
        def begin(self) -> None:
            collection = v1.get_collection("hooks_steps_per_run")
            self.variable = collection[0]

        def after_create_session(self, session: Any, coord: Any) -> None:
            seen.append(int(session.run(self.variable)))

    call(model, "fit", SessionRunHookCallback([hook, Stride()]))

    assert hook.events == steps(0, 4, stride=3)
    assert seen == [3]


@pytest.mark.parametrize("epochs", [1, 2])
def test_data_of_unknown_length(model: keras.Model, epochs: int) -> None:
    """The step that finds the end of the data counts for Keras alone."""
    x, y = data()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(2)
    dataset = dataset.filter(lambda *_: True)
    hook, bare = Steps(), models.tiny_model()
    for one, callbacks in ((model, [SessionRunHookCallback(hook)]), (bare, [])):
        with ends_in_the_step():
            one.fit(
                dataset,
                epochs=epochs,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )

    assert hook.events == steps(0, 4 * epochs)
    assert int(model.optimizer.iterations.numpy()) == 4 * epochs
    too_many = epochs if IS_KERAS_3 else 1
    assert int(bare.optimizer.iterations.numpy()) == 4 * epochs + too_many


class Sees(v1.train.SessionRunHook):
    """Notes weights, the rate, and what was computed beside an effect."""

    def __init__(self, make: Any) -> None:
        self.make, self.seen = make, list[Any]()

    def begin(self) -> None:
        weights = v1.trainable_variables()
        (kernel, *_) = weights
        computed = [
            tf.cond(kernel[0, 0] > 0, lambda: kernel * 1, lambda: kernel + 0),
            tf.function(lambda: kernel * 1)(),
            tf.map_fn(lambda row: row * 1, kernel),
        ]
        made = self.make(kernel)
        self.fetches = [weights, "learning_rate:0", computed, made]

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs(self.fetches)

    def after_run(self, context: Any, values: Any) -> None:
        self.seen.append(values.results)


class Changes(keras.callbacks.Callback):
    """Sets weights and rate after each epoch; notes them before each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = float(to_numpy(self.model.optimizer.learning_rate))
        self.before = self.model.get_weights(), rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Not for a step that found no data, which may begin, too.
        self.seen.append(self.before)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        weights = self.model.get_weights()
        self.model.set_weights([w * 0 + epoch + 1 for w in weights])
        self.model.optimizer.learning_rate = 0.1 / (epoch + 2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "make",
    [
        lambda weight: tf.constant(0.0),
        lambda weight: v1.get_variable("n", initializer=0).assign_add(1),
        lambda weight: v1.random_uniform([]),
        lambda weight: v1.Print(1.0, [1.0]),
        lambda weight: v1.py_func(lambda: np.float32(1.0), [], tf.float32),
        lambda weight: v1.metrics.mean(weight)[1],
    ],
    ids=["nothing", "count", "random", "print", "python", "metric"],
)
def test_what_changes_between_epochs_is_seen(
    model: keras.Model, make: Any
) -> None:
    """Also if something was fetched that must not run twice for one step."""
    unknown = tf.data.Dataset.from_tensor_slices(data()).batch(2)
    hook, changes = Sees(make), Changes()
    callbacks = [SessionRunHookCallback(hook), changes]
    unknown = unknown.filter(lambda x, y: True)
    model.fit(unknown, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)

    assert len(hook.seen) == 12
    for (weights, rate, computed, _), (expected, of_keras) in zip(
        hook.seen, changes.seen, strict=True
    ):
        for value in computed:
            np.testing.assert_array_equal(value, expected[0])
        for value, other in zip(weights, expected, strict=True):
            np.testing.assert_array_equal(value, other)
        assert rate == pytest.approx(of_keras)


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize("options", [{}, {"use_ema": True}], ids=["", "ema"])
def test_hooks_of_an_evaluate_make_no_slots(method: str, options: Any) -> None:
    """Keras makes them for what is trained by the time of the first fit."""

    def weights(*hooks: Any) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(2, name=name) for name in "abc"]
        model = keras.Sequential([keras.Input((2,)), *layers])
        average = {"ema_momentum": 0.5, "ema_overwrite_frequency": 2}
        optimizer = keras.optimizers.SGD(
            0.1, 0.9, **options, **average if options else {}
        )
        model.get_layer("b").trainable = False
        model.compile(optimizer, "mse")
        x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
        inputs = (x,) if method == "predict" else (x, x)
        callbacks = [SessionRunHookCallback(hook) for hook in hooks]
        getattr(model, method)(*inputs, verbose=0, callbacks=callbacks)
        model.get_layer("a").trainable = False
        model.get_layer("b").trainable = True
        model.compile(optimizer, "mse")
        model.fit(x, x, epochs=4, shuffle=False, verbose=0)
        return model.get_weights()

    expected = weights()

    for value, other in zip(weights(Steps()), expected, strict=True):
        np.testing.assert_array_equal(value, other)


class AsksTwice(v1.train.SessionRunHook):
    """Fetches a value by a name that stands nowhere, and asks for it again."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs(self.name())

    def after_run(self, context: Any, values: Any) -> None:
        self.seen.append((values.results, context.session.run(self.name())))

    def end(self, session: Any) -> None:
        self.last = session.run(self.name())

    def name(self) -> str:
        return ":".join(["loss", str(0)])


def test_what_a_step_was_asked_for_is_there_after_it(
    model: keras.Model,
) -> None:
    """However the hook came by the name."""
    hook = AsksTwice()
    call(model, "fit", SessionRunHookCallback(hook))

    assert len(hook.seen) == 4
    assert all(first == again for first, again in hook.seen)
    assert hook.last == hook.seen[-1][0]


@pytest.mark.parametrize("loss", [False, True])
def test_a_model_that_nobody_asks_is_not_touched(
    model: keras.Model, loss: bool
) -> None:
    """Only a fetch of the loss makes a second function for the step."""
    call(model, "fit")
    function = model.train_function
    # Not a function: a model that holds one may draw random numbers by it.
    make = mock.Mock(wraps=model.make_train_function)
    name = "loss:0" if loss else "logs/loss:0"

    class Fetches(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs(name)

    vars(model)["make_train_function"] = make
    call(model, "fit", SessionRunHookCallback(Fetches()))
    vars(model).pop("make_train_function")

    forced = [
        True in (*made.args, *made.kwargs.values()) for made in make.mock_calls
    ]
    assert sum(forced) == int(loss)
    assert model.train_function is function


def test_chief_only_runs_on_the_chief(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another worker, hooks that are for the chief do not run."""
    hook, everywhere = Steps(), Steps()
    monkeypatch.setattr(
        "final_ops_callback._keras.compat.is_chief", lambda _: False
    )
    call(
        model,
        "fit",
        SessionRunHookCallback(hook, chief_only=True),
        SessionRunHookCallback(everywhere),
    )

    assert hook.events == []
    assert everywhere.events == steps(0, 4)


def test_fit_stops_before_the_first_step(model: keras.Model) -> None:
    """A stop asked for in after_create_session lets no step run."""

    class Stop(v1.train.SessionRunHook):
        def after_create_session(self, session: Any, coord: Any) -> None:
            coord.request_stop()

    hook = Steps()
    call(model, "fit", SessionRunHookCallback([hook, Stop()]), epochs=3)

    assert hook.events == ["begin", "end"]
    assert int(model.optimizer.iterations.numpy()) == 0


def test_an_unbuilt_model_is_built_before_the_hooks_begin() -> None:
    """A model without an Input has its twins when begin is called."""
    model = keras.Sequential([keras.layers.Dense(1, name="only")])
    model.compile("sgd", "mse")
    names: list[str] = []

    class Names(Steps):
        def begin(self) -> None:
            super().begin()
            names.extend(v.op.name for v in v1.trainable_variables())

    hook = Names()
    call(model, "fit", SessionRunHookCallback(hook))

    assert names == [path_of(weight) for weight in model.trainable_weights]
    assert hook.events == steps(0, 4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_rate_of_a_schedule_is_that_of_the_step(jit_compile: bool) -> None:
    """A fetch of the learning rate gives what a schedule says of the step."""
    model = models.tiny_model()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    optimizer = keras.optimizers.SGD(schedule)
    model.compile(optimizer, "mse", jit_compile=jit_compile)
    rates: list[Any] = []

    class Rate(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            return v1.train.SessionRunArgs("learning_rate:0")

        def after_run(self, context: Any, values: Any) -> None:
            rates.append(values.results)

    call(model, "fit", SessionRunHookCallback(Rate()))

    expected = [to_numpy(schedule(step)) for step in range(4)]
    np.testing.assert_allclose(rates, expected)


def test_state_of_every_kind_has_a_twin(tmp_path: Any) -> None:
    """Dropout, batch statistics and a scaled loss go into a checkpoint."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(1),
        ]
    )
    optimizer = LossScaleOptimizer(keras.optimizers.Adam())
    model.compile(optimizer, "mse", jit_compile=False)
    saver = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=2)
    call(model, "fit", SessionRunHookCallback(saver))
    reader = tf.train.load_checkpoint(str(tmp_path))

    for weight in model.weights:
        np.testing.assert_array_equal(
            reader.get_tensor(path_of(weight)), to_numpy(weight)
        )
    assert reader.get_tensor("global_step") == 4


def test_hooks_run_on_a_model_of_keras_2() -> None:
    """A model of Keras 2 has its loss, its step and its rate, too."""
    model = models.tiny_model(KERAS_2)
    hook = Steps()
    seen: list[Any] = []

    class Sees(v1.train.SessionRunHook):
        def before_run(self, context: Any) -> Any:
            feeds = {"learning_rate:0": 0.0}
            return v1.train.SessionRunArgs(["loss:0", "learning_rate:0"], feeds)

        def after_run(self, context: Any, values: Any) -> None:
            seen.append(values.results)

    before = model.get_weights()
    call(model, "fit", SessionRunHookCallback([hook, Sees()]), shuffle=False)
    for method in ("evaluate", "predict"):
        call(model, method, SessionRunHookCallback(hook))

    still = ["begin", *[(4, 4)] * 4, "end"]
    assert hook.events == steps(0, 4) + still + still
    assert [float(rate) for _, rate in seen] == [0.0] * 4
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    x, y = data()
    first = model.evaluate(x[:2], y[:2], verbose=0)[0]
    np.testing.assert_allclose(seen[0][0], first, rtol=1e-6)


# Keras 3 says so of any data whose length it does not know.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_the_step_that_finds_no_data(call: str) -> None:
    """If only the data shows its end, one more step begins, as in v1."""

    class Counts(v1.train.SessionRunHook):
        def __init__(self) -> None:
            self.events: list[str] = []

        def before_run(self, run_context: Any) -> None:
            self.events.append("before_run")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.events.append("after_run")

        def end(self, session: Any) -> None:
            self.events.append("end")

    x = np.ones((3, 3), "f")
    original, hook = Counts(), Counts()
    with tf.Graph().as_default():
        v1.train.get_or_create_global_step()
        data = v1.data.Dataset.from_tensor_slices(x)
        batch = v1.data.make_one_shot_iterator(data).get_next()
        with v1.train.MonitoredSession(hooks=[original]) as session:
            while not session.should_stop():
                session.run(batch)

    def rows() -> Any:
        for row in x:
            yield row if call == "predict" else (row, row[:1])

    spec = tf.TensorSpec([3]), tf.TensorSpec([1])
    dataset = tf.data.Dataset.from_generator(
        rows, output_signature=spec[0] if call == "predict" else spec
    ).batch(1)
    model = models.tiny_model()
    callbacks = [SessionRunHookCallback(hook)]
    more = {"shuffle": False} if call == "fit" else {}
    getattr(model, call)(dataset, verbose=0, callbacks=callbacks, **more)

    assert hook.events == original.events
