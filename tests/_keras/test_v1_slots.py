# SPDX-License-Identifier: Apache-2.0
"""The slots of Keras's optimizers have the meaning that they had in v1.

The oracle is v1 itself: its training goes on from a checkpoint of ours with
the weights that it would have had, and ours from one of v1.
"""

import functools
import logging
from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import value_of
from tests.flavors import variables_of

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
KERNEL = np.full((3, 1), 0.3, "f")
X = np.random.default_rng(0).random((24, 3), "f")
Y = np.random.default_rng(1).random((24, 1), "f")
STEPS, BATCH = 6, 4


class Pair(NamedTuple):
    """An optimizer of v1, and its counterpart in Keras.

    Attributes:
        original: Makes v1's.
        ours: Makes that of Keras.
        slots: Dict from the name of a slot in v1 to the words by which the
            name of ours ends or begins, in Keras 2, Keras 3 or legacy.
    """

    original: Callable[[], Any]
    ours: Callable[[], Any]
    slots: dict[str, tuple[str, ...]]


TRAIN, OPTIMIZERS = v1.train, keras.optimizers
MOMENTUM = {"Momentum": ("momentum", "m")}
PAIRS = {
    "sgd": Pair(
        lambda: TRAIN.GradientDescentOptimizer(0.1),
        lambda: OPTIMIZERS.SGD(0.1),
        {},
    ),
    "momentum": Pair(
        lambda: TRAIN.MomentumOptimizer(0.1, 0.9),
        lambda: OPTIMIZERS.SGD(0.1, momentum=0.9),
        MOMENTUM,
    ),
    "nesterov": Pair(
        lambda: TRAIN.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        lambda: OPTIMIZERS.SGD(0.1, momentum=0.9, nesterov=True),
        MOMENTUM,
    ),
    "adam": Pair(
        lambda: TRAIN.AdamOptimizer(0.1, epsilon=1e-7),
        lambda: OPTIMIZERS.Adam(0.1, epsilon=1e-7),
        {"Adam": ("momentum", "m"), "Adam_1": ("velocity", "v")},
    ),
    "rmsprop": Pair(
        lambda: TRAIN.RMSPropOptimizer(
            0.1, 0.9, momentum=0.5, epsilon=1e-7, centered=True
        ),
        lambda: OPTIMIZERS.RMSprop(
            0.1, 0.9, momentum=0.5, epsilon=1e-7, centered=True
        ),
        {
            "RMSProp": ("velocity", "rms"),
            "RMSProp_1": ("average_gradient", "mg", "average_gradient"),
            "RMSProp_2": ("momentum", "momentum"),
        },
    ),
    "adagrad": Pair(
        lambda: TRAIN.AdagradOptimizer(0.1),
        lambda: OPTIMIZERS.Adagrad(0.1),
        {"Adagrad": ("accumulator", "accumulator")},
    ),
    "adadelta": Pair(
        lambda: TRAIN.AdadeltaOptimizer(0.1, 0.95, 1e-7),
        lambda: OPTIMIZERS.Adadelta(0.1, rho=0.95, epsilon=1e-7),
        {
            "Adadelta": ("accumulated_grad", "accumulated_grad"),
            "Adadelta_1": ("accumulated_delta_var", "accumulated_delta_var"),
        },
    ),
    "ftrl": Pair(
        lambda: TRAIN.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
        lambda: OPTIMIZERS.Ftrl(0.1, l1_regularization_strength=0.01),
        {
            "Ftrl": ("accumulator", "accumulator"),
            "Ftrl_1": ("linear", "linear"),
        },
    ),
}
if not IS_KERAS_3:
    LEGACY = OPTIMIZERS.legacy
    PAIRS["legacy momentum"] = PAIRS["momentum"]._replace(
        ours=lambda: LEGACY.SGD(0.1, momentum=0.9)
    )
    PAIRS["legacy adam"] = PAIRS["adam"]._replace(
        ours=lambda: LEGACY.Adam(0.1, epsilon=1e-7)
    )
    PAIRS["legacy rmsprop"] = PAIRS["rmsprop"]._replace(
        ours=lambda: LEGACY.RMSprop(
            0.1, 0.9, momentum=0.5, epsilon=1e-7, centered=True
        )
    )


def original(
    make: Callable[[], Any], steps: int, restore: str = "", save: str = ""
) -> np.ndarray:
    """Trains under v1; returns the kernel after the steps."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        y = v1.placeholder(tf.float32, [None, 1])
        kernel = v1.get_variable("out/kernel", initializer=KERNEL)
        step = TRAIN.get_or_create_global_step()
        loss = tf.reduce_mean(tf.square(x @ kernel - y))
        update = make().minimize(loss, global_step=step)
        saver = TRAIN.Saver()
        session.run(v1.global_variables_initializer())
        if restore:
            # What Keras keeps elsewhere (Adam's powers) is set by the step.
            _restore_what_is_there(session, restore)
        for _ in range(steps):
            rows = slice(BATCH * session.run(step), None)
            feeds = {x: X[rows][:BATCH], y: Y[rows][:BATCH]}
            session.run(update, feeds)
        if save:
            saver.save(session, save)
        return session.run(kernel)


def _restore_what_is_there(session: Any, prefix: str) -> None:
    reader = tf.train.load_checkpoint(prefix)
    for variable in v1.global_variables():
        name = variable.op.name
        if reader.has_tensor(name):
            variable.load(reader.get_tensor(name), session)
        else:
            power = {"beta1_power": 0.9, "beta2_power": 0.999}[name]
            done = reader.get_tensor("global_step")
            variable.load(np.float32(power ** (done + 1)), session)


def model_of(pair: Pair) -> tuple[Any, dict[str, str]]:
    """Returns a model, and which name of v1 each of its variables has."""
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(1, use_bias=False, name="out")(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(pair.ours(), "mse", jit_compile=False)
    model.set_weights([KERNEL])
    hook = Checkpoint()
    model.fit(X[:1], Y[:1], verbose=0, callbacks=[SessionRunHookCallback(hook)])
    names = {}
    for slot, words in pair.slots.items():
        (names[slot],) = {
            path
            for path in hook.paths
            for word in words
            if path.endswith((f"_{word}", f"/{word}")) or f"/{word}/" in path
        }
    model.compile(pair.ours(), "mse", jit_compile=False)
    model.set_weights([KERNEL])
    return model, {ours: f"out/kernel/{slot}" for slot, ours in names.items()}


class Checkpoint(v1.train.SessionRunHook):
    """Restores a checkpoint of v1 before the first step; saves at the end."""

    def __init__(self, restore: str = "", save: str = "") -> None:
        self.restore, self.save = restore, save

    def begin(self) -> None:
        self.paths = [v.op.name for v in v1.global_variables()]
        kept = [
            v
            for v in v1.global_variables()
            if v.op.name.startswith("out/") or v.op.name == "global_step"
        ]
        self.saver = TRAIN.Saver(kept)

    def after_create_session(self, session: Any, coord: Any) -> None:
        if self.restore:
            self.saver.restore(session, self.restore)

    def end(self, session: Any) -> None:
        if self.save:
            self.saver.save(session, self.save)


def ours(
    pair: Pair,
    steps: int,
    first: int = 0,
    callbacks: Sequence[Any] = (),
    **checkpoint: str,
) -> np.ndarray:
    """Trains under Keras; returns the kernel after the steps."""
    model, names = model_of(pair)
    rows = slice(BATCH * first, BATCH * (first + steps))
    callback = SessionRunHookCallback(
        Checkpoint(**checkpoint), variable_names=names
    )
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    model.fit(X[rows], Y[rows], callbacks=[callback, *callbacks], **options)
    return np.asarray(model.get_weights()[0])


@pytest.mark.parametrize("name", PAIRS)
def test_ours_goes_on_from_v1(name: str, tmp_path: Path) -> None:
    """Keras trains on from a checkpoint of v1 as v1 does."""
    pair, prefix = PAIRS[name], str(tmp_path / "model.ckpt")
    original(pair.original, 3, save=prefix)
    whole = original(pair.original, STEPS)

    trained = ours(pair, STEPS - 3, first=3, restore=prefix)

    np.testing.assert_allclose(trained, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_v1_goes_on_from_ours(name: str, tmp_path: Path) -> None:
    """v1 trains on from a checkpoint of ours as Keras does."""
    pair, prefix = PAIRS[name], str(tmp_path / "model.ckpt")
    ours(pair, 3, save=prefix)
    whole = ours(pair, STEPS)

    trained = original(pair.original, STEPS - 3, restore=prefix)

    np.testing.assert_allclose(trained, whole, rtol=0, atol=1e-6)


def test_the_guard_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Momentum that is not converted gives other weights."""
    pair, prefix = PAIRS["momentum"], str(tmp_path / "model.ckpt")
    original(pair.original, 3, save=prefix)
    whole = original(pair.original, STEPS)
    monkeypatch.setattr(
        "final_ops_callback._keras.optimizers.meanings_of", lambda *_: {}
    )

    trained = ours(pair, STEPS - 3, first=3, restore=prefix)

    assert np.abs(trained - whole).max() > 0.01


def test_a_schedule_gives_the_rate_of_the_restored_step(tmp_path: Path) -> None:
    """The rate of the conversion is that of the step that is restored."""
    decay = {"boundaries": [2], "values": [0.5, 0.1]}

    def make_v1() -> Any:
        step = TRAIN.get_or_create_global_step()
        rate = TRAIN.piecewise_constant(step, [2], [0.5, 0.1])
        return TRAIN.MomentumOptimizer(rate, 0.9)

    def make() -> Any:
        schedule = OPTIMIZERS.schedules.PiecewiseConstantDecay(**decay)
        return OPTIMIZERS.SGD(schedule, momentum=0.9)

    pair = Pair(make_v1, make, MOMENTUM)
    prefix = str(tmp_path / "model.ckpt")
    # The last step before the checkpoint has the rate of those after it.
    original(make_v1, 4, save=prefix)
    whole = original(make_v1, STEPS)

    trained = ours(pair, STEPS - 4, first=4, restore=prefix)

    np.testing.assert_allclose(trained, whole, rtol=0, atol=1e-6)


def test_a_rate_of_zero_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Momentum can't be converted where the rate is 0: a warning says so."""
    pair = PAIRS["momentum"]._replace(
        ours=lambda: OPTIMIZERS.SGD(0.0, momentum=0.9)
    )
    prefix = str(tmp_path / "model.ckpt")
    original(pair.original, 3, save=prefix)
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        ours(pair, 1, first=3, restore=prefix)

    assert "multiplied by it: the momentum is lost" in caplog.text


class Rate(keras.callbacks.Callback):
    """Sets the rate when an epoch begins, as a scheduler does."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.1


def test_a_scheduler_may_set_the_rate_after_the_restore(tmp_path: Path) -> None:
    """Momentum is converted by the rate of the step, not of the restore."""
    pair, prefix = PAIRS["momentum"], str(tmp_path / "model.ckpt")
    original(pair.original, 3, save=prefix)
    whole = original(pair.original, STEPS)
    for first_rate in (1.0, 0.0):
        late = pair._replace(
            ours=functools.partial(OPTIMIZERS.SGD, first_rate, momentum=0.9)
        )
        trained = ours(late, STEPS - 3, 3, callbacks=[Rate()], restore=prefix)

        np.testing.assert_allclose(trained, whole, rtol=0, atol=1e-6)


def test_what_is_read_and_written_in_a_step() -> None:
    """A hook reads and writes the momentum that v1 kept."""
    model, names = model_of(PAIRS["momentum"])

    class Halves(v1.train.SessionRunHook):
        def begin(self) -> None:
            (self.slot,) = (
                v for v in v1.global_variables() if "Momentum" in v.op.name
            )
            self.halved = v1.assign(self.slot, self.slot / 2)
            self.seen: list[Any] = []

        def after_run(self, run_context: Any, run_values: Any) -> None:
            session = run_context.session
            before = session.run(self.slot)
            session.run(self.halved)
            self.seen.append((before, session.run(self.slot)))

    hook = Halves()
    model.fit(
        X[:BATCH],
        Y[:BATCH],
        batch_size=BATCH,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook, variable_names=names)],
    )
    ((before, after),) = hook.seen
    (kept,) = (
        value_of(v).numpy()
        for v in variables_of(model.optimizer)
        if "kernel" in path_of(v)
    )

    with tf.GradientTape() as tape:
        kernel = tf.Variable(KERNEL)
        loss = tf.reduce_mean(tf.square(X[:BATCH] @ kernel - Y[:BATCH]))
    gradient = tape.gradient(loss, kernel)
    np.testing.assert_allclose(before, gradient, rtol=1e-5)
    np.testing.assert_allclose(after, before / 2, rtol=1e-6)
    np.testing.assert_allclose(kept, -0.1 * after, rtol=1e-6)


@pytest.mark.skipif(IS_KERAS_3, reason="Keras 3 has no legacy optimizers")
def test_the_momentum_of_a_rate_that_decays() -> None:
    """Momentum that a hook writes is converted by the decayed rate."""
    x = np.random.default_rng(0).random((4, 3)).astype("f")
    accumulated = np.full_like(KERNEL, 2.0)
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("kernel", initializer=KERNEL)
        step = v1.get_variable("step", initializer=np.int64(3))
        rate = TRAIN.inverse_time_decay(0.1, step, 1, 1.0)
        optimizer = TRAIN.MomentumOptimizer(rate, 0.9)
        loss = tf.reduce_mean(tf.square(x @ kernel))
        update = optimizer.minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        optimizer.get_slot(kernel, "momentum").load(accumulated, session)
        session.run(update)
        expected = session.run(kernel)

    class Writes(TRAIN.SessionRunHook):
        def begin(self) -> None:
            [slot] = [
                v for v in v1.global_variables() if "/momentum" in v.op.name
            ]
            self.write = slot.assign(accumulated)

        def after_create_session(self, session: Any, coord: Any) -> None:
            session.run(self.write)

    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1, use_bias=False)]
    )
    optimizer = LEGACY.SGD(0.1, momentum=0.9, decay=1.0)
    model.compile(optimizer, "mse")
    model.fit(x, np.zeros((4, 1)), epochs=3, verbose=0)
    model.set_weights([KERNEL])
    callback = SessionRunHookCallback(Writes())
    model.fit(x, np.zeros((4, 1)), verbose=0, callbacks=[callback])

    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-5)
