# SPDX-License-Identifier: Apache-2.0
"""What hooks fetch is computed in the call of the step, and stays the same."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._keras import direct_step
from final_ops_callback._keras.direct_step import DirectStep
from final_ops_callback._session.plan import Plan
from final_ops_callback._step import fusion
from final_ops_callback._step.fusion import Fusion
from tests.flavors import FLAVORS
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X[:, :1] * 2

Fetches = Callable[[], Any]


def _loss() -> tf.Tensor:
    return v1.get_default_graph().get_tensor_by_name("loss:0")


def _own() -> Any:
    zeros = tf.zeros_initializer()
    return v1.get_variable("own", [], initializer=zeros, trainable=False)


def early() -> Any:
    """Values from before the step: reads, and what is computed of them."""
    step, weights = v1.train.get_global_step(), v1.trainable_variables()
    return {
        "step": step,
        "norm": tf.linalg.global_norm(weights),
        "weights": [weight * 1.0 for weight in weights],
        "text": tf.strings.as_string(tf.identity(step) + 1),
    }


def late() -> Any:
    """Values of the step itself, together with some from before it."""
    step = tf.cast(v1.train.get_global_step(), tf.float32)
    return [_loss() * 2.0, _loss() + step * 10.0, v1.train.get_global_step()]


def read_late() -> Any:
    """What waits for the step reads the weights from before it, as in v1."""
    with tf.control_dependencies([_loss()]):
        return [tf.reduce_sum(w) + 0.0 for w in v1.trainable_variables()]


def late_write() -> Any:
    """A variable of the hook sums up the losses."""
    return v1.assign_add(_own(), _loss())


def early_write() -> Any:
    """A write from before the step must happen once, whatever follows."""
    return v1.assign_add(_own(), 1.0)


def late_draw() -> Any:
    """A random operation goes on where it was."""
    with tf.control_dependencies([_loss()]):
        return tf.random.normal([], seed=3)


def branches() -> Any:
    """A branch that is not taken has no value, and nothing asks for it."""
    step, loss = v1.train.get_global_step(), _loss()
    return tf.cond(
        tf.equal(step % 2, 0), lambda: loss * 2.0, lambda: tf.constant(5.0)
    )


def loss_itself() -> Any:
    """A step tensor, which needs no computation."""
    return _loss()


def of_python() -> Any:
    """Python may end the run, so it is asked when the step has run."""
    counts = iter([1.0, 2.0, 3.0])
    return v1.py_func(lambda loss: np.float32(next(counts)), [_loss()], "float")


def of_a_function() -> Any:
    """A function that writes is called by itself."""
    own = _own()
    return tf.function(lambda loss: own.assign_add(loss))(_loss())


# Name -> what is fetched, and whether the call of the step can compute it.
FETCHES: dict[str, tuple[Fetches, bool]] = {
    "early": (early, True),
    "late": (late, True),
    "read_late": (read_late, True),
    "late_write": (late_write, True),
    "early_write": (early_write, False),
    "branches": (branches, True),
    "loss_itself": (loss_itself, False),
    "of_python": (of_python, False),
    "of_a_function": (of_a_function, False),
}


class Probe(v1.train.SessionRunHook):
    """Notes each value that it fetches.

    Args:
        fetches: Function that returns what is fetched in each step.
    """

    def __init__(self, fetches: Fetches) -> None:
        self._fetches = fetches
        self.seen: list[Any] = []

    def begin(self) -> None:
        self._asked = self._fetches()

    def before_run(self, run_context: Any) -> Any:
        self.seen.append("before")
        return v1.train.SessionRunArgs(self._asked)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)

    def end(self, session: Any) -> None:
        self.seen.append("end")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collects the functions that compute fetches with a step."""
    found: list[Any] = []
    own = fusion._fused

    def noting(*args: Any) -> Any:
        found.append(own(*args))
        return found[-1]

    monkeypatch.setattr(fusion, "_fused", noting)
    monkeypatch.setattr(Fusion, "occasions", 1)
    monkeypatch.setattr(DirectStep, "is_used", True)
    return found


def model_of(flavor: Any, *layers: Any, **options: Any) -> Any:
    """Returns a compiled model with some more layers in the middle."""
    flavor.utils.set_random_seed(0)
    model = flavor.Sequential(
        [
            flavor.Input((3,)),
            flavor.layers.Dense(4, "relu"),
            *layers,
            flavor.layers.Dense(1),
        ],
        name="model",
    )
    options = {"jit_compile": False, **options}
    model.compile(flavor.optimizers.SGD(0.05), "mse", **options)
    return model


def data(labels: bool = True) -> tf.data.Dataset:
    """Returns batches of which the last is smaller."""
    arrays = (X[:22], Y[:22]) if labels else X[:22]
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


def outcome(model: Any, probe: Probe, phase: str = "fit") -> tuple[Any, Any]:
    """Returns what a hook saw in a call of Keras, and the weights after it."""
    callbacks = [SessionRunHookCallback(probe)]
    if phase == "fit":
        model.fit(
            data(), epochs=3, verbose=0, shuffle=False, callbacks=callbacks
        )
    elif phase == "evaluate":
        model.evaluate(data(), verbose=0, callbacks=callbacks)
    else:
        model.predict(data(labels=False), verbose=0, callbacks=callbacks)
    return probe.seen, [to_numpy(v) for v in model.variables]


def assert_same(one: Any, other: Any) -> None:
    """Compares two nested structures, bit by bit."""
    tf.nest.assert_same_structure(one, other)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def both_ways(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]
) -> tuple[Any, Any]:
    """Returns the results of a run with and without direct calls."""
    fused = run()
    with monkeypatch.context() as patch:
        patch.setattr(DirectStep, "is_used", False)
        return fused, run()


@flavors
def test_what_needs_the_step_is_computed_in_its_call(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step delivers values of the declared shapes, also in a trace."""
    added = []
    trace_after = Plan.trace_after

    def noting(*args: Any) -> Any:
        added.append(trace_after(*args))
        return added[-1]

    monkeypatch.setattr(Plan, "trace_after", noting)
    outcome(model_of(flavor), Probe(late))

    assert len(made) == len(added) == 1
    assert added[0]


@flavors
@pytest.mark.parametrize("name", FETCHES)
def test_training_is_the_same(
    flavor: Any,
    name: str,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Values, their order and the weights are those of separate calls."""
    fetches, can_join = FETCHES[name]
    fused, apart = both_ways(
        monkeypatch, lambda: outcome(model_of(flavor), Probe(fetches))
    )

    assert bool(made) is can_join
    assert_same(fused, apart)


@flavors
@pytest.mark.parametrize("phase", ["evaluate", "predict"])
def test_evaluate_and_predict_are_the_same(
    flavor: Any,
    phase: str,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They have their own functions, and fuse them in the same way."""
    model = model_of(flavor)
    model.fit(data(), verbose=0, shuffle=False)
    fetches = early if phase == "predict" else late
    fused, apart = both_ways(
        monkeypatch, lambda: outcome(model, Probe(fetches), phase)
    )

    assert made
    assert_same(fused, apart)


@flavors
@pytest.mark.parametrize(
    ("options", "fuses"),
    [
        ({"jit_compile": True}, True),
        ({"run_eagerly": True}, False),
        ({"steps_per_execution": 4}, False),
    ],
    ids=str,
)
def test_other_steps_are_the_same(
    flavor: Any,
    options: dict[str, Any],
    fuses: bool,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """XLA compiles the step alone; what can't be fused is as before."""
    fused, apart = both_ways(
        monkeypatch,
        lambda: outcome(model_of(flavor, **options), Probe(late)),
    )

    assert bool(made) is fuses
    assert_same(fused, apart)


@flavors
def test_what_draws_goes_on(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random operation of a hook is in one kernel, so it stays by itself."""
    fused, apart = both_ways(
        monkeypatch, lambda: outcome(model_of(flavor), Probe(late_draw))
    )

    assert not made
    assert_same(fused, apart)


@flavors
def test_a_model_that_draws_is_the_same(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With hooks or without, the same seed gives the same weights."""

    def trained(*callbacks: Any) -> list[Any]:
        flavor.utils.set_random_seed(0)
        layers = flavor.layers
        model = model_of(
            flavor, layers.Dropout(0.5), layers.Lambda(_drawing(flavor))
        )
        model.fit(
            data(),
            epochs=3,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )
        return [to_numpy(v) for v in model.variables]

    with_hooks = trained(SessionRunHookCallback(Probe(early)))

    assert not made
    assert_same(with_hooks, trained())


def _drawing(flavor: Any) -> Callable[[Any], Any]:
    return lambda x: x + tf.random.normal(tf.shape(x), seed=1)


@flavors
def test_dicts_of_inputs_keep_their_places(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are passed by position, in whatever order their names are."""
    one, two = flavor.Input((3,), name="z"), flavor.Input((3,), name="a")
    joined = flavor.layers.Concatenate()([one, two])
    model = flavor.Model({"z": one, "a": two}, flavor.layers.Dense(1)(joined))
    batches = tf.data.Dataset.from_tensor_slices({"z": X, "a": X * 3}).batch(4)
    model.compile("sgd", "mse")

    def predicted(*callbacks: Any) -> Any:
        return model.predict(batches, verbose=0, callbacks=list(callbacks))

    found = predicted(SessionRunHookCallback(Probe(early)))

    assert made
    np.testing.assert_array_equal(found, predicted())


@flavors
def test_a_step_that_is_counted_here_is_not_fused(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after the step finds the step that it counts."""

    class Model(flavor.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = flavor.layers.Dense(1)
            self.own = flavor.optimizers.SGD(0.1)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

        def train_step(self, batch: Any) -> Any:
            x, y = batch
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x))
            weights = self.trainable_variables
            gradients = tape.gradient(loss, weights)
            self.own.apply_gradients(zip(gradients, weights, strict=True))
            return {"loss": loss}

    def add_ten() -> Any:
        with tf.control_dependencies([_loss()]):
            return v1.assign_add(v1.train.get_global_step(), 10)

    def run() -> Any:
        flavor.utils.set_random_seed(0)
        model = Model()
        model.compile("sgd", "mse", jit_compile=False)
        model(X[:4])
        model.own.build(model.trainable_variables)
        return outcome(model, Probe(add_ten))

    fused, apart = both_ways(monkeypatch, run)

    assert not made
    assert_same(fused, apart)


def _failing(flavor: Any, at: int) -> Any:
    """Returns a layer that fails in one step, by a count of its own."""

    class Fails(flavor.layers.Layer):
        def build(self, shape: Any) -> None:
            self.count = self.add_weight(
                shape=(), initializer="zeros", trainable=False, dtype="int32"
            )

        def call(self, inputs: Any) -> Any:
            self.count.assign_add(1)
            count = tf.convert_to_tensor(self.count)
            left = tf.cast(at - count, tf.float32)
            return tf.debugging.check_numerics(inputs / left, "of the model")

    return Fails(name="fails")


def _message(flavor: Any, *hooks: Any) -> str:
    """Returns what Keras says of a step that fails, without our own frames."""
    model = model_of(flavor, _failing(flavor, 4))
    callbacks = [SessionRunHookCallback(list(hooks))] if hooks else []
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        model.fit(data(), verbose=0, shuffle=False, callbacks=callbacks)
    last_lines = str(caught.value).split("\n\n")[-1]
    head = str(caught.value).split("\n\n")[:2]
    return "\n".join([*head, last_lines]).translate(
        str.maketrans("", "", "0123456789")
    )


@flavors
@pytest.mark.parametrize("fetches", [early, late])
def test_an_error_of_the_step_is_the_one_of_keras(
    flavor: Any, fetches: Fetches, made: list[Any]
) -> None:
    """It names the layer and where it was made, and not our function."""
    found = _message(flavor, Probe(fetches))

    assert made
    assert "of the model" in found
    assert "final_ops_callback" not in found.rpartition("of the model")[2]
    assert (
        found.rpartition("of the model")[2]
        == (_message(flavor).rpartition("of the model")[2])
    )


def fails_in_a_function() -> Any:
    """Fails in the fourth step, in a function that computes."""

    @tf.function
    def check(value: tf.Tensor) -> tf.Tensor:
        return tf.debugging.check_numerics(value, "mine", name="checked")

    left = 3.0 - tf.cast(v1.train.get_global_step(), tf.float32)
    return check(_loss() * 0.0 + 1.0 / left)


def fails_early() -> Any:
    """Fails in the fourth step, before it."""
    left = 3.0 - tf.cast(v1.train.get_global_step(), tf.float32)
    return tf.debugging.check_numerics(1.0 / left, "mine", name="checked")


def fails_late() -> Any:
    """Fails in the fourth step, after it."""
    left = 3.0 - tf.cast(v1.train.get_global_step(), tf.float32)
    with tf.control_dependencies([_loss()]):
        return tf.debugging.check_numerics(1.0 / left, "mine", name="checked")


@flavors
@pytest.mark.parametrize(
    ("fetches", "ran"), [(fails_early, 3), (fails_late, 4)]
)
def test_an_error_of_a_hook_is_the_one_of_v1(
    flavor: Any,
    fetches: Fetches,
    ran: int,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names the operation in the hook's graph, and the hook."""

    def failed() -> Any:
        model, probe = model_of(flavor), Probe(fetches)
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            outcome(model, probe)
        error, step = caught.value, to_numpy(model.optimizer.iterations)
        assert error.op.name == "checked"
        assert int(step) == ran
        text = str(error).partition("Node: 'checked'")[2]
        return text.partition("Original")[0], error.__notes__, probe.seen

    fused, apart = both_ways(monkeypatch, failed)

    assert made
    assert "mine" in fused[0]
    assert fused == apart


@flavors
def test_an_error_inside_a_function_of_a_hook_is_the_hooks(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's step is not to blame for it."""

    def failed() -> Any:
        model, probe = model_of(flavor), Probe(fails_in_a_function)
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            outcome(model, probe)
        text = str(caught.value).rpartition("mine")[2]
        return text, caught.value.__notes__, probe.seen

    fused, apart = both_ways(monkeypatch, failed)

    assert fused == apart


@flavors
def test_the_fit_after_a_failed_fetch_goes_on(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is not compiled again, so its random numbers go on."""
    flavor.utils.set_random_seed(0)
    model = model_of(flavor, flavor.layers.Lambda(_drawing(flavor)))
    with pytest.raises(tf.errors.InvalidArgumentError):
        outcome(model, Probe(lambda: [_loss(), fails_early()]))
    outcome(model, Probe(loss_itself))
    found = [to_numpy(v) for v in model.variables]

    flavor.utils.set_random_seed(0)
    plain = model_of(flavor, flavor.layers.Lambda(_drawing(flavor)))
    plain.fit(data().take(3), verbose=0, shuffle=False)
    plain.fit(data(), verbose=0, epochs=3, shuffle=False)

    assert_same(found, [to_numpy(v) for v in plain.variables])


@flavors
def test_what_can_not_be_made_is_said_once_and_runs_by_itself(
    flavor: Any,
    made: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A function that can't be traced is no reason to fail."""

    def fail(*args: Any) -> Any:
        raise ValueError("of the test")

    monkeypatch.setattr(fusion, "_fused", fail)
    seen, _ = outcome(model_of(flavor), Probe(early))

    assert len(seen) == 2 * 18 + 1
    assert caplog.text.count("of the test") == 1


@flavors
def test_what_another_callback_changes_between_is_seen(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two callbacks of hooks, each reads when it is asked."""

    class Doubles(v1.train.SessionRunHook):
        def begin(self) -> None:
            weight = v1.trainable_variables()[0]
            self.double = v1.assign(weight, weight * 2.0)

        def before_run(self, run_context: Any) -> None:
            run_context.session.run(self.double)

    def run() -> Any:
        model, probe = model_of(flavor), Probe(early)
        callbacks = [
            SessionRunHookCallback(hook) for hook in (probe, Doubles())
        ]
        model.fit(data(), verbose=0, shuffle=False, callbacks=callbacks)
        return probe.seen

    fused, apart = both_ways(monkeypatch, run)

    assert not made
    assert_same(fused, apart)


@flavors
def test_a_trace_of_the_step_is_not_fused(flavor: Any, made: list[Any]) -> None:
    """A hook that asks for FULL_TRACE gets its own fetches by themselves."""

    class Traces(Probe):
        def before_run(self, run_context: Any) -> Any:
            options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
            return v1.train.SessionRunArgs(self._asked, options=options)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.seen.append(len(run_values.run_metadata.step_stats.dev_stats))

    probe = Traces(early)
    outcome(model_of(flavor), probe)

    assert not made
    assert len(probe.seen) == 18 + 1  # three epochs of six batches, and end
    assert all(count for count in probe.seen if count != "end")


@flavors
def test_it_is_made_for_what_comes_back(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third time; and never more than a few."""
    monkeypatch.setattr(Fusion, "occasions", 3)
    monkeypatch.setattr(fusion, "_MOST_MADE", 2)

    class Changes(Probe):
        def before_run(self, run_context: Any) -> Any:
            self.seen.append(len(made))
            which = len(self.seen) // 8
            keys = sorted(self._asked)[: 1 + which]
            return v1.train.SessionRunArgs({k: self._asked[k] for k in keys})

        def after_run(self, run_context: Any, run_values: Any) -> None:
            """Notes nothing."""

    probe = Changes(early)
    model = model_of(flavor)
    model.fit(
        data().repeat(),
        steps_per_epoch=30,
        verbose=0,
        shuffle=False,
        callbacks=[SessionRunHookCallback(probe)],
    )

    assert probe.seen[:4] == [0, 0, 0, 0]
    assert probe.seen[4] == 1
    assert len(made) == 2


@flavors
def test_a_large_model_waits_until_it_pays(
    flavor: Any, made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of many variables takes seconds to make."""
    monkeypatch.setattr(fusion, "_FEW", 0)
    outcome(model_of(flavor), Probe(early))
    assert not made
    monkeypatch.setattr(fusion, "_MORE", 0)
    outcome(model_of(flavor), Probe(early))

    assert made


def test_a_tensorflow_that_has_changed_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the private parts, steps are called as Keras calls them."""
    flavor = next(iter(FLAVORS.values()))
    monkeypatch.setattr(direct_step._tf_private, "atomic_function", None)
    monkeypatch.setattr(DirectStep, "is_used", True)
    direct_step._is_possible.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "final_ops_callback"):
            seen, _ = outcome(model_of(flavor), Probe(early))
    finally:
        direct_step._is_possible.cache_clear()

    assert len(seen) > 6
    assert caplog.text.count("as Keras calls them") == 1
