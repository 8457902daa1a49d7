# SPDX-License-Identifier: Apache-2.0
"""Lists the places where a fault may occur, each with a run to disturb."""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.faults import world

v1 = tf.compat.v1

MIDDLE, LAST = world.STEPS // 2, world.STEPS - 1


@dataclasses.dataclass
class Scene:
    """The parts of a run, with or without a fault.

    Attributes:
        flavor: The Keras package.
        phase: `"train"`, `"test"` or `"predict"`.
        fault: The callable that raises.
        folder: An empty folder.
        model: The model.
        data: A data set, or `None`: the usual one.
        hooks: Hooks among the others.
        leaf: One more leaf of the final ops.
        writers: Arguments of FinalOpsCallback.
        before: Callbacks that are listed before ours.
        after: Callbacks that are listed after ours.
        last_step: Whether the final ops hold something of the last step.
        override: Whether `on_final_ops_values` is the fault.
        around: Function that returns the context of the run.
        alone: What does the same without any callback of ours, or `None`:
            the run itself.
        prepare: What has to be done once a run has gone well.
    """

    flavor: str
    phase: str
    fault: world.Fault
    folder: pathlib.Path
    model: Any
    data: Any = None
    hooks: list[Any] = dataclasses.field(default_factory=list)
    leaf: Any = 0
    writers: dict[str, Any] = dataclasses.field(default_factory=dict)
    before: list[Any] = dataclasses.field(default_factory=list)
    after: list[Any] = dataclasses.field(default_factory=list)
    last_step: bool = True
    override: bool = False
    around: Any = contextlib.nullcontext
    alone: Callable[[], Any] | None = None
    prepare: Callable[[], None] = world.nothing

    def ours(self) -> tuple[SessionRunHookCallback, FinalOpsCallback]:
        """Makes the callbacks of this package."""
        fetch = world.FETCHES[self.phase]
        hooks = [world.Watcher(fetch), *self.hooks, world.Watcher(fetch)]
        ops = {"leaf": self.leaf}
        if self.last_step:
            ops["predictions"] = "predictions"
        final = FinalOpsCallback(ops, **self.writers)
        if self.override:
            final.on_final_ops_values = self.fault
        return SessionRunHookCallback(hooks), final

    def run(self, *ours: Any) -> None:
        """Runs the scene, with callbacks of ours or without."""
        world.model_class(self.flavor).inside = staticmethod(world.nothing)
        callbacks = [*self.before, *ours, *self.after]
        try:
            with self.around():
                world.run(self.model, self.phase, callbacks, self.data)
        finally:
            kind = world.model_class(self.flavor)
            kind.inside = staticmethod(world.nothing)


@dataclasses.dataclass(frozen=True)
class Place:
    """A place for a fault.

    Attributes:
        name: String.
        build: Puts the fault into a scene.
        oracle: What says how it ends: `"itself"` (the very exception
            escapes), `"hook"` (the same, but what v1 takes for the end of the
            input ends the run well), `"disk"` (the same, but an error of
            TensorFlow is one of the disk), `"bare"` (as without callbacks of
            ours).
        moments: The moments of the fault.
        values: Whether the final values are there although it failed.
        eager: Whether the model runs eagerly.
        built: Whether the model is built when the run begins.
        phases: The phases that have the place.
        in_step: Whether a step does not run, if what it raises ends the data.
        primed: Whether a run that goes well may come first.
        early: Whether it comes before ours know which phase begins.
        untold: Whether it comes before ours are told that a run begins.
    """

    name: str
    build: Callable[[Scene], None]
    oracle: str = "bare"
    moments: tuple[int, ...] = (0,)
    values: bool = False
    eager: bool = False
    built: bool = True
    phases: tuple[str, ...] = tuple(world.CALLS)
    in_step: bool = False
    primed: bool = True
    early: bool = False
    untold: bool = False


EACH = (0, MIDDLE, LAST)
PLACES: list[Place] = []


def add(name: str, build: Callable[[Scene], None], **more: Any) -> None:
    PLACES.append(Place(name, build, **more))


# Methods of a hook


def hook(method: str, scene: Scene) -> None:
    kind = type("Hook", (v1.train.SessionRunHook,), {})
    faulty = kind()
    setattr(faulty, method, scene.fault)
    scene.hooks.append(faulty)


for built in (True, False):
    state = "" if built else " of an unbuilt model"
    for method in ("begin", "after_create_session", "end"):
        add(
            f"{method}{state}",
            functools.partial(hook, method),
            oracle="itself",
            built=built,
            primed=built,
            early=built and method != "end",
        )
    for method in ("before_run", "after_run"):
        add(
            f"{method}{state}",
            functools.partial(hook, method),
            oracle="hook",
            moments=EACH if built else (0,),
            in_step=method == "before_run",
            built=built,
            primed=built,
        )


# Leaves


def plain_leaf(scene: Scene) -> None:
    scene.leaf = lambda: scene.fault()
    scene.alone = scene.leaf


def traced_leaf(scene: Scene) -> None:
    @tf.function
    def leaf():
        scene.fault()
        return tf.constant(0)

    scene.leaf = scene.alone = leaf


def numpy_function_leaf(scene: Scene) -> None:
    def inside():
        scene.fault()
        return np.int64(0)

    @tf.function
    def leaf():
        return tf.numpy_function(inside, [], tf.int64)

    scene.leaf = scene.alone = leaf


@functools.cache
def metric_of(flavor: str) -> Any:
    """Returns a metric whose result calls `inside`, with one update."""

    class Faulty(world.FLAVORS[flavor].metrics.Mean):
        inside = staticmethod(world.nothing)

        def result(self) -> Any:
            type(self).inside()
            return super().result()

    metric = Faulty(name="faulty")
    metric.update_state(1.0)
    return metric


def metric_leaf(scene: Scene) -> None:
    metric = metric_of(scene.flavor)
    scene.leaf, scene.alone = metric, metric.result
    scene.around = lambda: mock.patch.object(
        type(metric), "inside", staticmethod(scene.fault)
    )


add("callable leaf", plain_leaf)
add("tf.function leaf", traced_leaf, primed=False)
add("numpy_function leaf", numpy_function_leaf)
add("metric leaf", metric_leaf)


# Writers


class Unprintable:
    """A value whose text is a fault.

    Args:
        fault: Called when the text is wanted.
    """

    def __init__(self, fault: world.Fault) -> None:
        self._fault = fault

    def __str__(self) -> str:
        self._fault()
        return "printed"

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def override(scene: Scene) -> None:
    scene.override = True


def value_on_the_console(scene: Scene) -> None:
    scene.writers["verbose"] = 1
    scene.leaf = Unprintable(scene.fault)


def console(scene: Scene) -> None:
    scene.writers["verbose"] = 1
    scene.around = lambda: mock.patch("builtins.print", scene.fault)


def tensorboard(scene: Scene) -> None:
    scene.writers["log_dir"] = scene.folder / "logs"
    scene.around = lambda: mock.patch.object(
        tf.summary.experimental, "write_raw_pb", scene.fault
    )


def file(suffix: str, moment: str, scene: Scene) -> None:
    scene.writers["filepath"] = scene.folder / f"final_ops{suffix}"
    real = getattr(os, moment)

    def then(*args: Any) -> Any:
        scene.fault()
        return real(*args)

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        with mock.patch.object(os, moment, then):
            yield

    scene.around = around


add("on_final_ops_values", override, oracle="itself", values=True)
add("value on the console", value_on_the_console, oracle="itself", values=True)
add("console", console, oracle="itself", values=True)
add("tensorboard", tensorboard, oracle="disk", values=True)
for suffix in (".json", ".npz"):
    for step in ("fsync", "replace"):
        add(
            f"{step} of {suffix}",
            functools.partial(file, suffix, step),
            oracle="disk",
            values=True,
        )


# Another callback


def citizen(moment: str, where: str, scene: Scene) -> None:
    base = world.FLAVORS[scene.flavor].callbacks.Callback
    names = {
        "begin": f"on_{scene.phase}_begin",
        "end": f"on_{scene.phase}_end",
        "batch_begin": f"on_{scene.phase}_batch_begin",
        "batch_end": f"on_{scene.phase}_batch_end",
    }
    name = names.get(moment, f"on_{moment}")
    fault = scene.fault
    method = {name: lambda self, *args, **named: fault(*args)}
    getattr(scene, where).append(type("Citizen", (base,), method)())


MOMENTS = {
    "set_model": (0,),
    "begin": (0,),
    "epoch_begin": (0,),
    "batch_begin": EACH,
    "batch_end": EACH,
    "epoch_end": (0,),
    "end": (0,),
}
BEFORE_BEGIN = ("begin", "before")


def set_model(where: str, scene: Scene) -> None:
    base = world.FLAVORS[scene.flavor].callbacks.Callback
    fault = scene.fault
    methods = {"set_model": lambda self, model: fault()}
    getattr(scene, where).append(type("Citizen", (base,), methods)())


for where in ("before", "after"):
    for moment, moments in MOMENTS.items():
        add(
            f"{moment} of a callback {where} ours",
            functools.partial(set_model, where)
            if moment == "set_model"
            else functools.partial(citizen, moment, where),
            moments=moments,
            in_step=moment == "batch_begin",
            values=(moment, where) == ("end", "after"),
            early=moment == "set_model" or (moment, where) == BEFORE_BEGIN,
            untold=(moment, where) == ("set_model", "before"),
            phases=("train",) if "epoch" in moment else tuple(world.CALLS),
        )


# The data set and the step


def data(scene: Scene) -> None:
    def batches() -> Iterator[Any]:
        for start in range(0, len(world.FEATURES), world.ROWS):
            scene.fault()
            rows = slice(start, start + world.ROWS)
            features, labels = world.FEATURES[rows], world.LABELS[rows]
            yield features if scene.phase == "predict" else (features, labels)

    scene.data = tf.data.Dataset.from_generator(
        batches,
        output_signature=world.data_of(scene.phase).element_spec,
    )


def step(scene: Scene) -> None:
    kind = world.model_class(scene.flavor)
    scene.around = lambda: mock.patch.object(
        kind, "inside", staticmethod(scene.fault)
    )


def traced_step(scene: Scene) -> None:
    def forget() -> None:  # what is there is not traced again
        for phase in world.CALLS:
            setattr(scene.model, f"{phase}_function", None)

    scene.prepare = forget
    scene.prepare()
    step(scene)


add("data", data, moments=EACH, in_step=True)
add("step", step, moments=EACH, in_step=True, eager=True)
add("traced step", traced_step, in_step=True)
