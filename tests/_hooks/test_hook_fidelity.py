# SPDX-License-Identifier: Apache-2.0
"""Details of v1 that are easy to get silently wrong are right."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import EagerSession
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models
from tests._hooks.test_hook_callback import Steps
from tests._hooks.test_hook_callback import call
from tests._hooks.test_hook_callback import data
from tests._hooks.test_hook_callback import steps
from tests._hooks.test_hook_errors import Hook
from tests.flavors import ends_in_the_step
from tests.flavors import keras
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
Args = v1.train.SessionRunArgs
SESSIONS = (v1.Session, EagerSession)


class Fetches(v1.train.SessionRunHook):
    """Fetches what a function builds in begin, and keeps the results."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self.build = build
        self.results: list[Any] = []

    def begin(self) -> None:
        self.fetches = self.build()

    def before_run(self, context: Any) -> Any:
        return Args(self.fetches)

    def after_run(self, context: Any, values: Any) -> None:
        self.results.append(values.results)


@pytest.fixture
def model() -> keras.Model:
    """The tiny model."""
    return models.tiny_model()


def loss() -> Any:
    return v1.get_default_graph().get_tensor_by_name("loss:0")


@pytest.mark.parametrize("session", SESSIONS)
def test_fetches_in_a_container_that_is_refilled(session: Any) -> None:
    """A plan is not mistaken for one whose fetches are gone."""
    seen = []
    with tf.Graph().as_default(), session() as running:
        fetches: list[Any] = [None]
        for index in range(4):
            fetches[0] = None
            fetches[0] = tf.SparseTensor([[index]], [index], [5])
            seen.append(int(running.run(fetches)[0].values[0]))

    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("session", SESSIONS)
def test_operations_whose_names_look_like_queues(session: Any) -> None:
    """Functional loops and tensor lists run as in a v1 session."""
    with tf.Graph().as_default(), session() as running:
        values = tf.constant([1.0, 2.0, 3.0])
        mapped = tf.map_fn(lambda v: v * 2, values)
        scanned = tf.scan(lambda total, v: total + v, values)
        got = running.run([mapped, scanned])

    np.testing.assert_array_equal(got, [[2, 4, 6], [1, 3, 6]])


def test_a_dense_table_is_freed_with_its_session() -> None:
    """A resource whose operation has inputs is destroyed, too."""
    with tf.Graph().as_default(), EagerSession() as session:
        table = tf.lookup.experimental.DenseHashTable(
            tf.int64, tf.int64, -1, empty_key=0, deleted_key=-2
        )
        session.run(table.insert([3], [4]))
        value = session.run(table.lookup(tf.constant([3], tf.int64)))

    assert value.tolist() == [4]


@pytest.mark.parametrize("session", SESSIONS)
def test_a_graph_without_operations(session: Any) -> None:
    """Running an empty graph is v1's error."""
    with tf.Graph().as_default(), session() as running:
        with pytest.raises(RuntimeError, match="The Session graph is empty"):
            running.run([])


def test_a_run_is_traced_on_demand() -> None:
    """FULL_TRACE fills the metadata of a run, as in v1."""
    options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    labels: list[list[str]] = []
    for session in SESSIONS:
        metadata = v1.RunMetadata()
        with tf.Graph().as_default(), session() as running:
            matrix = v1.placeholder(tf.float32, [8, 8])
            product = tf.matmul(matrix, matrix)
            feeds = {matrix: np.eye(8)}
            running.run(product, feeds)
            running.run(product, feeds, options, metadata)
        labels.append(
            [
                node.timeline_label
                for device in metadata.step_stats.dev_stats
                for node in device.node_stats
                if "MatMul" in node.timeline_label
            ]
        )

    assert all(labels)


@pytest.mark.parametrize(
    "build",
    [
        lambda: v1.gradients(loss(), v1.trainable_variables()),
        lambda: v1.train.GradientDescentOptimizer(0.1).minimize(loss()),
    ],
    ids=["gradients", "minimize"],
)
def test_gradients_of_the_loss_are_refused(
    model: keras.Model, build: Callable[[], Any]
) -> None:
    """Gradients that would silently be zero are an error that says so."""
    with pytest.raises(errors.HookUsageError, match=r"gradient of 'loss'"):
        models.fit(model, SessionRunHookCallback(Fetches(build)))


def test_gradients_of_the_weights_alone_work(model: keras.Model) -> None:
    """A penalty on the weights has its gradients in the graph."""
    hook = Fetches(
        lambda: v1.gradients(
            tf.nn.l2_loss(v1.trainable_variables()[0]),
            v1.trainable_variables()[:1],
        )[0]
    )
    before = to_numpy(model.trainable_weights[0])
    models.fit(model, SessionRunHookCallback(hook))

    np.testing.assert_allclose(hook.results[0], before, rtol=1e-6)


@pytest.mark.parametrize(
    "takes_the_name",
    [
        lambda: tf.reduce_mean([1.0, 3.0], name="loss"),
        lambda: v1.summary.scalar("loss", tf.constant(1.0)),
        lambda: tf.name_scope("loss").__enter__(),
    ],
    ids=["operation", "summary", "scope"],
)
def test_the_name_of_the_loss_is_taken(
    model: keras.Model, takes_the_name: Callable[[], Any]
) -> None:
    """No operation of a hook can take the place of the model's loss."""
    first, plain = Fetches(lambda: [takes_the_name()][:0]), Fetches(loss)
    models.fit(model, SessionRunHookCallback([first, plain]))
    other = Fetches(loss)
    models.fit(models.tiny_model(), SessionRunHookCallback(other))

    np.testing.assert_allclose(plain.results, other.results)


def test_a_variable_of_a_hook_keeps_its_name(model: keras.Model) -> None:
    """A hook's own variable may be called learning_rate, as in v1."""
    names: list[str] = []

    def build() -> Any:
        variable = v1.get_variable("learning_rate", initializer=7.0)
        names.append(variable.name)
        return "learning_rate:0"

    hook = Fetches(build)
    models.fit(model, SessionRunHookCallback(hook))

    assert names == ["learning_rate:0"]
    assert hook.results[0] == 7.0


def test_a_loop_over_weights_and_loss_sees_the_weights_of_before(
    model: keras.Model,
) -> None:
    """A loop that needs the step still gets the values before the step."""

    def build() -> Any:
        kernel = v1.trainable_variables()[0]
        drawn = tf.random.uniform([3])
        of_the_step = loss()

        def total(values: Any) -> Any:
            return tf.foldl(lambda a, v: a + v + 0 * of_the_step, values)

        flat = tf.reshape(kernel, [3])
        return [
            total(flat),
            tf.reduce_sum(kernel),
            total(drawn),
            tf.reduce_sum(drawn),
        ]

    hook = Fetches(build)
    models.fit(model, SessionRunHookCallback(hook), epochs=3)

    results = np.array(hook.results)
    np.testing.assert_allclose(results[:, 0], results[:, 1], rtol=1e-5)
    np.testing.assert_allclose(results[:, 2], results[:, 3], rtol=1e-5)


class Bias(keras.callbacks.Callback):
    """Sets the bias when an epoch begins."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.layers[-1].bias.assign([100.0 * epoch])


def unknown_length() -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(data()).batch(2)
    return dataset.filter(lambda *_: True)


def test_what_changes_between_epochs_is_seen(model: keras.Model) -> None:
    """The first step of an epoch is fetched again, if it was too early."""
    hook = Fetches(
        lambda: [v for v in v1.global_variables() if "bias" in v.name]
    )
    callbacks = [SessionRunHookCallback(hook), Bias()]
    with ends_in_the_step():
        model.fit(
            unknown_length(),
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )

    starts = [float(np.ravel(hook.results[step][0])[0]) for step in (0, 4, 8)]
    assert starts == [0.0, 100.0, 200.0]


def test_a_fed_rate_is_there_for_its_step_alone(model: keras.Model) -> None:
    """Outside the step, the rate is that of the optimizer."""
    rates: list[float] = []

    class Looks(keras.callbacks.Callback):
        def look(self, *_: Any, **__: Any) -> None:
            rate = self.model.optimizer.learning_rate
            rates.append(float(to_numpy(rate)))

        on_train_batch_begin = on_train_batch_end = look
        on_epoch_begin = on_epoch_end = look

    hook = Hook(before_run=lambda _: Args([], {"learning_rate:0": 7.0}))
    before = to_numpy(model.optimizer.learning_rate)
    with ends_in_the_step():
        model.fit(
            unknown_length(),
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[Looks(), SessionRunHookCallback(hook), Looks()],
        )

    assert set(rates) == {float(before)}


def test_a_loss_of_two_parts_is_not_guessed() -> None:
    """A train step that computes two losses has no single loss."""

    class Two(keras.Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            x, y = data
            first = self.compute_loss(x, y, self(x))
            return {"loss": first + 100 * self.compute_loss(x, y, self(x))}

    two = Two([keras.Input((3,)), keras.layers.Dense(1)])
    two.compile("sgd", "mse", jit_compile=False)

    with pytest.raises(errors.StepTensorError, match="compute_loss 2 times"):
        call(two, "fit", SessionRunHookCallback(Fetches(loss)))


def test_two_callbacks_on_an_unbuilt_model() -> None:
    """Both begin late, and both see every step."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    hooks = [Steps(), Steps(), Steps()]
    call(model, "fit", *map(SessionRunHookCallback, hooks))

    assert [hook.events for hook in hooks] == [steps(0, 4)] * 3


def test_a_model_that_can_not_be_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Hooks run on the variables that exist, with a warning."""

    class Pair(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.part = keras.Sequential(
                [keras.Input((3,)), keras.layers.Dense(1)]
            )

        def train_step(self, data: Any) -> dict[str, Any]:
            self.optimizer.iterations.assign_add(1)
            assert np.size(data[0]) == data[0].numpy().size  # not in a trace
            return {"size": tf.reduce_mean(self.part(data[0]))}

    pair = Pair()
    pair.compile("sgd", run_eagerly=True)
    hook = Fetches(lambda: [v.name for v in v1.trainable_variables()] and [])
    call(pair, "fit", SessionRunHookCallback(hook))

    assert len(hook.results) == 4
    assert "can't be built" in caplog.text


def test_a_second_fit_is_not_traced_again(model: keras.Model) -> None:
    """The same callback uses the function that it made."""
    made: list[bool] = []
    make = model.make_train_function
    vars(model)["make_train_function"] = lambda force=False: (
        made.append(force) or make(force)
    )
    callback = SessionRunHookCallback(Fetches(loss))
    call(model, "fit", callback)
    call(model, "fit", callback)
    vars(model).pop("make_train_function")

    assert made.count(True) == 1


def test_two_profilers_in_one_step(model: keras.Model, tmp_path: Any) -> None:
    """Two callbacks that trace a step share the trace."""

    def make(name: str) -> Callable[[], Any]:
        return lambda: v1.train.ProfilerHook(2, output_dir=str(tmp_path / name))

    call(model, "fit", *[SessionRunHookCallback(make(n)) for n in "ab"])
    found = [
        sorted(p.name for p in (tmp_path / n).glob("*.json")) for n in "ab"
    ]

    assert found[0] == found[1]
    assert found[0]


def test_an_evaluate_inside_of_fit(model: keras.Model) -> None:
    """The run of fit continues after an evaluate with its callback."""
    made: list[Steps] = []

    def make() -> Steps:
        made.append(Steps())
        return made[-1]

    callback = SessionRunHookCallback(make)

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            call(self.model, "evaluate", callback)

    call(model, "fit", callback, Evaluates(), epochs=2)

    assert made[0].events == steps(0, 8)
    assert [hook.events[1] for hook in made[1:]] == [(4, 4), (8, 8)]


def test_a_fit_after_another_callback_failed(model: keras.Model) -> None:
    """A step that was prepared but never ran does not affect the next fit."""

    class Fails(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            raise KeyError("not mine")

    hook = Steps()
    callback = SessionRunHookCallback(hook)
    with pytest.raises(KeyError, match="not mine"):
        call(model, "fit", callback, Fails())
    events = list(hook.events)
    call(model, "fit")
    gc.collect()

    assert int(model.optimizer.iterations.numpy()) == 4
    assert hook.events == events
    assert callback is not None


def test_a_fetch_that_fails_names_its_hook(model: keras.Model) -> None:
    """The error of TensorFlow for a failed fetch gets the name of the hook."""
    hook = Fetches(lambda: v1.placeholder(tf.float32, [], name="empty"))

    with pytest.raises(tf.errors.InvalidArgumentError, match="empty") as caught:
        models.fit(model, SessionRunHookCallback(hook))

    assert any("['Fetches']" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("name", ["out/BiasAdd:0", "no/such/op", "nobody"])
def test_names_of_the_inside_are_not_there(
    model: keras.Model, name: str
) -> None:
    """Looking for an operation of the model is v1's own KeyError."""
    graph_finds = {
        True: lambda: v1.get_default_graph().get_tensor_by_name(name),
        False: lambda: v1.get_default_graph().get_operation_by_name(name),
    }

    with pytest.raises(KeyError, match=r"does not exist|refers to an Op"):
        models.fit(
            model, SessionRunHookCallback(Fetches(graph_finds[":" in name]))
        )


def test_a_metric_with_a_space_in_its_name() -> None:
    """A log is found by its name, even if a graph would not allow it."""
    model = models.tiny_model()
    metric = keras.metrics.MeanAbsoluteError(name="my error")
    model.compile("sgd", "mse", metrics=[metric], jit_compile=False)
    hook = Fetches(
        lambda: v1.get_default_graph().get_tensor_by_name("my error:0")
    )
    history = models.fit(model, SessionRunHookCallback(hook))

    np.testing.assert_allclose(hook.results[-1], history["my error"][0])


def test_the_place_of_an_error_survives_pickling(model: keras.Model) -> None:
    """The arguments of an error contain everything that it says."""
    hook = Hook(end=lambda session: session.run("predictions:0"))
    with pytest.raises(errors.StepTensorError) as caught:
        models.fit(model, SessionRunHookCallback(hook))
    error = caught.value

    assert str(type(error)(*error.args)) == str(error)
