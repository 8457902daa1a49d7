# SPDX-License-Identifier: Apache-2.0
"""Hooks run on models whose step updates with its own optimizers.

The oracle is plain Keras for what is trained, and the number of steps that ran
for the global step.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.flavors import LossScaleOptimizer
from tests.flavors import keras
from tests.flavors import to_numpy
from tests.flavors import variables_of

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


class Gan(keras.Model):
    """Two networks and an optimizer for each, as the guides have it."""

    def __init__(self) -> None:
        super().__init__()
        dense = keras.layers.Dense
        self.generator = keras.Sequential(
            [keras.Input((2,)), dense(3, name="out")], name="generator"
        )
        self.critic = keras.Sequential(
            [keras.Input((3,)), dense(1, name="score")], name="critic"
        )

    def compile(self, critic: Any, generator: Any, **options: Any) -> None:
        super().compile(**options)
        self.critic_optimizer = critic
        self.generator_optimizer = generator

    def train_step(self, data: Any) -> dict[str, Any]:
        x = data[0] if isinstance(data, tuple) else data
        noise = tf.random.normal([tf.shape(x)[0], 2])
        with tf.GradientTape() as tape:
            fake = tf.reduce_mean(self.critic(self.generator(noise)))
            loss = fake - tf.reduce_mean(self.critic(x))
        weights = self.critic.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.critic_optimizer.apply_gradients(
            zip(gradients, weights, strict=True)
        )
        with tf.GradientTape() as tape:
            fake = -tf.reduce_mean(self.critic(self.generator(noise)))
        weights = self.generator.trainable_variables
        gradients = tape.gradient(fake, weights)
        self.generator_optimizer.apply_gradients(
            zip(gradients, weights, strict=True)
        )
        return {"critic_loss": loss, "generator_loss": fake}


def gan() -> Gan:
    """Returns a GAN that plain Keras trains to the same weights each time."""
    keras.utils.set_random_seed(3)
    model = Gan()
    adam = keras.optimizers.Adam
    model.compile(adam(0.01), adam(0.01), jit_compile=False)
    return model


def train(model: Any, *hooks: Any, epochs: int = 2) -> None:
    """Trains 6 steps in each epoch."""
    x = np.random.default_rng(0).random((24, 3), "f")
    callbacks = [SessionRunHookCallback(list(hooks))] if hooks else []
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    model.fit(x, epochs=epochs, callbacks=callbacks, **options)


class Steps(v1.train.SessionRunHook):
    """Notes the global step before and after each step, and all names."""

    def begin(self) -> None:
        self.step = v1.train.get_global_step()
        self.names = [v.op.name for v in v1.global_variables()]
        self.seen: list[tuple[int, int]] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        after = run_context.session.run(self.step)
        self.seen.append((int(run_values.results), int(after)))


def counted(first: int, last: int) -> list[tuple[int, int]]:
    """Returns what `Steps` sees from one step to another."""
    return [(step, step + 1) for step in range(first, last)]


def test_the_step_counts_the_steps_that_ran() -> None:
    """Hooks count the steps, even if compile's optimizer is not used."""
    model, steps = gan(), Steps()
    train(model, steps)

    assert steps.seen == counted(0, 12)
    assert int(to_numpy(model.optimizer.iterations)) == 0


def test_a_stop_comes_at_its_step_and_the_next_fit_goes_on() -> None:
    """StopAtStepHook stops, in the first fit and in the next."""
    model, steps = gan(), Steps()
    stop = v1.train.StopAtStepHook
    train(model, steps, stop(last_step=8), epochs=9)
    assert steps.seen == counted(0, 8)
    train(model, steps, stop(num_steps=3), epochs=9)
    assert steps.seen == counted(8, 11)
    train(model, steps, stop(last_step=12), epochs=9)

    assert steps.seen == counted(11, 12)


def test_hooks_leave_its_training_alone(tmp_path: Path) -> None:
    """With hooks or without, a GAN gets the same weights."""
    plain, hooked = gan(), gan()
    train(plain)
    saver = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=4)
    train(hooked, saver, v1.train.StopAtStepHook(last_step=99))

    for one, other in zip(
        plain.get_weights(), hooked.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_checkpoints_hold_the_optimizers_that_train(tmp_path: Path) -> None:
    """A checkpoint has the slots of each optimizer, by its attribute."""
    model = gan()
    train(model, v1.train.CheckpointSaverHook(str(tmp_path), save_steps=4))
    latest = tf.train.latest_checkpoint(str(tmp_path))
    saved = {
        name: tf.train.load_variable(latest, name)
        for name, _ in tf.train.list_variables(latest)
    }

    assert latest.endswith("-12")
    assert saved["global_step"] == 12
    for owner in ("critic_optimizer", "generator_optimizer"):
        optimizer = getattr(model, owner)
        slots = [
            value for name, value in saved.items() if name.startswith(owner)
        ]
        expected = [
            to_numpy(v)
            for v in variables_of(optimizer)
            if "rate" not in _name(v)
        ]
        assert len(slots) == len(expected) >= 5
        for value in expected:
            assert any(np.array_equal(value, slot) for slot in slots)
    # The optimizer of compile trains nothing, and has no slots.
    owners = {name.partition("/")[0] for name in saved}
    assert not owners & {"rm_sprop", "RMSprop"}


def _name(variable: Any) -> str:
    return str(getattr(variable, "path", variable.name))


def test_a_restored_checkpoint_goes_on(tmp_path: Path) -> None:
    """The step and each optimizer go on from a checkpoint."""
    saver = v1.train.CheckpointSaverHook(str(tmp_path), save_steps=99)
    train(gan(), saver, epochs=1)
    latest = tf.train.latest_checkpoint(str(tmp_path))
    assert latest.endswith("-6")

    class Restores(v1.train.SessionRunHook):
        def begin(self) -> None:
            self.saver = v1.train.Saver()

        def after_create_session(self, session: Any, coord: Any) -> None:
            self.saver.restore(session, latest)

    model, steps = gan(), Steps()
    stop = v1.train.StopAtStepHook(last_step=9)
    train(model, Restores(), steps, stop)

    assert steps.seen == counted(6, 9)
    assert int(to_numpy(model.critic_optimizer.iterations)) == 9
    assert int(to_numpy(model.generator_optimizer.iterations)) == 9


def test_an_optimizer_that_never_moves_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning comes once, and not if compile's optimizer trains."""
    model = gan()
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        train(model, Steps())
        train(model, Steps())
    text = "did not increase the step of the optimizer that compile was given"
    assert caplog.text.count(text) == 1
    caplog.clear()

    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    inputs = keras.Input((3,))
    own = Own(inputs, keras.layers.Dense(3)(inputs))
    own.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    x = np.ones((8, 3), "f")
    own.fit(x, x, verbose=0, callbacks=[SessionRunHookCallback(Steps())])

    assert caplog.text == ""


def test_an_incomplete_execution_counts_the_steps_that_ran() -> None:
    """With several steps per execution, the last one may have fewer."""
    model, steps = gan(), Steps()
    adam = keras.optimizers.Adam
    model.compile(
        adam(0.01), adam(0.01), jit_compile=False, steps_per_execution=4
    )
    train(model, steps, epochs=1)  # 4 steps, then 2

    assert [after for _, after in steps.seen] == [4, 6]


def test_a_fit_without_hooks_counts_too() -> None:
    """The step goes on where the training is, also after a plain fit."""
    model, steps = gan(), Steps()
    train(model, steps, epochs=1)
    train(model, epochs=1)
    train(model, steps, epochs=1)

    assert steps.seen == counted(12, 18)


def test_another_compile_starts_anew() -> None:
    """After another compile, the step starts from that of its optimizers."""
    model, steps = gan(), Steps()
    train(model, steps)
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.optimizers.Adam(0.01),
        jit_compile=False,
    )
    train(model, steps, v1.train.StopAtStepHook(num_steps=3))

    assert steps.seen == counted(0, 3)


def test_an_evaluate_before_it_hides_no_slots() -> None:
    """Slots exist in fit, even if hooks have run in an evaluate before."""

    class Tested(Gan):
        def test_step(self, data: Any) -> dict[str, Any]:
            return {"zero": tf.constant(0.0)}

    keras.utils.set_random_seed(3)
    model, steps = Tested(), Steps()
    adam = keras.optimizers.Adam
    model.compile(adam(0.01), adam(0.01), jit_compile=False)
    x = np.ones((4, 3), "f")
    callback = SessionRunHookCallback(Steps())
    model.evaluate(x, verbose=0, callbacks=[callback])
    train(model, steps)

    assert sum("critic_optimizer" in name for name in steps.names) == 5


def test_gradients_of_all_optimizers() -> None:
    """Gradients are those of the optimizers that train."""

    class Fetches(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs("gradients/global_norm:0")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.norm = run_values.results

    hook = Fetches()
    train(gan(), hook, epochs=1)

    assert hook.norm > 0


def test_updates_without_any_optimizer_count() -> None:
    """A step that updates by hand counts, too."""

    class ByHand(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            self.trainable_variables[0].assign_add(
                tf.ones_like(self.trainable_variables[0])
            )
            return {"nothing": tf.constant(0.0)}

    inputs = keras.Input((3,))
    model = ByHand(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", jit_compile=False)
    steps = Steps()
    train(model, steps, v1.train.StopAtStepHook(last_step=5))

    assert steps.seen == counted(0, 5)


def test_an_update_that_a_loss_scale_skips_is_none() -> None:
    """Keras decides whether a step with a skipped update counts."""

    def skip(*callbacks: Any) -> int:
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        optimizer = LossScaleOptimizer(keras.optimizers.SGD(0.1))
        model.compile(optimizer, "mse", jit_compile=False)
        x = np.full((4, 3), np.inf, "f")
        model.fit(x, x[:, :1], verbose=0, callbacks=list(callbacks))
        return int(to_numpy(model.optimizer.iterations))

    steps = Steps()
    skip(SessionRunHookCallback(steps))

    assert steps.seen == [(0, skip())]


def test_a_hook_with_nothing_but_an_end_gets_the_step() -> None:
    """FinalOpsHook gets the number of steps that ran."""
    made: list[Any] = []

    def make() -> Any:
        made.append(v1.train.FinalOpsHook(v1.train.get_global_step()))
        return made[0]

    model = gan()
    x = np.random.default_rng(0).random((24, 3), "f")
    callback = SessionRunHookCallback(make)
    model.fit(x, batch_size=4, verbose=0, callbacks=[callback])

    assert made[0].final_ops_values == 6


def test_final_ops_tell_the_step() -> None:
    """FinalOpsCallback gets the step that the hooks have counted."""
    steps: list[int] = []

    class Final(FinalOpsCallback):
        def on_final_ops_values(
            self, values: Any, phase: str, step: int
        ) -> None:
            steps.append(step)

    model = gan()
    x = np.random.default_rng(0).random((24, 3), "f")
    hooks = SessionRunHookCallback(Steps())
    model.fit(x, batch_size=4, verbose=0, callbacks=[hooks, Final({})])

    assert steps == [6]


@pytest.mark.parametrize("kind", ["Adam", "Nadam"])
def test_names_do_not_depend_on_how_many_were_made_before(kind: str) -> None:
    """The second unnamed Adam of a process has the names of the first.

    Keras 3 gives one variable of Nadam no name, and counts it.
    """
    names = []
    for _ in range(2):
        inputs = keras.Input((3,))
        outputs = keras.layers.Dense(1, name="out")(inputs)
        model = keras.Model(inputs, outputs)
        optimizer = getattr(keras.optimizers, kind)()
        model.compile(optimizer, "mse", jit_compile=False)
        steps = Steps()
        x = np.ones((4, 3), "f")
        model.fit(
            x, x[:, :1], verbose=0, callbacks=[SessionRunHookCallback(steps)]
        )
        names.append(steps.names)

    assert names[0] == names[1]
    scope = f"{kind.lower()}/"
    assert any(name.lower().startswith(scope) for name in names[0])


def test_the_path_that_keras_gives_maps_too() -> None:
    """variable_names takes the path of Keras, and the name in the graph."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(inputs))
    keras.optimizers.Adam()  # counts
    model.compile(keras.optimizers.Adam(), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    slot = next(
        v for v in variables_of(model.optimizer) if "kernel" in _name(v)
    )
    for key in (_name(slot).removesuffix(":0"), None):
        steps = Steps()
        names = {} if key is None else {key: "old/slot"}
        x = np.ones((4, 3), "f")
        hook = SessionRunHookCallback(steps, variable_names=names)
        model.fit(x, x[:, :1], verbose=0, callbacks=[hook])

        assert ("old/slot" in steps.names) is bool(names)


class Own(keras.Model):
    """A model that trains with an optimizer of its own, and counts steps.

    Args:
        others: List of pairs: an optimizer, and every how many steps it moves.
        is_hidden: Boolean. Whether they are not attributes of the model.
    """

    def __init__(self, others: Any, is_hidden: bool = False) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.dense.build((None, 3))
        self.built = True
        self.ran = tf.Variable(0, trainable=False, dtype=tf.int64)
        for optimizer, _ in others:
            optimizer.build(self.dense.trainable_variables)
        if not is_hidden:
            self.firsts = [optimizer for optimizer, _ in others]
            for index, optimizer in enumerate(self.firsts):
                setattr(self, f"optimizer_{index}", optimizer)
        self.get = lambda: others

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        x = data[0] if isinstance(data, tuple) else data
        weights = self.dense.trainable_variables
        for optimizer, every in self.get():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(self.dense(x))
            pairs = list(
                zip(tape.gradient(loss, weights), weights, strict=True)
            )
            if every == 1:
                optimizer.apply_gradients(pairs)
            else:
                tf.cond(
                    tf.equal(self.ran % every, 0),
                    lambda o=optimizer, p=pairs: _applied(o, p),
                    lambda: 0,
                )
        self.ran.assign_add(1)
        return {"loss": loss}


def _applied(optimizer: Any, pairs: Any) -> int:
    optimizer.apply_gradients(pairs)
    return 0


def own_model(*every: int, is_hidden: bool = False, **options: Any) -> Own:
    """Returns such a model, with an optimizer for each number."""
    others = [(keras.optimizers.SGD(0.01), one) for one in every]
    model = Own(others, is_hidden)
    model.compile(**{"jit_compile": False} | options)
    return model


def test_steps_before_the_first_hooks_are_counted() -> None:
    """A fit without hooks has moved the step that hooks find in begin."""
    model, steps = own_model(1), Steps()
    train(model, epochs=1)
    train(model, steps, v1.train.StopAtStepHook(num_steps=4))

    assert steps.seen == counted(6, 10)
    assert int(model.ran) == 10


@pytest.mark.parametrize("every", [(1, 3), (3, 1), (3,)])
def test_an_optimizer_that_waits_for_some_steps(every: tuple[int, ...]) -> None:
    """Each step counts, even one in which an optimizer is not used."""
    model, steps = own_model(*every), Steps()
    train(model, steps, v1.train.StopAtStepHook(num_steps=9))

    assert steps.seen == counted(0, 9)
    assert int(model.ran) == 9


def test_a_plain_fit_between_of_optimizers_that_wait() -> None:
    """A fit without hooks counts by the optimizer that is used most."""
    model, steps = own_model(3, 1), Steps()
    train(model, steps, epochs=1)
    train(model, epochs=1)
    train(model, steps, epochs=1)

    assert steps.seen == counted(12, 18)


@pytest.mark.parametrize("is_hidden", [False, True])
def test_the_last_execution_of_an_epoch_counts_its_steps(
    is_hidden: bool,
) -> None:
    """With several steps per execution, the last one may make fewer."""
    model = own_model(1, is_hidden=is_hidden, steps_per_execution=4)
    steps = Steps()
    train(model, steps)

    assert [after for _, after in steps.seen] == [4, 6, 10, 12]
    assert int(model.ran) == 12


def test_two_callbacks_count_each_step_once() -> None:
    """All hooks have one step, in the first fit and in the next."""
    model, first, second = own_model(1), Steps(), Steps()
    x = np.random.default_rng(0).random((24, 3)).astype("f")
    callbacks = [SessionRunHookCallback(first), SessionRunHookCallback(second)]
    for start in (0, 6):
        model.fit(x, batch_size=4, verbose=0, callbacks=callbacks)

        assert first.seen == counted(start, start + 6)
        assert second.seen == counted(start, start + 6)
        callbacks.reverse()
