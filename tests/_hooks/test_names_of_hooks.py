# SPDX-License-Identifier: Apache-2.0
"""The hook graph keeps the names of the model and of hooks apart.

The oracle for what a hook makes is the same hook in an empty v1 graph.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import variables_of

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
NAMES = ["loss", "learning_rate", "mae", "predictions", "features", "train_op"]


class Makes(v1.train.SessionRunHook):
    """Makes operations and summaries of common names."""

    def __init__(self, looks_up: bool = False) -> None:
        self.looks_up = looks_up

    def begin(self) -> None:
        graph = v1.get_default_graph()
        if self.looks_up:
            for name in ("loss", "mae", "predictions", "features"):
                graph.get_tensor_by_name(f"{name}:0")
        self.made = [tf.constant(5.0, name=name).name for name in NAMES]
        self.made += [
            v1.summary.scalar(f"{name}_of_hook", 1.0).name for name in NAMES
        ]

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.tags = [
            v1.Summary.FromString(session.run(f"{name}_of_hook:0")).value[0].tag
            for name in NAMES
        ]


@pytest.mark.parametrize("looks_up", [False, True])
def test_what_hooks_make_has_the_names_of_v1(
    model: Any, looks_up: bool
) -> None:
    """No step tensor takes a name away from a hook."""
    with tf.Graph().as_default():
        original = Makes()
        with v1.train.SingularMonitoredSession(hooks=[original]):
            pass
    hook = Makes(looks_up)
    models.fit(model, SessionRunHookCallback(hook))

    assert hook.made == original.made
    assert hook.tags == original.tags


def test_a_summary_of_the_learning_rate(model: Any) -> None:
    """The tag of a summary is the one that the hook gave it."""
    tags: list[str] = []

    class Summarizes(v1.train.SessionRunHook):
        def begin(self) -> None:
            tensor = v1.get_default_graph().get_tensor_by_name
            self.fetches = [
                v1.summary.scalar(name, tensor(f"{name}:0"))
                for name in ("learning_rate", "loss", "mae")
            ]

        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(self.fetches)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            for summary in run_values.results:
                tags.append(v1.Summary.FromString(summary).value[0].tag)

    models.fit(model, SessionRunHookCallback(Summarizes()))

    assert tags == ["learning_rate", "loss", "mae"] * 2


class Fetches(v1.train.SessionRunHook):
    """Fetches names in each step."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.names)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.results = run_values.results


@pytest.mark.parametrize(
    "name", ["mae", "loss", "predictions", "out", "accuracy"]
)
def test_the_name_of_the_model_comes_first(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By a name of the model, a hook finds the model's, not a hook's."""
    model = models.tiny_model()
    model.compile("sgd", "mse", metrics=["mae", "accuracy"], jit_compile=False)

    class Takes(v1.train.SessionRunHook):
        def begin(self) -> None:
            self.own = tf.constant(-5.0, name=name)

        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(self.own)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.results = run_values.results

    takes, finds, alone = Takes(), Fetches(f"{name}:0"), Fetches(f"{name}:0")
    weights = model.get_weights()
    models.fit(model, SessionRunHookCallback([takes, finds]))
    assert f"{name + ':0'!r} is what the model's step delivers" in caplog.text
    assert takes.results == -5.0
    model.set_weights(weights)
    models.fit(model, SessionRunHookCallback(alone))

    np.testing.assert_array_equal(finds.results[0], alone.results[0])


def test_a_name_that_the_model_has_not_is_that_of_the_hook(model: Any) -> None:
    """A hook finds its own operations by names that the model lacks."""

    def make() -> Any:
        tf.constant(3.0, name="cross_entropy")
        return fetches

    fetches = Fetches("cross_entropy:0")
    models.fit(model, SessionRunHookCallback(make))

    assert fetches.results == [3.0]


@pytest.mark.parametrize("name", ["learning_rate", "loss"])
def test_a_feed_of_a_name_that_two_have(name: str) -> None:
    """A feed of a name that two tensors have is an error that says so."""
    model = models.tiny_model()

    def make() -> Any:
        v1.get_default_graph().get_tensor_by_name(f"{name}:0")
        v1.placeholder_with_default(1.0, [], name=name)

        class Feeds(v1.train.SessionRunHook):
            def before_run(self, run_context: Any) -> Any:
                return v1.train.SessionRunArgs([], {f"{name}:0": 0.0})

        return Feeds()

    with pytest.raises(errors.HookUsageError, match="has the same name"):
        models.fit(model, SessionRunHookCallback(make))


def test_gradients_are_called_as_their_variables(model: Any) -> None:
    """variable_names renames the gradient of a variable, too."""
    path = "out/kernel"
    fetches = Fetches("gradients/old/weights:0", f"gradients/{path}:0")
    callback = SessionRunHookCallback(
        fetches, variable_names={path: "old/weights"}
    )
    models.fit(model, callback)
    new, old = fetches.results

    assert new.shape == (3, 1)
    np.testing.assert_array_equal(new, old)


def model_with_slots() -> Any:
    """Returns a model whose optimizer has a name, and will have slots."""
    inputs = keras.Input((3,), name="x")
    outputs = keras.layers.Dense(1, name="out")(inputs)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.5, name="opt")
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def test_slots_are_renamed_before_they_are_there() -> None:
    """The callback of a training serves an evaluation before it, too."""
    built = model_with_slots()
    models.fit(built)
    paths = [path_of(v) for v in variables_of(built.optimizer)]
    slot = next(path for path in paths if path.endswith(("kernel", "momentum")))
    names: list[str] = []

    class Lists(v1.train.SessionRunHook):
        def begin(self) -> None:
            names[:] = [v.op.name for v in v1.global_variables()]

    callback = SessionRunHookCallback(
        Lists(), variable_names={slot: "old/slot", "out/kernel": "old/kernel"}
    )
    model, x = model_with_slots(), models.tiny_data().x
    model.evaluate(x, x[:, :1], verbose=0, callbacks=[callback])
    assert "old/kernel" in names
    model.predict(x, verbose=0, callbacks=[callback])
    assert "old/kernel" in names

    models.fit(model, callback)

    assert {"old/kernel", "old/slot"} <= set(names)


@pytest.mark.parametrize("path", ["opt/none", "other/none"])
def test_slots_that_never_come_are_an_error(path: str) -> None:
    """A training knows all paths that variable_names may have."""
    hook = v1.train.StopAtStepHook(last_step=9)
    callback = SessionRunHookCallback(hook, variable_names={path: "old"})

    with pytest.raises(errors.ArgumentError, match=f"no variable '{path}'"):
        models.fit(model_with_slots(), callback)


def test_metrics_are_known_before_the_first_step() -> None:
    """An error lists what compile was given, of several outputs too."""
    inputs = keras.Input((3,), name="x")
    outputs = {
        name: keras.layers.Dense(1, name=name)(inputs) for name in ("a", "b")
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd",
        {"a": "mse", "b": "mse"},
        metrics={"a": ["mae"], "b": ["mse"]},
        jit_compile=False,
    )
    x = models.tiny_data().x

    class Looks(v1.train.SessionRunHook):
        def begin(self) -> None:
            v1.get_default_graph().get_tensor_by_name("a/mea:0")

    y = {"a": x[:, :1], "b": x[:, :1]}
    with pytest.raises(errors.UnknownNameError, match=r"'a_mae'.*'b_loss'"):
        model.fit(x, y, verbose=0, callbacks=[SessionRunHookCallback(Looks())])


def nested_model(metric: str) -> Any:
    """Returns a model with a layer `out/mae` and a metric of some name."""
    inputs = keras.Input((3,))
    inside = keras.Sequential([keras.layers.Dense(1, name="mae")], name="out")
    model = keras.Model(inputs, inside(inputs))
    metric = keras.metrics.MeanAbsoluteError(name=metric)
    model.compile("sgd", "mse", metrics=[metric])
    return model


@pytest.mark.parametrize("path", ["out/mae", "out/extra"])
def test_a_metric_with_a_path_is_the_metric(path: str) -> None:
    """A declared name that is logged means the log, whatever layer there is."""
    model = nested_model(path)
    found = []

    class Fetching(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(f"{path}:0")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            found.append(run_values.results)

        def end(self, session: Any) -> None:
            found.append(session.run(f"{path}:0"))

    callback = SessionRunHookCallback(
        Fetching(), step_tensors={path: tf.TensorSpec([], "float32")}
    )
    x = np.ones((8, 3), "float32")
    history = model.fit(x, x[:, :1], batch_size=8, callbacks=[callback])

    assert found == pytest.approx(history.history[path] * 2)


def test_a_metric_with_a_path_has_to_be_declared() -> None:
    """A path is looked for as an operation, which the graph does not have."""

    class Fetching(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs("out/mae:0")

    x = np.ones((8, 3), "float32")
    with pytest.raises(ValueError, match="out/mae"):
        nested_model("out/mae").fit(
            x, x[:, :1], callbacks=[SessionRunHookCallback(Fetching())]
        )
