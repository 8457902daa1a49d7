# SPDX-License-Identifier: Apache-2.0
"""Predicts the names under which the steps of a model may log."""

from __future__ import annotations

import re
from typing import Any

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info

# The methods that decide what is logged.
_LOGGING = ("compute_metrics", "get_metrics_result", "call")


def known_logs(model: Any, phase: str) -> set[str] | None:
    """Returns the names under which a step logs, without prefixes.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"` (which logs nothing).

    Returns:
        Set of names, or `None` if they can't be known before a step has run: a
        user-defined step or model may log anything.
    """
    if phase == "predict":
        return set()
    if not getattr(model, "built", False) or not model_info.is_built(model):
        return None
    own = (f"{phase}_step", *_LOGGING)
    if not all(compat.is_stock(model, method) for method in own):
        return None
    names = {metric.name for metric in compat.metrics_of(model)}
    for metric in compat.compiled_metrics_of(model):
        own_names = _names_of(metric)
        if not own_names:
            return None
        names |= own_names
    return names | {"loss"}


def may_log(model: Any, phase: str, name: str) -> bool:
    """Returns whether a phase may log something under a name.

    Keras does not reveal whether fit validates, so `val_loss` always may be
    logged. Logs that other callbacks add at the end of an epoch are not among
    the logs at the end of the phase.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"` or `"test"`.
        name: String. The name of a log.
    """
    known = known_logs(model, phase)
    if known is None:
        return True
    names = {name}
    if phase == "train":
        names.add(name.removeprefix("val_"))
    # Keras appends a number to the second metric of the same name.
    names |= {re.sub(r"_\d+$", "", one) for one in names}
    names |= {one.removeprefix("weighted_") for one in names}
    if names & known:
        return True
    # With several outputs, each has its own log, prefixed with its name.
    several = not hasattr(model_info.symbolic(model, "output"), "shape")
    return several and any(
        one.endswith(f"_{log}") for one in names for log in known
    )


def _names_of(metric: Any) -> set[str]:
    """Returns the names that Keras may give to a metric of `compile`.

    The set is empty for a metric class (given as a class or by its name),
    because its name is not known before the metric is made.
    """
    if isinstance(metric, str):
        return set() if metric != metric.lower() else {metric}
    if isinstance(metric, type):
        return set()
    names = {getattr(metric, "name", None), getattr(metric, "__name__", None)}
    texts = {name for name in names if isinstance(name, str)}
    return texts | {_snake(text.strip("<>")) for text in texts}


def _snake(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_never_predicted(model: Any, metric: Any) -> bool:
    """Returns whether predict certainly never updates a metric of the model.

    A user-defined step may update it, and so may the `call` of a layer.
    """
    if not all(compat.is_stock(model, m) for m in ("predict_step", "call")):
        return False
    layers = model_info.layers_by_path(model).values()
    return not any(metric is one for layer in layers for one in layer.metrics)
