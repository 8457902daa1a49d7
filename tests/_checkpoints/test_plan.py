# SPDX-License-Identifier: Apache-2.0
"""What a plan takes for a weight, and what it leaves alone."""

from pathlib import Path
from typing import Any

import numpy as np

from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.plan import Plan
from final_ops_callback._checkpoints.reader import open_checkpoint
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import model_of
from tests._checkpoints.training import snapshot
from tests._checkpoints.training import write_v1


def plan_of(folder: Path, values: dict[str, Any], model: Any) -> Plan:
    """Returns the plan of a restore from a checkpoint of some values."""
    prefix = write_v1(folder / "m", values)
    state = ModelState(model, True, None)
    return Plan(state, open_checkpoint(prefix), NameMap(), "")


def test_a_plan_changes_nothing(tmp_path: Path) -> None:
    """Only `write` changes the model, which is not even built before."""
    model = model_of(OPTIMIZERS.SGD(0.1))
    before = snapshot(model)
    plan = plan_of(tmp_path, WEIGHTS, model)
    values = plan.read()
    plan.report()

    for one, other in zip(before, snapshot(model), strict=True):
        np.testing.assert_array_equal(one, other)
    plan.write(values)
    for one, value in zip(model.get_weights(), WEIGHTS.values(), strict=True):
        np.testing.assert_array_equal(one, value)


def test_a_weight_below_another_name(tmp_path: Path) -> None:
    """A weight is found although its name looks like that of a slot."""
    others = {"hidden": np.float32(1), "out/kernel/Adam": np.zeros((5, 1), "f")}
    model = model_of(OPTIMIZERS.SGD(0.1))
    report = plan_of(tmp_path, WEIGHTS | others, model).report()

    assert report.restored == {name: name for name in WEIGHTS}
    assert set(report.unused) == set(others)
    assert "slots of Adam" in report.notes[0]


def test_slots_are_no_weights(tmp_path: Path) -> None:
    """Slots and averages don't stand in the way of what shapes decide."""
    named = dict(zip("WbVc", WEIGHTS.values(), strict=True))
    slots = {
        f"{name}/{slot}": np.zeros_like(value)
        for name, value in named.items()
        for slot in ("Slot", "Slot_1", "ExponentialMovingAverage")
    }
    model = model_of(OPTIMIZERS.SGD(0.1))
    report = plan_of(tmp_path, named | slots, model).report()

    assert list(report.restored.values()) == list("WbVc")
