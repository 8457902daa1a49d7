# SPDX-License-Identifier: Apache-2.0
"""What the steps of a model log, as far as it is known before one."""

from typing import Any

import pytest

from final_ops_callback._keras import log_names
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import keras

pytestmark = pytest.mark.slow

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def compiled(flavor: Any, metrics: Any, **more: Any) -> Any:
    """Returns a tiny model with other metrics."""
    model = models.tiny_model(flavor)
    model.compile("sgd", "mse", metrics=metrics, **more)
    return model


@flavors
@pytest.mark.parametrize(
    "metrics",
    [[], ["mae"], ["mae", "mean_absolute_percentage_error"], ["accuracy"]],
    ids=str,
)
def test_what_is_known_is_what_is_logged(flavor: Any, metrics: Any) -> None:
    """The names before a step are those of the logs after it."""
    model = compiled(flavor, metrics)
    known = log_names.known_logs(model, "train")
    logged = models.fit(model)

    assert known == set(logged)


@flavors
def test_each_log_of_a_fit_may_be_logged(flavor: Any) -> None:
    """Objects, functions, weighted ones and doubles are among what may be."""

    def ownMetric(y: Any, y_pred: Any) -> Any:
        return y_pred[:, 0]

    model = compiled(
        flavor,
        [ownMetric, flavor.metrics.MeanSquaredError("square")],
        weighted_metrics=["mae"],
    )
    before = [log_names.may_log(model, "train", "square")]
    logged = models.fit(model, validate=True)

    assert before == [True]
    assert "square" in logged
    for name in logged:
        assert log_names.may_log(model, "train", name), name
    assert not log_names.may_log(model, "train", "nothing")
    assert not log_names.may_log(model, "test", "val_loss")


@flavors
def test_a_class_of_metrics_has_no_name_yet(flavor: Any) -> None:
    """Nothing is known of what a class, or its name, will log."""
    model = compiled(flavor, ["MeanSquaredError"])

    assert log_names.known_logs(model, "train") is None
    assert log_names.may_log(model, "train", "anything")


def test_a_step_of_the_users_own_may_log_anything() -> None:
    """Only the steps of Keras log what is known."""

    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            return {"mine": 1.0}

    tiny = models.tiny_model()
    model = Own(tiny.inputs, tiny.outputs)
    model.compile("sgd", "mse")

    assert log_names.known_logs(model, "train") is None
    assert log_names.known_logs(model, "test") == {"loss"}
    assert log_names.known_logs(model, "predict") == set()


def test_a_model_without_variables_is_not_known() -> None:
    """What is not built may have any metric in a layer."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    assert log_names.known_logs(model, "train") is None


@flavors
def test_predict_leaves_the_metrics_of_compile(flavor: Any) -> None:
    """A metric that a layer has may be updated by its call."""

    class Counting(flavor.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seen = flavor.metrics.Mean(name="seen")

        def call(self, inputs: Any) -> Any:
            return inputs

    x = flavor.Input((1,))
    layer = Counting()
    model = flavor.Model(x, layer(x))
    apart = flavor.metrics.Mean()

    assert log_names.is_never_predicted(model, apart)
    assert not log_names.is_never_predicted(model, layer.seen)
