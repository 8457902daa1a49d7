# SPDX-License-Identifier: Apache-2.0
"""A leaf that is a name refers to the run that has ended."""

import contextlib
import json
import logging
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.leaf_kind import EvaluationContext
from final_ops_callback._final_ops.leaf_kind import Leaf
from final_ops_callback._final_ops.name_leaf import Name
from tests import models
from tests.flavors import keras

pytestmark = pytest.mark.slow

X, Y, VALIDATION = models.tiny_data()
v1 = tf.compat.v1


def fit(model: Any, *callbacks: Any, **options: Any) -> Any:
    return models.fit(model, *callbacks, **options)


def evaluate(model: Any, *callbacks: Any) -> Any:
    return model.evaluate(
        X, Y, verbose=0, callbacks=list(callbacks), return_dict=True
    )


def predict(model: Any, *callbacks: Any) -> Any:
    return model.predict(X, verbose=0, callbacks=list(callbacks))


class Steps(keras.callbacks.Callback):
    """Counts the steps that have run."""

    count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1

    on_test_batch_end = on_predict_batch_end = on_train_batch_end


@contextlib.contextmanager
def refused_at_once(match: str) -> Iterator[Steps]:
    """Expects the error before a step has run."""
    steps = Steps()
    with pytest.raises(errors.LeafError, match=match):
        yield steps
    assert steps.count == 0


@pytest.mark.parametrize("name", ["loss", "mae"])
@pytest.mark.parametrize("before", ["fit", "nothing"])
def test_the_name_of_a_metric_in_predict(
    model: Any, name: str, before: str
) -> None:
    """A metric of an earlier run is an error, with two ways out."""
    final = FinalOpsCallback({"a": [name]})
    if before == "fit":
        fit(model, final)
        assert final.final_ops_values["a"][0] > 0.0

    match = rf"'{name}'.*final_ops\['a'\]\[0\].*"
    if before == "fit":
        match = rf"{match}on=\('train', 'test'\).*'predictions'.*object keeps"
    with refused_at_once(match) as steps:
        predict(model, steps, final)

    assert final.final_ops_values is None
    assert "predict" not in final.final_ops_values_by_phase


def test_a_metric_object_in_predict_keeps_its_result(model: Any) -> None:
    """A metric object may hold an older result, and is not refused."""
    fit(model)
    (metric,) = [
        m
        for m in getattr(model, "_compile_metrics", model).metrics
        if m.name == "mae"
    ]
    final = FinalOpsCallback([metric, "predictions"])

    predictions = predict(model, final)

    assert final.final_ops_values[0] == np.asarray(metric.result())
    np.testing.assert_array_equal(final.final_ops_values[1], predictions)


class Counts(keras.layers.Layer):
    """A layer that counts its calls in a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = keras.metrics.Sum(name="calls")

    def call(self, inputs: Any) -> Any:
        self.calls.update_state(1.0)
        return inputs


def test_a_metric_that_a_layer_updates_in_predict() -> None:
    """A metric that this run has updated has a value."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Counts()(inputs))
    final = FinalOpsCallback("calls")
    model.predict(X, batch_size=4, verbose=0)

    model.predict(X, batch_size=4, verbose=0, callbacks=[final])

    assert final.final_ops_values >= 2.0


def test_a_metric_that_a_layer_does_not_update_in_predict() -> None:
    """Only the end of a run shows whether a layer updates its metric."""

    class Idle(Counts):
        def call(self, inputs: Any) -> Any:
            return inputs

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Idle()(inputs))
    final = FinalOpsCallback({"calls": "calls", "one": 1})

    with pytest.raises(errors.LeafError, match=r"left over.*None in the place"):
        predict(model, final)

    assert final.final_ops_values == {"calls": None, "one": 1}


@pytest.mark.parametrize(
    "name", ["mea", "recall", "val_mea", "los", "val", "hidden", "logs/mea"]
)
@pytest.mark.parametrize("run", [fit, evaluate, predict])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_bad_name_is_known_before_the_first_step(
    model: Any, name: str, run: Callable[..., Any], is_first: bool
) -> None:
    """No step runs, in the first run and in a later one."""
    if not is_first:
        run(model)
    final = FinalOpsCallback(["x", {"a": name}])

    with refused_at_once(
        rf"called '{name}' \(at final_ops\[1\]\['a'\]\).*'predictions'"
    ) as steps:
        run(model, steps, final)

    assert final.final_ops_values is None


def test_a_bad_name_says_how_a_log_of_a_callback_is_taken(model: Any) -> None:
    """The way out works: a function takes what another callback logs."""

    class Logs(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["f1"] = 0.5

    with pytest.raises(
        errors.LeafError, match=r"model.history.history\['f1'\]\[-1\]"
    ):
        fit(model, Logs(), FinalOpsCallback("f1"))

    final = FinalOpsCallback(lambda model: model.history.history["f1"][-1])
    fit(model, Logs(), final)
    assert final.final_ops_values == 0.5


def test_val_loss_in_evaluate(model: Any) -> None:
    """An evaluate of its own has no `val_loss`."""
    with refused_at_once(r"'val_loss'.*Did you mean 'loss'") as steps:
        evaluate(model, steps, FinalOpsCallback("val_loss"))


def test_a_validation_that_never_comes_costs_no_other_value(
    model: Any, tmp_path: Path, capsys: Any
) -> None:
    """The values are there, in the writers too, and then comes the error."""
    seen = []

    class Final(FinalOpsCallback):
        def on_final_ops_values(
            self, values: Any, phase: str, step: int
        ) -> None:
            seen.append(values)

    path = tmp_path / "{phase}.json"
    final = Final(
        {"loss": "loss", "val": ["val_loss", "val_mae"], "x": 1},
        filepath=path,
        verbose=1,
        log_dir=tmp_path,
    )
    losses: list[float] = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append(logs["loss"])
    )

    with pytest.raises(
        errors.LeafError,
        match=r"no 'val_loss' \(at final_ops\['val'\]\[0\]\).*validation_data.*"
        "None in the place",
    ) as caught:
        fit(model, note, final)

    expected = {"loss": losses[-1], "val": [None, None], "x": 1}
    assert final.final_ops_values == expected
    assert final.final_ops_values_by_phase == {"train": expected}
    assert seen == [expected]
    assert json.loads((tmp_path / "train.json").read_text()) == expected
    assert "val/0" in capsys.readouterr().out
    assert "val_mae" in "".join(caught.value.__notes__)
    assert fit(model, final, validate=True)["val_loss"] == [
        final.final_ops_values["val"][0]
    ]


def test_the_last_epoch_decides(model: Any) -> None:
    """A `validation_freq` that leaves the last epoch out is an error."""
    final = FinalOpsCallback("val_loss")

    with pytest.raises(errors.LeafError, match=r"last epoch.*validation_freq"):
        fit(model, final, validate=True, validation_freq=2, epochs=3)
    fit(model, final, validate=True, validation_freq=2, epochs=2)

    assert final.final_ops_values > 0.0


def test_an_error_of_another_leaf_costs_all_values(model: Any) -> None:
    """An exception of a function ends the evaluation, as in v1."""
    final = FinalOpsCallback(["val_loss", lambda: 1 / 0])

    with pytest.raises(ZeroDivisionError):
        fit(model, final)

    assert final.final_ops_values is None


def own(method: str) -> Any:
    """Returns a model with a user-defined log."""

    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            return logs if method != "train_step" else {**logs, "extra": 1.0}

        def get_metrics_result(self) -> Any:
            logs = super().get_metrics_result()
            return logs if method == "train_step" else {**logs, "extra": 1.0}

    inputs = keras.Input((3,))
    model = Own(inputs, keras.layers.Dense(1, name="out")(inputs))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("method", ["train_step", "get_metrics_result"])
def test_a_log_of_a_step_of_ones_own(method: str) -> None:
    """A name that a model may log by itself is not refused at the start."""
    model = own(method)
    final = FinalOpsCallback("extra")

    fit(model, final)

    assert final.final_ops_values == 1.0


def test_a_bad_name_where_the_step_may_log_anything() -> None:
    """A bad name is found at the end, and the error lists the known ones."""
    final = FinalOpsCallback({"a": "extr", "loss": "loss"})

    with pytest.raises(
        errors.LeafError, match=r"Did you mean 'extra'.*'loss'.*None in the"
    ):
        fit(own("train_step"), final)

    assert final.final_ops_values["loss"] > 0.0
    assert final.final_ops_values["a"] is None


def mean_of(y: Any, predicted: Any) -> Any:
    return tf.reduce_mean(predicted)


COMPILED: dict[str, Callable[[], dict[str, Any]]] = {
    "strings": lambda: {"metrics": ["mae", "mse", "accuracy"]},
    "classes by name": lambda: {
        "metrics": ["MeanSquaredError", "KLDivergence"]
    },
    "functions": lambda: {"metrics": [mean_of, lambda y, p: tf.reduce_sum(p)]},
    "objects": lambda: {
        "metrics": [keras.metrics.MeanSquaredError(name="Mine 1")]
    },
    "losses": lambda: {"metrics": [keras.losses.MeanSquaredError(name="zz")]},
    "weighted": lambda: {"metrics": ["mae"], "weighted_metrics": ["mse"]},
}


@pytest.mark.parametrize("options", COMPILED.values(), ids=COMPILED.keys())
@pytest.mark.parametrize("outputs", [1, 2])
def test_every_log_of_keras_may_be_asked_for(
    options: Callable[[], dict[str, Any]], outputs: int
) -> None:
    """No name that Keras logs is refused before the step that makes it."""

    def make() -> Any:
        inputs = keras.Input((3,))
        names = ["first", "second"][:outputs]
        layers = {n: keras.layers.Dense(1, name=n)(inputs) for n in names}
        model = keras.Model(inputs, layers if outputs > 1 else layers["first"])
        chosen = options()
        if outputs > 1:
            chosen = {k: {n: options()[k] for n in names} for k in chosen}
        model.compile("sgd", "mse", **chosen)
        return model

    labels = {"first": Y, "second": Y} if outputs > 1 else Y
    given = {"verbose": 0, "validation_data": (X, labels)}
    history = make().fit(X, labels, **given).history
    final = FinalOpsCallback(sorted(history))

    history = make().fit(X, labels, **given, callbacks=[final]).history

    assert final.final_ops_values == [history[n][-1] for n in sorted(history)]


def test_a_model_that_is_not_built_is_not_asked() -> None:
    """The names of an unbuilt model are not known before its first step."""
    model = keras.Sequential([keras.layers.Dense(1, name="out")])
    model.compile("sgd", "mse", metrics=["mae"])
    final = FinalOpsCallback(["mae", "loss"])

    history = fit(model, final)

    assert final.final_ops_values == [history["mae"][-1], history["loss"][-1]]


def test_a_loop_of_ones_own_logs_what_it_wants(model: Any) -> None:
    """Without Keras's loop around it, a name is looked for at the end."""
    final = FinalOpsCallback("mine")
    callbacks = keras.callbacks.CallbackList([final], model=model)

    callbacks.on_train_begin()
    callbacks.on_train_end({"mine": 3.0})

    assert final.final_ops_values == 3.0


def test_a_metric_of_the_model_that_no_step_updates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its zeros are warned of, under its name."""

    class Own(keras.Model):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.idle = keras.metrics.Mean(name="idle")

        @property
        def metrics(self) -> Any:
            return [self.idle]

        def test_step(self, data: Any) -> Any:
            return {"loss": tf.reduce_mean(self(data[0]))}

    inputs = keras.Input((3,))
    model = Own(inputs, keras.layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    final = FinalOpsCallback("idle")
    caplog.set_level(logging.WARNING)

    evaluate(model, final)

    assert "'idle'" in caplog.text
    assert final.final_ops_values == 0.0


@pytest.mark.parametrize("metric", ["a/b", "out/loss", "out/0", "hidden/x"])
@pytest.mark.parametrize("prefix", ["", "val_", "logs/", "logs/val_"])
def test_a_log_with_a_slash_is_a_leaf(metric: str, prefix: str) -> None:
    """Such a leaf is the log, even if the part before it names a layer."""
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(2, name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(hidden))
    model.compile(
        "sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name=metric)]
    )
    final = FinalOpsCallback(prefix + metric)

    history = fit(model, final, validate=True)

    name = (prefix + metric).removeprefix("logs/")
    assert final.final_ops_values == history[name][-1]


class Fetches(v1.train.SessionRunHook):
    """Fetches one tensor in each step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.results: list[Any] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.name)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.results.append(run_values.results)


@pytest.mark.parametrize("metric", ["a/b", "out/loss"])
def test_a_log_with_a_slash_is_fetched(metric: str) -> None:
    """A hook fetches such a log under `logs/`."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(inputs))
    model.compile(
        "sgd", "mse", metrics=[keras.metrics.MeanAbsoluteError(name=metric)]
    )
    hook = Fetches(f"logs/{metric}:0")

    history = fit(model, SessionRunHookCallback(hook))

    assert hook.results[-1] == pytest.approx(history[metric][-1])


def test_a_log_with_a_slash_alone_says_its_name(model: Any) -> None:
    """A bare path is not a log: the error shows the names of the logs."""
    with pytest.raises(ValueError, match=r"'a/b'.*'logs/a/b:0'"):
        fit(model, SessionRunHookCallback(Fetches("a/b:0")))


def test_a_leaf_of_the_logs_by_the_name_that_hooks_use(model: Any) -> None:
    """`logs/loss` is the log, and `loss:0` the loss of the last step."""
    final = FinalOpsCallback(["loss", "logs/loss", "logs/mae:0", "loss:0"])

    history = fit(model, final)

    log, same, mae, last = final.final_ops_values
    assert log == same == history["loss"][-1]
    assert mae == history["mae"][-1]
    assert last != log


def leaf_value(name: str, model: Any, logs: dict[str, Any]) -> Any:
    """Returns what a name is worth, in a run that nobody watched."""
    context = EvaluationContext(model, logs, Feeds(None), [])
    return Name().value(Leaf((), Name(), name, name), context)


def test_a_name_is_a_text_of_python() -> None:
    """A text of NumPy is a value, as it was in v1."""
    assert Name().accepts("loss")
    assert not Name().accepts(np.str_("loss"))
    assert not Name().accepts(b"loss")


def test_a_log_comes_before_the_metric() -> None:
    """With the prefix and the suffix of hooks, too."""
    model = models.tiny_model()
    models.fit(model)

    for name in ("mae", "logs/mae", "logs/mae:0"):
        assert leaf_value(name, model, {"mae": 7.0}) == 7.0
    assert leaf_value("mae", model, {}) != 7.0


def test_a_name_of_nothing_lists_what_there_is() -> None:
    """The nearest of it first."""
    model = models.tiny_model()
    with pytest.raises(errors.LeafError, match="'accuracy'") as caught:
        leaf_value("acuracy", model, {"accuracy": 1.0})
    with pytest.raises(errors.LeafError, match="has logged no 'val_loss'"):
        leaf_value("val_loss", model, {"loss": 1.0})

    assert "Did you mean 'accuracy'?" in str(caught.value)


@pytest.mark.parametrize("name", ["learning_rate", "learning_rate:0", "mae:0"])
def test_an_error_does_not_list_the_name_that_it_refuses(name: str) -> None:
    """What is beside the step is not a step tensor of a leaf."""
    with pytest.raises(errors.LeafError, match="nothing here is") as caught:
        models.fit(models.tiny_model(), FinalOpsCallback([name]))

    _, _, listed = str(caught.value).partition("the step tensors ")
    listed, _, _ = listed.partition("]")
    assert "predictions" in listed
    assert repr(name.removesuffix(":0")) not in listed
    assert f"Did you mean {name!r}" not in str(caught.value)
