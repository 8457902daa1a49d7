# SPDX-License-Identifier: Apache-2.0
"""Where the tensors of final ops come from."""

import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.origins import Leaf
from final_ops_callback._scan.origins import is_loss
from final_ops_callback._scan.origins import leaf_of
from final_ops_callback._scan.origins import minimized
from final_ops_callback._scan.origins import streaming
from final_ops_callback._scan.syntax import last_name
from tests import models
from tests._scan.conftest import Found
from tests._scan.contexts import context_of
from tests.flavors import keras

v1 = tf.compat.v1
MEAN = 'keras.metrics.MeanMetricWrapper(function, name="xent")'


def leaf(code: str, expression: str) -> Leaf:
    context, facts = context_of(
        a=f"import tensorflow.compat.v1 as tf\n{code}\nshow({expression})"
    )
    (call,) = (c for c in facts.calls if last_name(c.call) == "show")
    return leaf_of(context, facts, call.scope, call.call.arguments[0].value)


@pytest.mark.parametrize(
    ("code", "expression", "name", "metric"),
    [
        ("mean, up = tf.metrics.mean(xent)", "mean", "xent", MEAN),
        ("mean, up = tf.metrics.mean(xent)", "up", "xent", MEAN),
        ("", "tf.metrics.mean(xent)[0]", "xent", MEAN),
        ("m, up = tf.metrics.mean(loss)", "m", "loss", ""),
        (
            "m, up = tf.metrics.mean(loss)\nopt.minimize(total)",
            "m",
            "loss",
            MEAN.replace("xent", "loss"),
        ),
        ("m, up = tf.metrics.mean(loss)\nopt.minimize(loss)", "m", "loss", ""),
        ("opt.minimize(loss)", "loss", "loss:0", ""),
        ("loss = xent\nopt.minimize(xent)", "loss", "loss:0", ""),
        ("opt.minimize(total)", "xent", "xent", MEAN),
        ("", "total_loss", "loss:0", ""),
        ("", "xent", "xent", MEAN),
        ("", "'tower/xent:0'", "xent", MEAN),
        ("", "mean_loss", "loss", ""),
        ("", "logits", "predictions:0", ""),
        ("", "whatever", "", ""),
        ("", "tf.losses.get_total_loss()", "loss:0", ""),
        ("", "2 * loss", "NAME", MEAN.replace("xent", "NAME")),
        (
            "m, up = tf.metrics.mean(tf.abs(x))",
            "m",
            "m",
            MEAN.replace("xent", "m"),
        ),
        (
            "import tf_slim as slim\n"
            "m, up = slim.metrics.aggregate_metric_map(metrics)",
            "m",
            "NAME",
            MEAN.replace("xent", "NAME"),
        ),
        (
            "auc = tf.metrics.auc(a, b)",
            "auc[0]",
            "auc",
            'keras.metrics.AUC(name="auc")',
        ),
    ],
)
def test_leaves(code: str, expression: str, name: str, metric: str) -> None:
    """Only the very loss is `loss:0`; its mean is the log; others metrics."""
    assert leaf(code, expression) == Leaf(name, metric)


def test_parts() -> None:
    """What a file minimizes is known, and what a name is bound to."""
    context, facts = context_of(
        a="def f():\n    a, b = tf.metrics.mean(c)\n"
        "    opt.minimize(self.total)\n    show(a)\n"
    )
    call = facts.calls[-1]
    node = call.call.arguments[0].value
    stream = streaming(context, call.scope, node)

    assert minimized(facts) == {"total"}
    assert [v.get_code().strip() for v in values_of(call.scope, node)] == [
        "tf.metrics.mean(c)"
    ]
    assert stream is not None
    assert not is_loss(facts, call.scope, node)


def test_a_hook_is_told_to_compile_the_metric(found: Found) -> None:
    """The lines for a FinalOpsHook name the metric, and compile it."""
    (finding,) = found(
        "import tensorflow.compat.v1 as tf\n"
        "mean_loss, update = tf.metrics.mean(xent)\n"
        "tf.train.FinalOpsHook({'xent': mean_loss})\n"
    )

    assert finding.write == (
        "FinalOpsCallback({'xent': \"xent\"})\n"
        f"model.compile(optimizer, loss, metrics=[{MEAN}])"
    )
    assert "compile(metrics=[...]) and name the metric" in finding.why


def test_the_compiled_metric_is_the_streaming_one() -> None:
    """It has the value of `tf.metrics.mean` of v1; `loss:0` has another."""
    data = models.tiny_data()
    model = models.tiny_model()
    kernel, bias = model.get_weights()
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        y = v1.placeholder(tf.float32, [None, 1])
        error = tf.reduce_mean(tf.abs(x @ kernel + bias - y), axis=1)
        mean, update = v1.metrics.mean(error)
        session.run(v1.local_variables_initializer())
        for at in (0, 4):
            batch = slice(at, at + 4)
            session.run(update, {x: data.x[batch], y: data.y[batch]})
        expected = session.run(mean)

    def function(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.abs(y_pred - y_true), axis=1)

    made = eval(MEAN, {"keras": keras, "function": function})
    model.compile("sgd", "mse", metrics=[made])
    final = FinalOpsCallback({"xent": "xent", "last": "loss:0"})
    model.evaluate(data.x, data.y, 4, verbose=0, callbacks=[final])
    values = final.final_ops_values

    assert values["xent"] == pytest.approx(expected)
    assert values["last"] != pytest.approx(expected)
