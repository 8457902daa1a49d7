# SPDX-License-Identifier: Apache-2.0
"""With hooks or without, the same seed gives the same weights, bit for bit.

The oracle is plain Keras: the same model, data and seed without a callback.
"""

import functools
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._hooks import selection
from final_ops_callback._keras import first_trace
from tests.flavors import IS_KERAS_3
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
LAYERS, OPTIMIZERS = keras.layers, keras.optimizers


class Noise(LAYERS.Layer):
    """A user-defined layer whose random state is in the trace."""

    def call(self, inputs: Any) -> Any:
        return inputs + tf.random.normal(tf.shape(inputs))


class Generated(LAYERS.Layer):
    """A layer that draws from a generator, whose state is a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = tf.random.Generator.from_seed(3)

    def call(self, inputs: Any) -> Any:
        return inputs + self.generator.normal(tf.shape(inputs))


def noisy_loss(y_true: Any, y_pred: Any) -> Any:
    """A user-defined loss that draws random numbers."""
    error = tf.square(y_true - y_pred)
    return error * tf.random.uniform(tf.shape(error))


RANDOM: dict[str, Callable[[], Any]] = {
    "nothing": lambda: LAYERS.Activation("linear"),
    "tf.random": Noise,
    "generator": Generated,
    "dropout": lambda: LAYERS.Dropout(0.5),
    "dropout with a seed": lambda: LAYERS.Dropout(0.5, seed=3),
    "gaussian noise": lambda: LAYERS.GaussianNoise(0.5),
    "activation": lambda: LAYERS.Activation(
        lambda x: x * tf.random.uniform(tf.shape(x))
    ),
    "lambda": lambda: LAYERS.Lambda(
        lambda x: x + tf.random.normal(tf.shape(x))
    ),
}
STEPPERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: OPTIMIZERS.SGD(0.1, momentum=0.9),
    "adam": OPTIMIZERS.Adam,
    "nadam": OPTIMIZERS.Nadam,
    "rmsprop": OPTIMIZERS.RMSprop,
    "ftrl": OPTIMIZERS.Ftrl,
    "adagrad": OPTIMIZERS.Adagrad,
    "adadelta": OPTIMIZERS.Adadelta,
    "adamax": OPTIMIZERS.Adamax,
}
if not IS_KERAS_3:
    STEPPERS["legacy adam"] = OPTIMIZERS.legacy.Adam
    STEPPERS["legacy nadam"] = OPTIMIZERS.legacy.Nadam


class Asks(v1.train.SessionRunHook):
    """Fetches a name every so many steps, from some step on."""

    def __init__(self, name: str, every: int = 1, first: int = 0) -> None:
        self.name, self.every, self.first = name, every, first
        self.step, self.results = 0, []

    def before_run(self, run_context: Any) -> Any:
        self.step += 1
        if self.step > self.first and self.step % self.every == 0:
            return v1.train.SessionRunArgs(self.name)
        return None

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if run_values.results is not None:
            self.results.append(run_values.results)


class Draws(v1.train.SessionRunHook):
    """Has variables and random operations of its own."""

    def begin(self) -> None:
        self.fetches = [
            v1.get_variable("own", initializer=1.0),
            v1.random_uniform([2]),
        ]

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.fetches)


HOOKS: dict[str, Callable[[], Any]] = {
    # More steps than any of these tests takes.
    "stop": lambda: v1.train.StopAtStepHook(last_step=10_000),
    "log": lambda: v1.train.LoggingTensorHook(["loss:0"], every_n_iter=3),
    "nan": lambda: v1.train.NanTensorHook("loss:0"),
    "final ops": lambda: v1.train.FinalOpsHook({"loss": "loss:0"}),
    "late": lambda: Asks("loss:0", every=3, first=3),
    "gradients": lambda: Asks("gradients/global_norm:0", every=2),
    "draws": Draws,
    "two": lambda: [Asks("loss:0"), v1.train.NanTensorHook("loss:0")],
}


def weights_after(
    layer: str, optimizer: str, hooks: Any = None, loss: Any = "mse"
) -> list[np.ndarray]:
    """Returns the weights after two epochs with a seed."""
    keras.utils.set_random_seed(7)
    generator = np.random.default_rng(0)
    x, y = generator.random((24, 3), "f"), generator.random((24, 1), "f")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            LAYERS.Dense(4, activation="relu", name="first"),
            RANDOM[layer](),
            LAYERS.Dense(1),
        ]
    )
    # Two models of one process count the optimizers: not part of the seed.
    model.compile(STEPPERS[optimizer](), loss, jit_compile=False)
    callbacks = [] if hooks is None else [SessionRunHookCallback(hooks)]
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    model.fit(x, y, callbacks=callbacks, **options)
    return model.get_weights()


@functools.cache
def without_hooks(layer: str, optimizer: str) -> list[np.ndarray]:
    """Returns the weights of plain Keras, which are the same twice."""
    first = weights_after(layer, optimizer)
    assert is_same(first, weights_after(layer, optimizer))
    return first


def is_same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Returns whether weights are equal, bit for bit."""
    return [w.tobytes() for w in one] == [w.tobytes() for w in other]


@pytest.mark.parametrize("hooks", HOOKS)
@pytest.mark.parametrize(
    "layer", ["tf.random", "dropout with a seed", "activation"]
)
def test_random_layers(layer: str, hooks: str) -> None:
    """Hooks don't change the random numbers that a layer draws."""
    with_hooks = weights_after(layer, "sgd", HOOKS[hooks]())

    assert is_same(with_hooks, without_hooks(layer, "sgd"))


@pytest.mark.parametrize("optimizer", STEPPERS)
def test_optimizers(optimizer: str) -> None:
    """Hooks don't change the updates of any optimizer."""
    with_hooks = weights_after("dropout", optimizer, HOOKS["log"]())

    assert is_same(with_hooks, without_hooks("dropout", optimizer))


def test_a_loss_of_the_users_own() -> None:
    """Hooks don't change the random numbers that a loss draws."""
    plain = weights_after("nothing", "sgd", loss=noisy_loss)
    with_hooks = weights_after(
        "nothing", "sgd", HOOKS["late"](), loss=noisy_loss
    )

    assert is_same(with_hooks, plain)


class Scaled:
    """An activation that is an object, with a method that is one, too."""

    def __call__(self, inputs: Any) -> Any:
        return inputs * tf.random.uniform(tf.shape(inputs))

    def method(self, inputs: Any) -> Any:
        return self(inputs)


class Drawn(keras.regularizers.Regularizer):
    """A regularizer that draws random numbers."""

    def __call__(self, x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        return tf.reduce_sum(x * tf.random.uniform(tf.shape(x)))


class Shaken(keras.constraints.Constraint):
    """A constraint that draws random numbers."""

    def __call__(self, w: Any) -> Any:
        w = tf.convert_to_tensor(w)
        return w * tf.random.uniform(tf.shape(w), 0.9, 1.1)


class Uneven(OPTIMIZERS.schedules.LearningRateSchedule):
    """A schedule that draws random numbers."""

    def __call__(self, step: Any) -> Any:
        return tf.random.uniform([], 0.01, 0.1)

    def get_config(self) -> dict[str, Any]:
        return {}


# User-defined objects that a stock layer, loss or optimizer calls.
GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "activation": lambda: {"activation": Scaled()},
    "method": lambda: {"activation": Scaled().method},
    "regularizer": lambda: {"kernel_regularizer": Drawn()},
    "constraint": lambda: {"kernel_constraint": Shaken()},
    "schedule": lambda: {"rate": Uneven()},
    "loss": lambda: {"loss": noisy_loss},
}
if IS_KERAS_3:
    GIVEN["wrapped loss"] = lambda: {
        # The class that Keras makes of a function has no public name.
        "loss": type(keras.losses.MeanSquaredError()).__mro__[1](noisy_loss)
    }


@pytest.mark.parametrize("given", GIVEN)
def test_objects_of_the_users_own(given: str) -> None:
    """Hooks don't change the random numbers of any user-defined object."""

    def weights(hooks: Any = ()) -> list[np.ndarray]:
        keras.utils.set_random_seed(7)
        x = np.random.default_rng(0).random((24, 3)).astype("f")
        options = {"loss": "mse", "rate": 0.1} | GIVEN[given]()
        optimizer = OPTIMIZERS.SGD(options.pop("rate"))
        loss = options.pop("loss")
        model = keras.Sequential(
            [keras.Input((3,)), LAYERS.Dense(1, **options)]
        )
        model.compile(optimizer, loss, jit_compile=False)
        callbacks = [SessionRunHookCallback(hooks)] if hooks else []
        options = {"batch_size": 4, "epochs": 2, "shuffle": False}
        model.fit(x, x[:, :1], verbose=0, callbacks=callbacks, **options)
        return model.get_weights()

    plain = weights()
    assert is_same(plain, weights())

    assert is_same(plain, weights(HOOKS["late"]()))


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(
    st.sampled_from(sorted(RANDOM)),
    st.sampled_from(sorted(STEPPERS)),
    st.lists(st.sampled_from(sorted(HOOKS)), max_size=3, unique=True),
    st.lists(
        st.builds(
            Asks,
            st.sampled_from(["loss:0", "global_step:0", "logs/loss:0"]),
            st.integers(1, 5),
            st.integers(0, 9),
        ),
        max_size=2,
    ),
)
def test_any_hooks(
    layer: str, optimizer: str, hooks: list[str], asking: list[Asks]
) -> None:
    """No schedule of hooks changes the training of any model."""
    made: list[Any] = []
    for name in hooks:
        hook = HOOKS[name]()
        made += hook if isinstance(hook, list) else [hook]
    with_hooks = weights_after(layer, optimizer, made + asking)

    assert is_same(with_hooks, without_hooks(layer, optimizer))


def test_what_was_not_known_in_time_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A name that comes late has the step recompiled, with a warning."""

    class Spells(Asks):
        def __init__(self) -> None:
            super().__init__("", first=4)

        def before_run(self, run_context: Any) -> Any:
            self.name = ":".join(["first", "0"])  # stands nowhere before
            return super().before_run(run_context)

    hook = Spells()
    weights_after("tf.random", "sgd", hook)

    assert len(hook.results) == 8
    assert "recompiled, and its random operations start over" in caplog.text


def test_what_is_known_in_time_is_not_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A name that a hook looks up when it begins causes no warning."""

    class LooksUp(Asks):
        def begin(self) -> None:
            v1.get_default_graph().get_tensor_by_name(self.name)

    hook = LooksUp("first:0", first=4)
    with_hooks = weights_after("tf.random", "sgd", hook)

    assert len(hook.results) == 8
    assert "recompiled" not in caplog.text
    assert is_same(with_hooks, without_hooks("tf.random", "sgd"))


def test_a_step_that_was_compiled_before_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Hooks that come in a later fit have the step recompiled: a warning."""
    x = np.ones((4, 3), "f")
    text = "was compiled before hooks asked for"
    for layers, is_said in (([Noise()], True), ([], False)):
        model = keras.Sequential([keras.Input((3,)), *layers, LAYERS.Dense(1)])
        model.compile("sgd", "mse", jit_compile=False)
        model.fit(x, x[:, :1], verbose=0)
        for _ in range(2):
            caplog.clear()
            hook = SessionRunHookCallback(HOOKS["log"]())
            model.fit(x, x[:, :1], verbose=0, callbacks=[hook])
            assert (text in caplog.text) is is_said
            is_said = False  # from then on, its function is the hooks' own


@pytest.mark.parametrize("layer", ["dropout with a seed", "tf.random"])
def test_hooks_in_an_evaluate_before(layer: str) -> None:
    """Hooks in an evaluate, and then in a fit, leave the fit alone."""

    def weights(*hooks: str) -> list[np.ndarray]:
        keras.utils.set_random_seed(7)
        layers = [LAYERS.Dense(4), RANDOM[layer](), LAYERS.Dense(1)]
        model = keras.Sequential([keras.Input((3,)), *layers])
        model.compile(OPTIMIZERS.Nadam(), "mse", jit_compile=False)
        x = np.ones((8, 3), "f")
        callbacks = [SessionRunHookCallback(HOOKS[name]()) for name in hooks]
        model.evaluate(x, x[:, :1], verbose=0, callbacks=callbacks)
        options = {"batch_size": 2, "verbose": 0, "shuffle": False}
        model.fit(x, x[:, :1], callbacks=callbacks, **options)
        return model.get_weights()

    assert is_same(weights(), weights("log"))


def test_the_guard_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two functions for the steps of one run give other weights."""
    monkeypatch.setattr(selection, "may_be_random", lambda model: False)
    with_hooks = weights_after("tf.random", "sgd", HOOKS["log"]())

    assert not is_same(with_hooks, without_hooks("tf.random", "sgd"))


@pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 makes nothing in a trace")
def test_the_guard_of_the_first_trace_can_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In Keras 2, an optimizer that is built early changes the seeds."""
    monkeypatch.setattr(first_trace.FirstTrace, "needed", lambda model: None)
    with_hooks = weights_after("dropout with a seed", "sgd", HOOKS["stop"]())

    assert not is_same(with_hooks, without_hooks("dropout with a seed", "sgd"))


class Norm(v1.train.SessionRunHook):
    """Fetches a value that is computed from the weights."""

    def begin(self) -> None:
        self.norm = tf.linalg.global_norm(v1.trainable_variables())

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.norm)


@pytest.mark.parametrize("activation", ["swish", "gelu", "tanh"])
@pytest.mark.parametrize("hook", [HOOKS["stop"], Norm], ids=["stop", "norm"])
def test_a_fetch_from_beside_the_step_changes_no_bit(
    hook: Callable[[], Any], activation: str
) -> None:
    """TensorFlow fuses the operations of the step as it does without hooks.

    It takes some hundred steps until another last bit reaches a weight.
    """

    def weights(*callbacks: Any) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        hidden = LAYERS.Dense(32, activation)
        model = keras.Sequential([keras.Input((4,)), hidden, LAYERS.Dense(1)])
        model.compile("sgd", "mse")
        random = np.random.default_rng(0)
        x = random.normal(size=(200, 4)).astype("float32")
        y = random.normal(size=(200, 1)).astype("float32")
        options = {"epochs": 16, "shuffle": False, "verbose": 0}
        model.fit(x, y, 4, callbacks=[*callbacks], **options)
        return model.get_weights()

    assert is_same(weights(), weights(SessionRunHookCallback(hook())))


@pytest.fixture
def _unfused() -> Iterator[None]:
    """Lets TensorFlow compile operations as they are written."""
    passes = ("arithmetic_optimization", "remapping")
    set_options = tf.config.optimizer.set_experimental_options
    set_options(dict.fromkeys(passes, False))
    yield
    set_options(dict.fromkeys(passes, True))


@pytest.mark.usefixtures("_unfused")
@pytest.mark.parametrize(
    "name", ["loss:0", "hidden:0", "gradients/global_norm:0"]
)
def test_a_fetch_changes_no_bit_that_the_compiler_does_not(name: str) -> None:
    """The compiler fuses no value that is fetched; nothing else rounds."""

    def weights(*callbacks: Any) -> list[np.ndarray]:
        keras.utils.set_random_seed(7)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                LAYERS.Dense(5, "tanh", name="hidden"),
                LAYERS.BatchNormalization(),
                LAYERS.Dense(3),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(OPTIMIZERS.SGD(0.1, 0.9), loss)
        random = np.random.default_rng(0)
        x = random.normal(size=(26, 4)).astype("float32")
        y = random.integers(0, 3, 26)
        model.fit(
            x, y, batch_size=4, epochs=2, callbacks=[*callbacks], verbose=0
        )
        return model.get_weights()

    hook = Asks(name)

    assert is_same(weights(), weights(SessionRunHookCallback(hook)))
    assert hook.results
