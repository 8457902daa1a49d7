# SPDX-License-Identifier: Apache-2.0
"""Counts the functions and modules that a value goes through.

    python -m tests.roads

prints, for `loss:0` in the first and in a steady step of a hook, and for a
variable leaf of FinalOpsCallback: the functions of the package that run, the
modules that they are in, and how often control passes from one module to
another.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from typing import NamedTuple

import tensorflow as tf

import final_ops_callback
from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests import models

v1 = tf.compat.v1
_ROOT = Path(final_ops_callback.__file__).parent


class Road(NamedTuple):
    """The functions and modules that ran between two moments.

    Attributes:
        functions: The functions, each once.
        modules: The modules that they are in.
        changes: How often one module called into another or returned to it.
        way: The modules in their order.
    """

    functions: set[str]
    modules: set[str]
    changes: int
    way: list[str]


class Recorder:
    """Notes which functions of the package run, from `start` to `stop`."""

    def __init__(self) -> None:
        self._way: list[str] = []
        self._functions: set[str] = set()

    def start(self) -> None:
        """Begins a new road."""
        self._way, self._functions = [], set()
        sys.setprofile(self._note)

    def stop(self) -> Road:
        """Returns the road since `start`."""
        sys.setprofile(None)
        way = [
            module
            for index, module in enumerate(self._way)
            if index == 0 or module != self._way[index - 1]
        ]
        return Road(self._functions, set(way), max(len(way) - 1, 0), way)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not path.is_relative_to(_ROOT):
            return
        module = path.relative_to(_ROOT).with_suffix("").as_posix()
        # A function that has returned leads back to who has called it.
        if event == "return":
            module = self._caller(frame) or module
        else:
            self._functions.add(f"{module}:{frame.f_code.co_qualname}")
        self._way.append(module)

    @staticmethod
    def _caller(frame: FrameType) -> str:
        back = frame.f_back
        while back is not None:
            path = Path(back.f_code.co_filename)
            if path.is_relative_to(_ROOT):
                return path.relative_to(_ROOT).with_suffix("").as_posix()
            back = back.f_back
        return ""


def roads_of_the_loss() -> list[Road]:
    """Returns the roads of `loss:0` in each step, before_run to after_run."""
    recorder, found = Recorder(), []

    class Loss(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            recorder.start()
            return v1.train.SessionRunArgs("loss:0")

        def after_run(self, run_context: Any, run_values: Any) -> None:
            found.append(recorder.stop())

    model = models.tiny_model()
    data = models.tiny_data()
    model.fit(
        data.x,
        data.y,
        batch_size=2,
        verbose=0,
        callbacks=[SessionRunHookCallback(Loss())],
    )
    return found


def road_of_a_leaf() -> Road:
    """Returns the road of a variable leaf at the end of evaluate."""
    recorder, found = Recorder(), []
    leaf = tf.Variable(1.0)

    class Recorded(FinalOpsCallback):
        def on_test_end(self, logs: Any = None) -> None:
            recorder.start()
            try:
                super().on_test_end(logs)
            finally:
                found.append(recorder.stop())

    model, data = models.tiny_model(), models.tiny_data()
    model.evaluate(
        data.x, data.y, verbose=0, callbacks=[Recorded(leaf, on="test")]
    )
    return found[0]


def _print(title: str, road: Road, tell: Callable[[str], None]) -> None:
    tell(
        f"{title}: {len(road.functions)} functions in {len(road.modules)} "
        f"modules, {road.changes} changes of module"
    )
    for module in sorted(road.modules):
        tell(f"    {module}")


def main() -> None:
    """Prints the roads."""
    first, *_, steady = roads_of_the_loss()
    _print("loss:0 in the first step", first, print)
    _print("loss:0 in a steady step", steady, print)
    _print("a variable as a leaf", road_of_a_leaf(), print)


if __name__ == "__main__":
    main()
