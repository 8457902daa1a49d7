# SPDX-License-Identifier: Apache-2.0
"""Training as a scenario says, and what plain Keras shows a callback of it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import to_numpy
from tests.flavors import value_of
from tests.flavors import variables_of
from tests.scenarios.data import BATCH
from tests.scenarios.data import CLASS_WEIGHTS
from tests.scenarios.data import arrays_of
from tests.scenarios.data import as_keras_takes
from tests.scenarios.data import data_of
from tests.scenarios.drawn import Scenario
from tests.scenarios.steppers import STEPPERS


@dataclasses.dataclass
class Row:
    """The data that plain Keras shows a callback of a batch (or execution)."""

    call: int
    phase: str
    state: list[np.ndarray]
    step: int
    rate: Any
    slots: dict[str, np.ndarray]
    logs: dict[str, Any] = dataclasses.field(default_factory=dict)
    after: list[np.ndarray] = dataclasses.field(default_factory=list)


def state_of(model: Any) -> list[np.ndarray]:
    """Returns the weights of a model, and the state of its generators."""
    return [to_numpy(variable) for variable in variables_in(model)]


def variables_in(model: Any) -> list[Any]:
    """Returns the weights of a model, and the state of its generators."""
    if not IS_KERAS_3 and not model.built:
        return []  # Keras 2 has none to show
    return list(model.variables if IS_KERAS_3 else model.weights)


def rate_of(optimizer: Any) -> Any:
    """Returns the learning rate of the next step."""
    rate = optimizer.learning_rate
    return to_numpy(rate(optimizer.iterations) if callable(rate) else rate)


def slots_of(optimizer: Any) -> dict[str, np.ndarray]:
    """Returns the slots by their paths.

    Slots whose values differ in v1, and those that share a path, are left out.
    """
    of_updates = ("sgd", "rms_prop", "rm_sprop", "rmsprop")
    variables = variables_of(optimizer)
    paths = [path_of(variable) for variable in variables]
    return {
        path: to_numpy(variable)
        for path, variable in zip(paths, variables, strict=True)
        if not path.lower().startswith(of_updates) and paths.count(path) == 1
    }


class Witness(keras.callbacks.Callback):
    """Keeps what plain Keras shows a callback."""

    def __init__(self, has_others: bool) -> None:
        super().__init__()
        self.has_others = has_others
        self.rows: list[Row] = []
        self.trained = self.call = 0

    def _begin(self, phase: str) -> None:
        optimizer = self.model.optimizer
        step = int(optimizer.iterations)
        if self.has_others:  # which train in its place
            step = self.trained
        state, rate = state_of(self.model), rate_of(optimizer)
        slots = slots_of(optimizer)
        self.rows.append(Row(self.call, phase, state, step, rate, slots))

    def _end(self, logs: Any) -> None:
        row = self.rows[-1]
        row.logs = {name: float(value) for name, value in (logs or {}).items()}
        row.after = state_of(self.model)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin("train")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._end(logs)
        self.trained += 1

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin("test")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._end(logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begin("predict")

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._end(None)


class Uncounts(keras.callbacks.Callback):
    """Undoes the step that Keras counts when it finds no more data.

    Hooks undo it, too, as SessionRunHookCallback says.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counter: Any = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        counter = optimizer.iterations
        if not isinstance(counter, tf.Variable) and IS_KERAS_3:
            # With accumulation it counts batches.
            counter = next(
                v for v in optimizer.variables if v.path.endswith("iteration")
            )
        self.counter, self.before = value_of(counter), int(counter.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.counter = None

    def _take_back(self) -> None:
        if self.counter is not None:
            self.counter.assign(self.before)

    def on_test_begin(self, logs: Any = None) -> None:
        self._take_back()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._take_back()


@dataclasses.dataclass
class Outcome:
    """The result of a run, bit for bit the same with hooks and without."""

    rows: list[Row]
    returned: list[Any]
    state: list[np.ndarray]
    slots: list[tuple[str, np.ndarray]]
    model: Any


@functools.lru_cache(maxsize=4)
def run_plain(one: Scenario, steps: int | None = None) -> Outcome:
    """Runs a scenario as Keras alone does."""
    return run(one, steps=steps, with_hooks=False)


@contextlib.contextmanager
def policy_of(one: Scenario) -> Iterator[None]:
    """Enters the half-precision policy of a model, if it has one."""
    policy = next((t for t in one.kind.traits if t.startswith("mixed")), None)
    if policy is None:
        yield
        return
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def model_of(one: Scenario, steps: int | None = None) -> Any:
    """Builds and compiles the model of a scenario, from its seed."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(11)
    model, metrics = one.kind.make(), one.kind.metrics
    if callable(metrics):
        metrics = metrics()
    model.compile(
        STEPPERS[one.optimizer](),
        one.kind.loss,
        metrics=list(metrics) if isinstance(metrics, tuple) else metrics,
        steps_per_execution=steps or one.steps,
        run_eagerly=one.compiled == "eager",
        jit_compile=one.compiled == "xla",
    )
    return model


Prepare = Callable[[str], None]


def run(
    one: Scenario,
    callbacks: Callable[[Any], list[Any]] = lambda model: [],
    *,
    prepare: Prepare = lambda phase: None,
    with_hooks: bool = True,
    steps: int | None = None,
) -> Outcome:
    """Runs the calls of a scenario.

    Args:
        one: The scenario.
        callbacks: Makes the callbacks, given the model.
        prepare: Called with the phase, before each call of Keras.
        with_hooks: Whether hooks are among the callbacks.
        steps: The steps of an execution, if others than the scenario's.
    """
    with policy_of(one):
        model, witness = model_of(one, steps), Witness(one.has("adversaries"))
        made = [*callbacks(model), witness, *_companion(one, model)]
        is_counted = one.data == "unknown length" and not with_hooks
        if is_counted and one.plan != "seen validation":
            made.insert(0, Uncounts())
        returned: list[Any] = []
        for number, (phase, epochs) in enumerate(_PLANS[one.plan]):
            args, more = data_of(one, phase)
            if phase == "train":
                more |= epochs
                if one.weights == "class":
                    more["class_weight"] = CLASS_WEIGHTS
                if one.plan in ("fit with validation", "seen validation"):
                    # What is read ahead of a generator is lost: a validation
                    # would not begin where the last one ended.
                    steady = dataclasses.replace(one, data="steps per epoch")
                    is_endless = one.data in ("generator", "steps per epoch")
                    valid = data_of(steady if is_endless else one, "test")[0]
                    if one.data in ("arrays", "shuffled"):
                        more["validation_data"] = tuple(
                            map(as_keras_takes, arrays_of(one))
                        )
                        more["validation_batch_size"] = BATCH
                    else:
                        more["validation_data"] = valid[0]
                        if is_endless:
                            more["validation_steps"] = 3
            here = [
                callback
                for callback in made
                if getattr(callback, "only_in", number) == number
            ]
            prepare(phase)
            witness.call += 1
            returned.append(
                _called(model, phase, args, {**more, "callbacks": here})
            )
        return Outcome(
            # Data of unknown length end when a step has begun.
            [row for row in witness.rows if row.after],
            returned,
            state_of(model),
            [(path_of(v), to_numpy(v)) for v in variables_of(model.optimizer)],
            model,
        )


_PLANS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "fit": [("train", {"epochs": 2})],
    "fit with validation": [("train", {"epochs": 2})],
    "seen validation": [("train", {"epochs": 2})],
    "two fits": [("train", {"epochs": 1}), ("train", {"epochs": 1})],
    "resumed": [
        ("train", {"epochs": 1}),
        ("train", {"epochs": 2, "initial_epoch": 1}),
    ],
    "fit then evaluate": [("train", {"epochs": 1}), ("test", {})],
    "fit then predict": [("train", {"epochs": 1}), ("predict", {})],
    "calls: fit, fit": [("train", {}), ("train", {})],
    "calls: evaluate, fit": [("test", {}), ("train", {})],
    "calls: predict, fit": [("predict", {}), ("train", {})],
    "calls: fit, predict": [("train", {}), ("predict", {})],
    "first half": [("train", {"epochs": 1})],
    "second half": [("train", {"epochs": 2, "initial_epoch": 1})],
    "evaluate": [("test", {})],
    "predict": [("predict", {})],
}


def _called(model: Any, phase: str, args: Any, more: Any) -> Any:
    name = {"train": "fit", "test": "evaluate"}.get(phase, phase)
    result = getattr(model, name)(*args, verbose=0, **more)
    if phase == "train":
        return dict(result.history)
    return tf.nest.map_structure(np.asarray, result)


def _companion(one: Scenario, model: Any) -> list[Any]:
    """Makes the other callbacks of Keras that run beside the hooks."""
    kinds = keras.callbacks
    if one.has("adversaries"):  # which logs no loss
        return []
    if one.companion == "early stopping":
        return [
            kinds.EarlyStopping("loss", patience=0, restore_best_weights=True)
        ]
    if one.companion == "schedule" and _has_plain_rate(one):
        return [kinds.LearningRateScheduler(lambda epoch: 0.05 / (epoch + 1))]
    if one.companion == "plateau" and _has_plain_rate(one):
        return [kinds.ReduceLROnPlateau("loss", min_delta=9.0, patience=0)]
    if one.companion == "keras checkpoint":
        return [kinds.ModelCheckpoint("c.weights.h5", save_weights_only=True)]
    if one.companion == "lambda":
        return [kinds.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]
    return []


def _has_plain_rate(one: Scenario) -> bool:
    return one.optimizer not in ("decay", "cosine", "pieces")
