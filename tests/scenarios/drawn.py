# SPDX-License-Identifier: Apache-2.0
"""Scenarios, drawn by seed: each value of each feature comes up in turn."""

import dataclasses
import os
import random
from collections.abc import Iterator
from typing import Any

from tests.scenarios import zoo_more  # noqa: F401  # it registers kinds
from tests.scenarios import zoo_preprocessing  # noqa: F401  # so does it
from tests.scenarios.steppers import STEPPERS
from tests.scenarios.zoo import ZOO
from tests.scenarios.zoo import Kind

# Another one draws others.
SEED = int(os.environ.get("SCENARIOS_SEED", "12"))

FEATURES: dict[str, tuple[Any, ...]] = {
    "plan": (
        "fit",
        "fit with validation",
        "two fits",
        "fit then evaluate",
        "fit then predict",
        "evaluate",
        "predict",
        "seen validation",
        "resumed",
    ),
    "data": (
        "arrays",
        "data set",
        "unknown length",
        "sequence",
        "generator",
        "steps per epoch",
        "shuffled",
    ),
    "weights": ("no", "no", "sample", "class"),
    "steps": (1, 1, 1, 2, 3),
    "compiled": ("graph", "graph", "graph", "eager", "graph", "xla"),
    "seen": ("all", "some", "all", "nothing"),
    "every": (1, 2, 1, 3),
    "first": (0, 0, 2),
    "written": ("strings", "tensors"),
    "other": (
        (),
        ("stop far away", "log"),
        ("nan",),
        ("draws",),
        ("count", "feed"),
        ("save", "summary"),
        ("final ops",),
        ("stop far away",),
        ("profile",),
        ("final ops callback", "log at end"),
        ("two callbacks",),
    ),
    "companion": (
        "none",
        "early stopping",
        "none",
        "schedule",
        "plateau",
        "keras checkpoint",
        "lambda",
    ),
}


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One value of each feature; `FEATURES` and the tables list the values."""

    model: str
    optimizer: str
    plan: str
    data: str
    weights: str
    steps: int
    compiled: str
    seen: str
    every: int
    first: int
    written: str
    other: tuple[str, ...]
    companion: str

    def __str__(self) -> str:
        values = dataclasses.asdict(self).items()
        dull = ("no", "none", 1, 0, "graph", "arrays", "strings", "all", ())
        return "-".join(
            "+".join(v)
            if isinstance(v, tuple)
            else f"{k} {v}"
            if isinstance(v, int)
            else v
            for k, v in values
            if v not in dull
        )

    @property
    def kind(self) -> Kind:
        """The kind of the model."""
        return ZOO[self.model]

    def has(self, trait: str) -> bool:
        """Returns whether the model has a trait."""
        return trait in self.kind.traits


def fitting(one: Scenario) -> Scenario:
    """Replaces the values that can't be combined."""
    changes: dict[str, Any] = {}
    traits = one.kind.traits
    of_arrays = one.data in ("arrays", "shuffled", "sequence", "generator")
    if of_arrays and "data set" in traits:
        changes["data"] = "data set"
    if one.weights == "class" and one.model != "classifier":
        changes["weights"] = "sample"
    if one.model in ("bidirectional", "autoencoder"):
        changes["weights"] = "no"
    if traits & {"several", "own step", "adversaries"}:
        changes["weights"] = "no"
    if one.compiled == "xla" and traits & {"no xla", "random", "several"}:
        changes["compiled"] = "graph"
    if "slow" in traits:
        changes |= {"steps": 1, "compiled": "graph"}
        changes["plan"] = "predict" if one.plan == "predict" else "fit"
    if "adversaries" in traits:
        changes |= {"optimizer": "sgd", "steps": 1}
        if one.plan in ("evaluate", "fit then evaluate", "seen validation"):
            changes["plan"] = "two fits"
        if one.plan == "fit with validation":
            changes["plan"] = "fit"
    if one.optimizer == "muon" and "slow" in traits:
        changes["optimizer"] = "lamb"
    if one.data in ("generator", "steps per epoch") and one.steps > 1:
        # Of data that don't end, Keras 3 takes the whole of each execution.
        changes["data"] = "data set"
    if one.data == "unknown length" and one.steps > 1:
        # Keras 3 warns of it, or stops in the middle of an execution.
        changes["steps"] = 1
    return dataclasses.replace(one, **changes)


def _in_turn(values: tuple[Any, ...], generator: Any) -> Iterator[Any]:
    while True:
        yield from generator.sample(values, len(values))


def drawn(count: int, seed: int) -> list[Scenario]:
    """Draws scenarios; those of one seed are the same on each machine."""
    generator = random.Random(seed)
    quick = tuple(name for name in ZOO if "slow" not in ZOO[name].traits)
    turns = {
        "model": _in_turn(quick, generator),
        "optimizer": _in_turn(tuple(STEPPERS), generator),
    }
    for name, values in FEATURES.items():
        turns[name] = _in_turn(values, generator)
    scenarios: dict[Scenario, None] = {}
    slow = [name for name in ZOO if name not in quick]
    while len(scenarios) < count:
        one = Scenario(**{name: next(turn) for name, turn in turns.items()})
        if len(scenarios) % 75 == 40 and slow:
            one = dataclasses.replace(one, model=slow.pop())
        scenarios[fitting(one)] = None
    return list(scenarios)


def plain_fit(model: str, optimizer: str, **more: Any) -> Scenario:
    """Returns a scenario with plain values where none are given."""
    dull: dict[str, Any] = {
        "plan": "fit",
        "data": "arrays",
        "weights": "no",
        "steps": 1,
        "compiled": "graph",
        "seen": "nothing",
        "every": 1,
        "first": 0,
        "written": "strings",
        "other": (),
        "companion": "none",
    }
    return fitting(Scenario(model, optimizer, **{**dull, **more}))
