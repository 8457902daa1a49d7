# SPDX-License-Identifier: Apache-2.0
"""Hooks that only read see correct values and don't change the training.

The oracles: plain Keras with the same seed, what it shows a callback, and
the steps computed again by hand.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback.testing import RecordingHook
from tests.flavors import keras
from tests.flavors import path_of
from tests.scenarios.by_hand import Values
from tests.scenarios.by_hand import steps_by_hand
from tests.scenarios.data import steps_of_epoch
from tests.scenarios.drawn import SEED
from tests.scenarios.drawn import Scenario
from tests.scenarios.drawn import drawn
from tests.scenarios.drawn import plain_fit
from tests.scenarios.same import bits
from tests.scenarios.same import same_training
from tests.scenarios.training import Outcome
from tests.scenarios.training import Row
from tests.scenarios.training import run
from tests.scenarios.training import run_plain
from tests.scenarios.training import variables_in
from tests.scenarios.watching import Sees
from tests.scenarios.watching import chosen
from tests.scenarios.watching import stock_hooks

pytestmark = pytest.mark.scenarios

SCENARIOS = drawn(75, SEED)


@pytest.mark.parametrize("one", SCENARIOS, ids=str)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept")
def test_scenario(
    one: Scenario, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that hooks saw is correct, and the training is the same."""
    monkeypatch.chdir(tmp_path)
    plain = run_plain(one)
    asked = Asked(one, plain)
    hooked = run(one, asked.callbacks, prepare=asked.prepare)

    found = same_training(one, plain, hooked) + asked.lies()

    assert not found, "\n".join(found)


def test_what_is_not_so_is_noticed() -> None:
    """A wrong loss, slot or value at the end is reported."""
    one = plain_fit("functional", "adam", seen="all", written="tensors")
    plain = run_plain(one)
    asked = Asked(one, plain)
    run(one, asked.callbacks, prepare=asked.prepare)
    assert asked.lies() == []

    expected = asked.expected["train"]
    expected[0]["loss"] = expected[0]["loss"] + 1
    expected[-1]["mae"] += 1
    slots = plain.rows[1].slots
    path = next(path for path in slots if "kernel" in path)
    slots[path] = slots[path] + 1
    told = "\n".join(asked.lies())
    run_plain.cache_clear()

    assert "train 0 loss" in told
    assert "train 7 mae" in told
    assert "end of train mae" in told
    assert f"1: variable {path}" in told


@pytest.mark.parametrize("activation", ["swish", "gelu", "softplus", "mish"])
def test_what_leaves_the_step_costs_the_last_bit_at_most(
    activation: str,
) -> None:
    """TensorFlow may compute in another order what it can't fuse then."""

    def train(*callbacks: Any) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        layers = [
            keras.Input((3,)),
            keras.layers.Dense(5, activation, name="hidden"),
            keras.layers.Dense(1),
        ]
        model = keras.Sequential(layers)
        model.compile("sgd", "mse", jit_compile=False)
        x = np.random.default_rng(0).normal(size=(14, 3)).astype("f")
        model.fit(x, x[:, :1], 4, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    hook = train(SessionRunHookCallback(RecordingHook("hidden:0")))

    for value, other in zip(hook, train(), strict=True):
        np.testing.assert_array_max_ulp(value, other, maxulp=4)


class Asked:
    """The fetches of hooks in a scenario, and the values they have to see."""

    def __init__(self, one: Scenario, plain: Outcome) -> None:
        self._one, self._plain = one, plain
        self._sees = Sees(one)
        self.expected: dict[str, list[Values]] = {}
        self._phases: list[str] = []
        if one.seen == "nothing":
            return
        steps = plain if one.steps == 1 else run_plain(one, 1)
        for phase in {row.phase for row in plain.rows}:
            if phase == self._seen_phase(phase):
                self.expected[phase] = self._of_phase(steps.rows, phase)

    def _seen_phase(self, phase: str) -> str:
        """Returns the phase that hooks see, of a call of Keras."""
        return "test" if self._one.plan == "seen validation" else phase

    def _of_phase(self, rows: list[Row], phase: str) -> list[Values]:
        one = self._one
        rows = [row for row in rows if row.phase == phase]
        values = steps_by_hand(one, rows, phase)
        if one.steps > 1:
            values = [
                in_one_execution(part, phase)
                for part in executions(values, steps_of_epoch(one), one.steps)
            ]
        # What is not of one step, plain Keras shows at each execution.
        rows = [row for row in self._plain.rows if row.phase == phase]
        for row, found in zip(rows, values, strict=True):
            if phase != "predict":
                found |= {n: v for n, v in row.logs.items() if n != "loss"}
                if "loss" in row.logs:
                    found["logs/loss"] = row.logs["loss"]
            if phase == "train":
                found["learning_rate"] = row.rate
            found["global_step"] = np.int64(row.step)
        return values

    def callbacks(self, model: Any) -> list[Any]:
        """Makes the callbacks of the scenario."""
        one, declared = self._one, {}
        for values in self.expected.values():
            for found in values:
                declared |= {
                    name: tf.TensorSpec(None, np.asarray(value).dtype)
                    for name, value in found.items()
                    if self._has_to_be_declared(name)
                }
        on = "test" if one.plan == "seen validation" else None
        made: list[Any] = []
        if one.seen != "nothing":
            made.append(
                SessionRunHookCallback(self._sees, on=on, step_tensors=declared)
            )
        stock = stock_hooks(one)
        if stock is not None or not made:
            made.append(SessionRunHookCallback(stock or (list), on=on))
        if "two callbacks" in one.other:
            made.append(SessionRunHookCallback(Sees(one), on=on))
        if "final ops callback" in one.other:
            made.append(FinalOpsCallback({"step": model.optimizer.iterations}))
        return made

    def _has_to_be_declared(self, name: str) -> bool:
        if name.partition("/")[0] in ("labels", "sample_weight"):
            return True
        if name.partition("/")[0] in ("global_step", "learning_rate", "loss"):
            return False
        return self._one.has("opaque") and "gradients" not in name

    def prepare(self, phase: str) -> None:
        """Tells the hook what to fetch in the next call."""
        phase = self._seen_phase(phase)
        self._phases.append(phase)
        values = self.expected.get(phase) or [{}]
        names = set(values[-1])
        self._sees.names = chosen(self._one, names)
        self._sees.at_end = []
        if self._one.written == "tensors":
            # The rate and the step have moved on by then.
            moved = ("global_step", "learning_rate")
            self._sees.at_end = [n for n in self._sees.names if n not in moved]
        if self._one.has("several") and self._one.data == "unknown length":
            # Keras 3 counts the step without data in the loss of an output:
            # what it returns itself is too low.
            self._sees.at_end = []

    def lies(self) -> list[str]:
        """Lists the wrong values that the hook saw."""
        found: list[str] = []
        if self._one.plan == "seen validation":
            self._phases = ["test"] * len(self._sees.seen)
        at, ends = dict.fromkeys(self._phases, 0), iter(self._sees.ends)
        for phase, seen in zip(self._phases, self._sees.seen, strict=False):
            expected = self.expected.get(phase, [])
            for number, results in seen.items():
                values = expected[at[phase] + number]
                where = f"{phase} {number}"
                found += differences(self._one, values, results, where)
            rows = [r for r in self._plain.rows if r.phase == phase]
            found += self._lies_about_variables(rows[at[phase] :], seen)
            if expected:
                at[phase] += self._steps_of_call(phase)
                last, end = expected[at[phase] - 1], next(ends)
                found += differences(self._one, last, end, f"end of {phase}")
        return found

    def _steps_of_call(self, phase: str) -> int:
        total = len(self.expected[phase])
        return total // self._phases.count(phase)

    def _lies_about_variables(
        self, rows: list[Row], seen: dict[int, dict[str, Any]]
    ) -> list[str]:
        paths = [path_of(v) for v in variables_in(self._plain.model)]
        found = []
        for number, results in seen.items():
            for path, value in rows[number].slots.items():
                name = f"variable {path}"
                if name in results and bits(value) != bits(results[name]):
                    found.append(f"{number}: {name}")
            for before, state in (
                ("", rows[number].state),
                ("after ", rows[number].after),
            ):
                for path, value in zip(paths, state, strict=False):
                    name = f"{before}variable {path}"
                    if name not in results:
                        found.append(f"{number}: no {name}")
                    elif value.tobytes() != results[name].tobytes():
                        found.append(f"{number}: {name}")
        return found


def executions(
    values: list[Values], epoch: int, steps: int
) -> Iterator[list[Values]]:
    """Yields the steps of each execution: an epoch begins a new one."""
    for begin in range(0, len(values), epoch):
        part = values[begin : begin + epoch]
        for index in range(0, len(part), steps):
            yield part[index : index + steps]


def in_one_execution(steps: list[Values], phase: str) -> Values:
    """Returns the values of an execution of several steps, as documented."""
    if phase != "predict":
        return dict(steps[-1])
    return {
        name: np.concatenate([step[name] for step in steps])
        for name in steps[-1]
        if all(name in step for step in steps)  # not of an unbuilt model
    }


def differences(
    one: Scenario, expected: Values, actual: dict[str, Any], where: str
) -> list[str]:
    """Lists the differences in the names that both have."""
    tolerance = 1e-4
    if any(trait.startswith("mixed") for trait in one.kind.traits):
        tolerance = 3e-2
    if one.has("slow"):
        tolerance = 1e-2
    found = []
    for name in sorted(expected.keys() & actual.keys()):
        one_value, other = np.asarray(expected[name]), np.asarray(actual[name])
        is_log = isinstance(expected[name], float)  # a number of Python
        # A loss in half precision is delivered in full.
        is_wider = name == "loss" and one_value.dtype.itemsize == 2
        if one_value.shape != other.shape:
            found.append(f"{where} {name}: {one_value.shape} {other.shape}")
        elif one_value.dtype.kind in "OS":
            if one_value.tolist() != other.tolist():
                found.append(f"{where} {name}")
        elif one_value.dtype != other.dtype and not (is_log or is_wider):
            found.append(f"{where} {name}: {one_value.dtype} {other.dtype}")
        else:
            first = one_value.astype("float64")
            scale = np.abs(first).max() if first.size else 1.0
            if not np.allclose(
                first,
                other.astype("float64"),
                tolerance,
                tolerance * scale + 1e-6,
                equal_nan=True,
            ):
                found.append(
                    f"{where} {name}: {first.flat[:3]} {other.flat[:3]}"
                )
    return found
