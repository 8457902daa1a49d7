# SPDX-License-Identifier: Apache-2.0
"""The hooks of the scenarios: one that sees everything, and stock ones."""

import random
import tempfile
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tests.scenarios.drawn import Scenario

v1 = tf.compat.v1
train = v1.train


class Sees(train.SessionRunHook):
    """Fetches names and variables in some steps, and keeps what it got.

    Args:
        one: The scenario: which steps, and how names are written.

    Attributes:
        names: What it fetches in the next call.
        seen: For each call of Keras, a dict from the number of a step to a
            dict of what was fetched in it, and one of what the session gave
            after it.
        ends: For each call of Keras, what the session gave at the end.
    """

    def __init__(self, one: Scenario) -> None:
        self._one = one
        self.names: list[str] = []
        self.at_end: list[str] = []
        self.seen: list[dict[int, dict[str, Any]]] = []
        self.ends: list[dict[str, Any]] = []

    def begin(self) -> None:
        graph = v1.get_default_graph()
        self._step = 0
        self._fetches: dict[str, Any] = {n: f"{n}:0" for n in self.names}
        if self._one.written == "tensors":
            self._fetches = {
                name: graph.get_tensor_by_name(fetch)
                for name, fetch in self._fetches.items()
            }
        self._variables = {
            f"variable {variable.op.name}": variable
            for variable in v1.global_variables()
        }
        self._at_end = {
            n: graph.get_tensor_by_name(f"{n}:0") for n in self.at_end
        }
        self.seen.append({})

    def before_run(self, run_context: Any) -> Any:
        self._step += 1
        number = self._step - 1
        self._asks = number >= self._one.first and (
            (number - self._one.first) % self._one.every == 0
        )
        if not self._asks:
            return None
        return train.SessionRunArgs({**self._fetches, **self._variables})

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._asks:
            after = run_context.session.run(self._variables)
            results = dict(run_values.results)
            results |= {f"after {name}": v for name, v in after.items()}
            self.seen[-1][self._step - 1] = results

    def end(self, session: Any) -> None:
        self.ends.append(session.run({**self._at_end, **self._variables}))


class Draws(train.SessionRunHook):
    """Has a variable and random operations of its own."""

    def begin(self) -> None:
        total = v1.get_variable("draws/total", initializer=0.0)
        self._op = total.assign_add(v1.random_uniform([]))

    def before_run(self, run_context: Any) -> Any:
        return train.SessionRunArgs(self._op)


def _feeds() -> Any:
    number = v1.placeholder(tf.float32, [], name="feeds/number")
    double = tf.multiply(number, 2.0, name="feeds/double")
    return [
        train.FeedFnHook(lambda: {number: 21.0}),
        train.LoggingTensorHook([double], every_n_iter=2),
    ]


def _summary() -> Any:
    norm = tf.linalg.global_norm(v1.trainable_variables())
    op = v1.summary.scalar("norm", norm)
    return [train.SummarySaverHook(3, output_dir="summaries", summary_op=op)]


def _final_ops() -> Any:
    norm = tf.linalg.global_norm(v1.trainable_variables())
    return [train.FinalOpsHook({"norm": norm})]


def _count() -> Any:
    return [train.StepCounterHook(2, output_dir="counts")]


def _profile() -> Any:
    # A tag can't come twice in one folder.
    folder = tempfile.mkdtemp(dir=".")
    return [train.ProfilerHook(save_steps=3, output_dir=folder)]


def _save() -> Any:
    return [train.CheckpointSaverHook("checkpoints", save_steps=3)]


def _log(names: Iterable[str]) -> Callable[[], Any]:
    return lambda: [train.LoggingTensorHook(list(names), every_n_iter=3)]


STOCK: dict[str, Callable[[], Any]] = {
    "stop far away": lambda: [train.StopAtStepHook(last_step=1000)],
    "log": _log(["global_step:0"]),
    "log at end": lambda: [
        train.LoggingTensorHook(["global_step:0"], at_end=True)
    ],
    "nan": lambda: [train.NanTensorHook("loss:0")],
    "draws": lambda: [Draws()],
    "count": _count,
    "feed": _feeds,
    "save": _save,
    "summary": _summary,
    "final ops": _final_ops,
    "profile": _profile,
}


def stock_hooks(one: Scenario) -> Callable[[], list[Any]] | None:
    """Returns a function that makes the stock hooks of a scenario, if any."""
    names = [name for name in one.other if name in STOCK]
    if one.has("adversaries") or one.plan == "predict":
        names = [name for name in names if name != "nan"]
    if "then predict" in one.plan:
        names = [name for name in names if name != "nan"]
    if not names:
        return None
    return lambda: [hook for name in names for hook in STOCK[name]()]


def chosen(one: Scenario, names: Iterable[str]) -> list[str]:
    """Returns those of the names that a scenario asks for."""
    # A gradient that leaves the step may differ in its last bit, and a large
    # model that is not trained makes much of it.
    is_large = one.has("slow")
    listed = sorted(n for n in names if not (is_large and "gradients" in n))
    if one.seen == "some":
        return random.Random(str(one)).sample(listed, (len(listed) + 2) // 3)
    return listed if one.seen == "all" else []
