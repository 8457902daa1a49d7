# SPDX-License-Identifier: Apache-2.0
"""Says where a tensor of v1 comes from: a streaming metric, or the loss.

`loss:0` of a hook is the loss that Keras minimizes, of the last batch. Only
that very tensor of v1 has the same value; a mean over all batches, or a part
of the loss, is a metric of the model.
"""

from __future__ import annotations

import re
from typing import Any
from typing import NamedTuple

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import words

_MINIMIZERS = words(
    "minimize compute_gradients create_train_op optimize_loss EstimatorSpec"
)
_MEAN = re.compile(r"(mean|avg|average|running)_?(loss|cost)", re.IGNORECASE)
_PART = re.compile(r"xent|cross_entropy|mean|avg|aver|reg|aux|l2", re.I)
_UNKNOWN = "NAME"
# What the streaming metrics of v1 are in Keras.
_METRICS = {
    "accuracy": "SparseCategoricalAccuracy",
    "auc": "AUC",
    "precision": "Precision",
    "recall": "Recall",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_squared_error": "MeanSquaredError",
    "root_mean_squared_error": "RootMeanSquaredError",
}


class Leaf(NamedTuple):
    """What Keras has instead of a tensor of v1.

    Args:
        name: String. Its name: that of a log or of a tensor; or `""`.
        metric: String. The code of the metric that has to be compiled under
            this name; or `""`.
    """

    name: str
    metric: str = ""


def leaf_of(context: Context, facts: Facts, scope: Scope, node: Any) -> Leaf:
    """Returns what Keras has instead of a tensor that a final op gets.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        scope: The scope in which the tensor stands.
        node: Its node: an expression, or the string of a name.
    """
    stream = streaming(context, scope, node)
    if stream is not None:
        return _of_stream(context, facts, scope, node, stream)
    code = node.get_code().strip()
    name = graph_names.guess(code)
    if name != "loss:0" or is_loss(facts, scope, node):
        return Leaf(name)
    if _MEAN.search(code) and not minimized(facts):
        return Leaf("loss")
    return _metric(_own_name(node))


def streaming(context: Context, scope: Scope, node: Any) -> Call | None:
    """Returns the call of `tf.metrics` that makes a tensor, or `None`."""
    whole = node
    if node.type in ("atom_expr", "power") and len(node.children) == 2:
        trailer = node.children[1]
        is_item = getattr(trailer.children[0], "value", "") == "["
        whole = node.children[0] if is_item else node
    for value in (node, *values_of(scope, whole)):
        for call in calls_of(value):
            path = chain(call.callee)
            found = path and context.resolver.external(scope, path)
            if not found or found[0] not in ("tensorflow", "tf_slim"):
                continue
            if "metrics" in found[:-1] and "keras" not in found:
                return call
    return None


def _of_stream(
    context: Context, facts: Facts, scope: Scope, node: Any, call: Call
) -> Leaf:
    kind = last_name(call).removeprefix("streaming_")
    if kind.startswith("aggregate_metric"):
        return _metric(_UNKNOWN)
    if kind != "mean":
        return _metric(kind)
    values = call.argument(0, "values")
    if values is not None and is_loss(facts, scope, values):
        return Leaf("loss")
    name = _UNKNOWN if values is None else _own_name(values)
    return _metric(_own_name(node) if name == _UNKNOWN else name)


def _metric(name: str) -> Leaf:
    kind = _METRICS.get(name)
    if kind is not None:
        return Leaf(name, f'keras.metrics.{kind}(name="{name}")')
    made = f'keras.metrics.MeanMetricWrapper(function, name="{name}")'
    return Leaf(name, made)


def _own_name(node: Any) -> str:
    """Returns the last name of an expression, or of the name of a tensor."""
    text = string(node)
    if text is not None:
        return graph_names.operation(text).rpartition("/")[2]
    path = dotted(node)
    return path[-1].lstrip("_") if path else _UNKNOWN


def minimized(facts: Facts) -> set[str]:
    """Returns the names of what a file minimizes."""
    found = set()
    for fact in facts.calls:
        if last_name(fact.call) not in _MINIMIZERS:
            continue
        is_spec = last_name(fact.call) == "EstimatorSpec"
        values = [
            fact.call.argument(-1, "loss"),
            fact.call.argument(-1 if is_spec else 0, "total_loss"),
        ]
        paths = (dotted(value) for value in values if value is not None)
        found |= {path[-1] for path in paths if path}
    return found


def is_loss(facts: Facts, scope: Scope, node: Any) -> bool:
    """Returns whether a tensor is the loss itself.

    It is what the file minimizes; in a file that minimizes nothing, what is
    called so.
    """
    path = dotted(node)
    names = minimized(facts)
    if path is not None and names:
        values = (dotted(value) for value in values_of(scope, node))
        return path[-1] in names or any(v and v[-1] in names for v in values)
    code = node.get_code().strip()
    if path is None and string(node) is None:
        return code.endswith("get_total_loss()")
    return graph_names.guess(code) == "loss:0" and not _PART.search(code)
