# SPDX-License-Identifier: Apache-2.0
"""A leaf that is a name: a log, a metric of the model, or a step tensor."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import numpy as np

from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import Moment
from final_ops_callback._final_ops.leaf_kind import Where
from final_ops_callback._final_ops.leaf_kind import on_host
from final_ops_callback._final_ops.to_host import to_host
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
    """A string: a log, else a metric of the model, else a step tensor.

    It means something of the run that has ended. Predict logs nothing and
    updates no metric: there, what a metric holds is left over from an earlier
    run, and its name means nothing (the metric object keeps its result).
    """

    def accepts(self, leaf: Any) -> bool:
        return isinstance(leaf, str) and not isinstance(leaf, np.generic)

    def check(self, leaf: str, model: Any, run: LastStep, where: Where) -> None:
        """Checks a name when a run of Keras begins, before its first step.

        Args:
            leaf: The name.
            model: The Keras model.
            run: What the steps of the run deliver.
            where: Function that writes the path of the leaf.

        Raises:
            LeafError: Nothing of this run can be called so.
        """
        if not run.is_known or run.delivers(leaf):
            return
        metrics = _metrics(model)
        if run.mode != "predict":
            if not log_names.may_log(model, run.mode, _log_of(leaf)):
                known = log_names.known_logs(model, run.mode) or ()
                raise _unknown(
                    leaf,
                    where,
                    {"logs": known, "step tensors": run.known},
                    "What another callback adds to the logs of an epoch, a "
                    "function finds in the history: "
                    f"lambda model: model.history.history[{leaf!r}][-1].",
                )
        elif leaf not in metrics:
            raise _unknown(leaf, where, {"step tensors": run.known})
        elif log_names.is_never_predicted(model, metrics[leaf]):
            raise _left_over(leaf, where, run)

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        if _log_of(leaf) in moment.logs:
            return moment.logs[_log_of(leaf)]
        run, metrics = moment.last_step, _metrics(moment.model)
        is_left_over = False
        if leaf in metrics:
            metric = metrics[leaf]
            is_left_over = run is not None and not run.may_have_updated(metric)
            if not is_left_over:
                if is_as_new(metric):
                    logger.warning(_NEVER_UPDATED, where(), leaf)
                return on_host(metric.result(), where)
        found = run.value(leaf, where) if run is not None else None
        if found is not None:
            return to_host(found)
        if run is not None and is_left_over:
            raise _left_over(leaf, where, run, _KEPT)
        if leaf.startswith("val_") and leaf[4:] in moment.logs:
            raise LeafError(
                f"the last epoch of this fit has logged no {leaf!r}",
                where(),
                "Let it validate (validation_data, validation_split, and a "
                "validation_freq that divides the number of epochs), or leave "
                f"the name out. {_KEPT}",
            )
        there = {
            "logs": moment.logs,
            "metrics": metrics,
            "step tensors": () if run is None else run.known,
        }
        raise _unknown(leaf, where, there, _KEPT)


def _metrics(model: Any) -> dict[str, Any]:
    return {metric.name: metric for metric in compat.metrics_of(model)}


def _log_of(leaf: str) -> str:
    """Returns the name of a log, without what hooks write around it."""
    if not leaf.startswith(_LOGS):
        return leaf
    return leaf.removeprefix(_LOGS).removesuffix(":0")


def _unknown(
    leaf: str, where: Where, there: Mapping[str, Iterable[str]], more: str = ""
) -> LeafError:
    meant = did_you_mean(leaf, [n for names in there.values() for n in names])
    lists = [f"the {kind} {sorted(names)}" for kind, names in there.items()]
    *first, last = lists
    listed = f"{', '.join(first)} and {last}" if first else last
    return LeafError(
        f"nothing here is called {leaf!r}",
        where(),
        f"{meant}There are {listed}. {more}".rstrip(),
    )


def _left_over(
    leaf: str, where: Where, run: LastStep, more: str = ""
) -> LeafError:
    return LeafError(
        f"predict logs nothing and updates no metric: what {leaf!r} holds is "
        "left over from an earlier run",
        where(),
        "Leave predict out: on=('train', 'test'). There are the step tensors "
        f"{sorted(run.known)}; a metric object keeps its result. "
        f"{more}".rstrip(),
    )
