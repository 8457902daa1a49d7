# SPDX-License-Identifier: Apache-2.0
"""The kind of leaf that is a name: of a log, a metric or a step tensor."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np

from final_ops_callback._final_ops.host_values import to_host
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.leaf_kind import EvaluationContext
from final_ops_callback._final_ops.leaf_kind import Leaf
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import on_host
from final_ops_callback._final_ops.training_metrics import is_as_new
from final_ops_callback._keras import compat
from final_ops_callback._keras import log_names
from final_ops_callback._names import did_you_mean
from final_ops_callback.errors import LeafError

logger = logging.getLogger("final_ops_callback")

_LOGS = "logs/"
_NEVER_UPDATED = (
    "%s: no step of this run seems to have updated the metric %r of the "
    "model: all of its variables are zero. If a step of your own should, let "
    "it call update_state."
)
_KEPT = (
    "The values of the other leaves are in final_ops_values, with None in "
    "the place of this one."
)


class Name(LeafKind):
    """A string that names a log, a metric of the model, or a step tensor.

    They are tried in this order. A name refers to the run that has ended.
    Predict neither logs nor updates metrics, so there the name of a metric is
    an error: the metric still holds the result of an earlier run. (The metric
    object as a leaf gives that result.)
    """

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and not isinstance(value, np.generic)

    def check(self, leaf: Leaf, model: Any, run: LastStep) -> None:
        """Checks a name when a Keras run begins, before its first step.

        Args:
            leaf: The leaf, whose value is the name.
            model: The Keras model.
            run: What the steps of the run deliver.

        Raises:
            LeafError: Nothing in this run can have such a name.
        """
        name = leaf.value
        if not run.is_known or run.delivers(name):
            return
        metrics = _metrics(model)
        if run.mode != "predict":
            if not log_names.may_log(model, run.mode, _log_of(name)):
                known = log_names.known_logs(model, run.mode) or ()
                raise _unknown(
                    leaf,
                    {"logs": known, "step tensors": run.known},
                    "What another callback adds to the logs of an epoch, a "
                    "function finds in the history: "
                    f"lambda model: model.history.history[{name!r}][-1].",
                )
        elif name not in metrics:
            raise _unknown(leaf, {"step tensors": run.known})
        elif log_names.is_never_predicted(model, metrics[name]):
            raise _left_over(leaf, run)

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        name = leaf.value
        if _log_of(name) in context.logs:
            return context.logs[_log_of(name)]
        run, metrics = context.last_step, _metrics(context.model)
        is_left_over = False
        if name in metrics:
            metric = metrics[name]
            is_left_over = run is not None and not run.may_have_updated(metric)
            if not is_left_over:
                if is_as_new(metric):
                    logger.warning(_NEVER_UPDATED, leaf.where(), name)
                return on_host(metric.result(), leaf)
        found = None if run is None else run.value(name, leaf.where)
        if found is not None:
            return to_host(found)
        if run is not None and is_left_over:
            raise _left_over(leaf, run, _KEPT)
        if name.startswith("val_") and name[4:] in context.logs:
            raise LeafError(
                f"the last epoch of this fit has logged no {name!r}",
                leaf.where(),
                "Let it validate (validation_data, validation_split, and a "
                "validation_freq that divides the number of epochs), or leave "
                f"the name out. {_KEPT}",
            )
        there = {
            "logs": context.logs,
            "metrics": metrics,
            "step tensors": () if run is None else run.known,
        }
        raise _unknown(leaf, there, _KEPT)


def _metrics(model: Any) -> dict[str, Any]:
    return {metric.name: metric for metric in compat.metrics_of(model)}


def _log_of(name: str) -> str:
    """Returns the name of a log, without the prefix and suffix of hooks."""
    if not name.startswith(_LOGS):
        return name
    return name.removeprefix(_LOGS).removesuffix(":0")


def _unknown(
    leaf: Leaf, there: Mapping[str, Iterable[str]], more: str = ""
) -> LeafError:
    name = leaf.value
    meant = did_you_mean(name, [n for names in there.values() for n in names])
    lists = [f"the {kind} {sorted(names)}" for kind, names in there.items()]
    *first, last = lists
    listed = f"{', '.join(first)} and {last}" if first else last
    return LeafError(
        f"nothing here is called {name!r}",
        leaf.where(),
        f"{meant}There are {listed}. {more}".rstrip(),
    )


def _left_over(leaf: Leaf, run: LastStep, more: str = "") -> LeafError:
    return LeafError(
        "predict logs nothing and updates no metric: what "
        f"{leaf.value!r} holds is left over from an earlier run",
        leaf.where(),
        "Leave predict out: on=('train', 'test'). There are the step tensors "
        f"{sorted(run.known)}; a metric object keeps its result. "
        f"{more}".rstrip(),
    )
