# SPDX-License-Identifier: Apache-2.0
"""A hook gets values from its session when the steps are over.

In v1, `end(session)` could still fetch anything. Metrics are compared with
those of Keras, step tensors with what a hook saw in the last step.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


class Last(v1.train.SessionRunHook):
    """Keeps what it fetched in the last step."""

    def __init__(self, fetches: Any) -> None:
        self.fetches = fetches

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.fetches)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.values = run_values.results


class AtEnd(v1.train.SessionRunHook):
    """Runs fetches in `end`, and keeps the results."""

    def __init__(self, fetches: Any) -> None:
        self.fetches, self.values = fetches, None

    def end(self, session: Any) -> None:
        self.values = session.run(self.fetches)


def run(model: Any, method: str, hooks: Any, **options: Any) -> Any:
    """Calls a method of the model with hooks."""
    data = models.tiny_data()
    callback = SessionRunHookCallback(hooks, **options)
    args = (data.x,) if method == "predict" else (data.x, data.y)
    more = {"shuffle": False} if method == "fit" else {}
    return getattr(model, method)(
        *args, batch_size=4, verbose=0, callbacks=[callback], **more
    )


def test_a_metric_in_fit_is_that_of_training(model: Any) -> None:
    """FinalOpsHook gets the training's metric, also after a validation."""
    hook = v1.train.FinalOpsHook({"mae": "mae:0"})
    callback = SessionRunHookCallback(hook)
    history = models.fit(model, callback, validate=True, epochs=2)

    assert history["val_mae"][-1] != history["mae"][-1]
    np.testing.assert_allclose(
        hook.final_ops_values["mae"], history["mae"][-1], rtol=1e-6
    )


def test_a_metric_in_evaluate(model: Any) -> None:
    """FinalOpsHook gets what evaluate returns."""
    hook = v1.train.FinalOpsHook(["mae:0", "logs/loss:0"])
    loss, mae = run(model, "evaluate", hook)

    np.testing.assert_allclose(hook.final_ops_values, [mae, loss], rtol=1e-6)


def test_logging_at_the_end(
    model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """LoggingTensorHook(at_end=True) logs a metric and the last loss."""
    hook = v1.train.LoggingTensorHook(
        {"m": "mae:0", "l": "loss:0"}, at_end=True
    )
    last = Last("loss:0")
    with caplog.at_level("INFO", "tensorflow"):
        _, mae = run(model, "evaluate", [hook, last])
    (line,) = (r.getMessage() for r in caplog.records if "m = " in r.message)
    logged = dict(part.split(" = ") for part in line.split(", "))

    assert np.float32(logged["m"]) == np.float32(mae)
    assert np.float32(logged["l"]) == last.values


def test_a_merged_summary_of_a_metric(model: Any) -> None:
    """A summary over a metric, merged in `begin`, is written in `end`."""

    class Summarizes(v1.train.SessionRunHook):
        def begin(self) -> None:
            graph = v1.get_default_graph()
            v1.summary.scalar("error", graph.get_tensor_by_name("mae:0"))
            self.merged = v1.summary.merge_all()

        def end(self, session: Any) -> None:
            self.summary = v1.Summary.FromString(session.run(self.merged))

    hook = Summarizes()
    _, mae = run(model, "evaluate", hook)
    (value,) = hook.summary.value

    assert value.tag == "error"
    np.testing.assert_allclose(value.simple_value, mae, rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("fit", ["loss", "predictions", "labels", "out", "features"]),
        ("fit", ["gradients/global_norm", "gradients/out/kernel"]),
        ("evaluate", ["loss", "predictions", "features"]),
        ("predict", ["predictions", "out"]),
    ],
)
def test_what_the_last_step_delivered(
    model: Any, method: str, names: list[str]
) -> None:
    """In `end`, a step tensor has the value of the last step."""
    fetches = [f"{name}:0" for name in names]
    last, at_end = Last(fetches), AtEnd(fetches)
    declared = {"labels": tf.TensorSpec([None, 1], "float32")}
    run(model, method, [last, at_end], step_tensors=declared)

    for value, expected in zip(at_end.values, last.values, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_hooks_with_nothing_but_an_end(model: Any) -> None:
    """The values are available even if no hook has a method for the steps."""
    at_end = AtEnd(["loss:0", "out:0", "logs/loss:0"])
    loss, _ = run(model, "evaluate", at_end)
    x, y, _ = models.tiny_data()
    outputs = np.asarray(model(x[4:]))

    np.testing.assert_allclose(
        at_end.values[0], np.mean((outputs - y[4:]) ** 2), rtol=1e-5
    )
    np.testing.assert_allclose(at_end.values[1], outputs, rtol=1e-5)
    np.testing.assert_allclose(at_end.values[2], loss, rtol=1e-6)


def test_v1_metrics_on_predictions_and_labels(model: Any) -> None:
    """`v1.metrics`, updated in each step, is read in `end`, as in v1."""

    class Streams(v1.train.SessionRunHook):
        def begin(self) -> None:
            tensor = v1.get_default_graph().get_tensor_by_name
            self.value, self.update = v1.metrics.mean_absolute_error(
                tensor("labels:0"), tensor("predictions:0")
            )

        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(self.update)

        def end(self, session: Any) -> None:
            self.result = session.run(self.value)

    hook = Streams()
    declared = {"labels": tf.TensorSpec([None, 1], "float32")}
    _, mae = run(model, "evaluate", hook, step_tensors=declared)

    np.testing.assert_allclose(hook.result, mae, rtol=1e-6)


def test_a_name_that_nobody_could_know_of(model: Any) -> None:
    """A value not taken out of the last step is an error with a way out."""

    class Spells(AtEnd):
        def end(self, session: Any) -> None:
            session.run(":".join(["predictions", "0"]))

    with pytest.raises(
        errors.StepTensorError, match="the last step was not asked"
    ) as caught:
        run(model, "fit", Spells(None))
    way_out = caught.value.way_out
    assert 'step_tensors={"predictions": tf.TensorSpec' in way_out

    # The way out works.
    declared = {"predictions": tf.TensorSpec([None, 1], "float32")}
    run(model, "fit", Spells(None), step_tensors=declared)


class InAllMoments(v1.train.SessionRunHook):
    """Asks for a name in every moment, and keeps what it got."""

    def __init__(self, name: str) -> None:
        self.name, self.seen = name, {}

    def _ask(self, moment: str, session: Any) -> None:
        try:
            self.seen[moment] = session.run(self.name)
        except errors.StepTensorError as error:
            self.seen[moment] = error

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._ask("after_create_session", session)

    def before_run(self, run_context: Any) -> Any:
        self._ask("before_run", run_context.session)
        return v1.train.SessionRunArgs(self.name)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.fetched = run_values.results
        self._ask("after_run", run_context.session)

    def end(self, session: Any) -> None:
        self._ask("end", session)


@pytest.mark.parametrize("name", ["loss:0", "out:0", "mae:0"])
def test_all_moments(model: Any, name: str) -> None:
    """After a step its values are there; before it there is an error."""
    model.evaluate(*models.tiny_data()[:2], verbose=0)  # makes the metrics
    hook = InAllMoments(name)
    run(model, "fit", hook)

    np.testing.assert_array_equal(hook.seen["after_run"], hook.fetched)
    np.testing.assert_array_equal(hook.seen["end"], hook.fetched)
    assert isinstance(hook.seen["before_run"], errors.StepTensorError)
    if name == "mae:0":
        # A metric has a result before any step, as in v1.
        assert np.isfinite(hook.seen["after_create_session"])
    else:
        error = hook.seen["after_create_session"]
        assert isinstance(error, errors.StepTensorError)
        assert "no step has run" in str(error)


def outputs_of(kind: str) -> Any:
    """Returns a model of one or of several outputs."""
    inputs = keras.Input((3,), name="x")
    one = keras.layers.Dense(1, name="one")(inputs)
    two = keras.layers.Dense(2, name="two")(inputs)
    outputs = {"one": one, "list": [one, two], "dict": {"a": one, "b": two}}
    return keras.Model(inputs, outputs[kind])


class Original(v1.train.SessionRunHook):
    """Fetches what v1 itself fetches."""

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(run_context.original_args.fetches)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.results = run_values.results


@pytest.mark.parametrize("kind", ["one", "list", "dict"])
def test_what_v1_itself_fetched_in_predict(kind: str) -> None:
    """In predict, original_args are the predictions in their structure."""
    model, hook = outputs_of(kind), Original()
    x = models.tiny_data().x
    callback = SessionRunHookCallback(hook)
    predicted = model.predict(x, verbose=0, callbacks=[callback])

    tf.nest.assert_same_structure(hook.results, predicted)
    for value, expected in zip(
        tf.nest.flatten(hook.results), tf.nest.flatten(predicted), strict=True
    ):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_what_v1_itself_fetched_is_an_operation(
    model: Any, method: str
) -> None:
    """In fit it is the train op, in evaluate the update op: without a value."""
    hook = Original()
    run(model, method, hook)

    assert hook.results is None
