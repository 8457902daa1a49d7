# SPDX-License-Identifier: Apache-2.0
"""HookRunner in a custom loop shows hooks what they see under `fit`."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import HookRunner
from final_ops_callback import SessionRunHookCallback
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import StepTensorError
from final_ops_callback.testing import Event
from final_ops_callback.testing import RecordingHook
from final_ops_callback.testing import differences
from final_ops_callback.testing import record
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import value_of

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

FEATURES = np.linspace(-1, 1, 24, dtype="float32").reshape(8, 3)
LABELS = np.cos(np.arange(8, dtype="float32")).reshape(8, 1)
BATCH = 2
STEPS = len(FEATURES) // BATCH
MakeHooks = Callable[[], list[Any]]


def model() -> Any:
    """Builds a model with start values that are the same each time."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
    built = keras.Model(inputs, keras.layers.Dense(1, name="out")(hidden))
    built.compile(keras.optimizers.SGD(0.1, momentum=0.5, name="opt"), "mse")
    built.optimizer.build(built.trainable_weights)
    return built


def fit(hooks: Any) -> Any:
    """Trains under Keras, and returns the model."""
    trained = model()
    trained.fit(
        FEATURES,
        LABELS,
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[SessionRunHookCallback(hooks)],
    )
    return trained


def loop(hooks: Any) -> Any:
    """Trains the same with a `GradientTape`, and returns the model."""
    trained = model()
    optimizer, weights = trained.optimizer, trained.trainable_weights
    runner = HookRunner(
        hooks,
        {path_of(variable): value_of(variable) for variable in weights},
        global_step=value_of(optimizer.iterations),
        step_tensors={"loss": tf.TensorSpec([], tf.float32)},
    )
    data = tf.data.Dataset.from_tensor_slices((FEATURES, LABELS)).batch(BATCH)
    with runner:
        for features, labels in data:
            if runner.should_stop():
                break
            runner.before_run()
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(trained(features) - labels))
            gradients = tape.gradient(loss, weights)
            optimizer.apply_gradients(zip(gradients, weights, strict=True))
            runner.after_run({"loss": loss})
    return trained


def kernel() -> Any:
    return v1.trainable_variables()[0]


class Clip(v1.train.SessionRunHook):
    """Clips the weights after each step."""

    def begin(self) -> None:
        self.clip = kernel().assign(tf.clip_by_value(kernel(), -0.5, 0.5))

    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.session.run(self.clip)


class MixedLoss(v1.train.SessionRunHook):
    """Fetches what needs the step's loss and the weights before the step."""

    def begin(self) -> None:
        loss = v1.get_default_graph().get_tensor_by_name("loss:0")
        self.mixed = loss + tf.reduce_sum(tf.square(kernel()))

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs([self.mixed, v1.train.get_global_step()])


HOOKS = {
    "fetches": lambda: [
        RecordingHook(lambda: {"loss": "loss:0", "weights": kernel()}),
    ],
    "reads": lambda: [
        RecordingHook(reads=lambda: [kernel(), v1.train.get_global_step()])
    ],
    "writes": lambda: [record(Clip()), record(MixedLoss(), kernel)],
    "stops": lambda: [
        record(v1.train.StopAtStepHook(num_steps=2)),
        RecordingHook("loss:0", reads=kernel),
    ],
    "ends the data": lambda: [
        RecordingHook("loss:0", raises={"before_run": StopIteration()})
    ],
}


@pytest.mark.parametrize("make", HOOKS.values(), ids=HOOKS.keys())
def test_hooks_see_what_they_see_under_fit(make: MakeHooks) -> None:
    """Every event and value, and the trained weights, are the same."""
    under_fit, in_loop = make(), make()

    fitted, looped = fit(under_fit), loop(in_loop)

    assert (
        differences(
            [hook.events for hook in under_fit],
            [hook.events for hook in in_loop],
        )
        == []
    )
    assert differences(fitted.get_weights(), looped.get_weights()) == []
    assert (
        fitted.optimizer.iterations.numpy()
        == looped.optimizer.iterations.numpy()
    )


def one_step(runner: HookRunner, deliver: Callable[[], Any]) -> None:
    with runner:
        runner.before_run()
        runner.after_run(deliver())


def test_an_exception_of_the_loop_ends_the_hooks_without_end() -> None:
    """An exception of the loop is raised, and `end` is not called."""
    hook = RecordingHook()
    runner = HookRunner(hook)

    with pytest.raises(ZeroDivisionError, match="by zero"):
        one_step(runner, lambda: {"loss": 1 / 0})

    assert hook.events == [
        Event("begin"),
        Event("after_create_session"),
        Event("before_run"),
    ]


def test_a_step_that_delivers_too_little_is_told() -> None:
    """A fetched step tensor that is missing is named, with what there is."""
    spec = tf.TensorSpec([], tf.float32)
    runner = HookRunner(RecordingHook("loss:0"), step_tensors={"loss": spec})

    with pytest.raises(StepTensorError, match=r"'loss'.*RecordingHook.*acc"):
        one_step(runner, lambda: {"acc": 1.0})


METHODS = {
    "should_stop": lambda runner: runner.should_stop(),
    "before_run": lambda runner: runner.before_run(),
    "after_run": lambda runner: runner.after_run({}),
    "end": lambda runner: runner.end(),
    "session": lambda runner: runner.session,
    "count_by": lambda runner: runner.count_by(tf.Variable(0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_runner_that_has_not_begun(name: str) -> None:
    """Each method says that the hooks have to begin first."""
    runner = HookRunner(RecordingHook("loss:0"))

    with pytest.raises(
        HookUsageError, match=rf"have not begun.*{name} of.*with runner"
    ):
        METHODS[name](runner)


@pytest.mark.parametrize("name", ["before_run", "after_run", "session"])
def test_a_runner_whose_run_is_over(name: str) -> None:
    """Methods that need a run raise an error that says that it is over."""
    runner = HookRunner(RecordingHook())
    with runner:
        pass

    with pytest.raises(HookUsageError, match=rf"is over.*{name} of HookRunner"):
        METHODS[name](runner)


def test_a_run_that_is_over_stops_and_ends_once() -> None:
    """As in v1, it says to stop, and a second end does nothing."""
    hook = RecordingHook()
    with tf.Graph().as_default():
        tf.no_op()
        with v1.train.MonitoredSession() as session:
            pass
    runner = HookRunner(hook)
    with runner:
        pass

    runner.end()

    assert runner.should_stop() is session.should_stop() is True
    assert [event.method for event in hook.events].count("end") == 1


def test_a_runner_that_begins_twice() -> None:
    """A run inside of itself is refused; one after the other is not."""
    runner = HookRunner(RecordingHook())

    with pytest.raises(HookUsageError, match=r"have begun already.*for each"):
        with runner:
            runner.begin()
    with runner:
        assert not runner.should_stop()


def test_a_step_that_was_not_begun() -> None:
    """A second after_run in one step says to call before_run."""
    runner = HookRunner(RecordingHook())

    with (
        pytest.raises(HookUsageError, match=r"no step to end.*before_run"),
        runner,
    ):
        runner.after_run({})


def test_begin_adds_no_attribute() -> None:
    """A runner has all its attributes from the start, and so has its run."""
    runner = HookRunner(RecordingHook())
    before = set(vars(runner))

    with runner:
        begun = set(vars(runner._run))
        runner.before_run()
        runner.after_run({})
        during = set(vars(runner))
        assert begun == set(vars(runner._run))

    assert before == during == set(vars(runner))


def test_a_scaffold_leaves_the_collections_as_they_are() -> None:
    class Own(v1.train.Scaffold):
        def finalize(self) -> Any:
            v1.get_variable("late", shape=[], initializer=tf.ones_initializer())
            return super().finalize()

    weight = tf.Variable(3.0)
    runner = HookRunner([], {"weight": weight}, scaffold=Own)
    with runner:
        graph = runner.session.graph
        names = [v.op.name for v in graph.get_collection("variables")]
        assert names == ["weight", "global_step", "late"]
        # The saver is about all of them, the model's too.
        (saver,) = graph.get_collection(v1.GraphKeys.SAVERS)
        assert {v.op.name for v in saver._var_list} >= {"weight"}
        assert runner.session.run("late:0") == 1.0


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_values_of_a_step_are_kept_for_whoever_needs_them(
    is_kept: bool,
) -> None:
    """A loop that answers for its values itself does not hold two batches."""
    values_now = None if is_kept else lambda names: {}
    runner = HookRunner(
        v1.train.SessionRunHook(),
        step_tensors={"batch": tf.TensorSpec([3])},
        values_now=values_now,
    )
    with runner:
        runner.before_run()
        batch = tf.zeros([3])
        held = weakref.ref(batch)
        runner.after_run({"batch": batch})
        del batch

        assert (held() is not None) == is_kept
