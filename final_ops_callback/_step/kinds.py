# SPDX-License-Identifier: Apache-2.0
"""The kinds of step tensors: loss, data, layers, gradients, logs and others.

To add one, write a subclass of `TakenTensor` here and add it to `KINDS`, before
each kind that would find its names, too: `Log` takes any name without a slash.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers
from final_ops_callback._keras.wrapping import Place
from final_ops_callback._keras.wrapping import unconverted
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._names import LOSS
from final_ops_callback._step.kind import Collected
from final_ops_callback._step.kind import ModelStep
from final_ops_callback._step.kind import Record
from final_ops_callback._step.kind import StepTensor
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.kind import current_graph
from final_ops_callback._step.kind import part_of
from final_ops_callback._step.kind import parts_of
from final_ops_callback._step.replicas import BATCH
from final_ops_callback._step.replicas import SAME
from final_ops_callback._step.replicas import TOTAL
from final_ops_callback._step.replicas import Norm
from final_ops_callback._step.replicas import Share
from final_ops_callback.errors import StepTensorError

FEATURES, LABELS, WEIGHT = "features", "labels", "sample_weight"
PREDICTIONS, LAYERS, GRADIENTS = "predictions", "layers", "gradients"
GLOBAL_NORM = f"{GRADIENTS}/global_norm"
LOGS = "logs/"

# In the order of what a data set yields, with the arguments of compute_loss.
DATA = {FEATURES: "x", LABELS: "y", WEIGHT: "sample_weight"}

# What each step has in its hands, and can hand on at no cost.
ALWAYS_THERE = (LOSS, *DATA, PREDICTIONS)


@dataclasses.dataclass(frozen=True)
class Loss(TakenTensor):
    """The loss of the step, as `compute_loss` returned it."""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [] if step.phase == "predict" else [LOSS]

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Loss | None:
        return cls() if name in cls.names(step) else None

    @classmethod
    def reserves(cls, name: str) -> bool:
        return name == LOSS

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        return tf.TensorSpec([], step.floatx)

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        yield _place_of_loss(step, record)

    def collect(self, name: str, collected: Collected) -> Share:
        loss, _ = _only_loss(collected)
        return collected.share(name, loss, TOTAL)


@dataclasses.dataclass(frozen=True)
class _Structure(TakenTensor):
    """Base class for tensors that are parts of a structure of them.

    Attributes:
        part: String. The path inside of the structure, `""` for the whole.
    """

    part: str = ""

    def is_part(self) -> bool:
        return bool(self.part)

    def whole(self, collected: Collected) -> Any:
        """Returns the structure that the step has in its hands."""
        raise NotImplementedError

    def known_wholes(
        self, step: ModelStep
    ) -> Iterator[tuple[Any, Callable[[Any], tf.TensorSpec | None]]]:
        """Yields what is known of the structure before a step.

        Args:
            step: What is known of the step.

        Yields:
            Pairs of a structure and a function from one of its leaves to the
            spec; the surest first.
        """
        raise NotImplementedError

    def input_names(self, step: ModelStep) -> list[str]:
        """Returns other names of the parts, in their order."""
        return []

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        for whole, spec_of in self.known_wholes(step):
            found = part_of(whole, self.part, self.input_names(step))
            # There may be no such part: `hidden/Relu`.
            return None if found is None else spec_of(found)
        raise StepTensorError(
            f"the shape and dtype of {name!r} are not known before the first "
            "step",
            f"{name + ':0'!r} of the model {step.model.name!r}",
            "Declare them: SessionRunHookCallback(hooks, "
            f'step_tensors={{"{name}": tf.TensorSpec([None, 1], "float32")}}).',
        )

    def collect(self, name: str, collected: Collected) -> Share:
        whole = self.whole(collected)
        value = part_of(whole, self.part, self.input_names(collected.step))
        if value is None:
            parts = [part for part in parts_of(whole) if part]
            base = name.removesuffix(self.part).removesuffix("/") or name
            raise collected.error(
                name,
                f"this step has no {name!r}",
                f"It has {[f'{base}/{part}' for part in parts]}."
                if parts
                else "The data of this call has to hold it.",
            )
        if not model_info.is_dense(value):
            raise collected.error(
                name,
                f"{name!r} is a {type(value).__name__}",
                "Only dense tensors are taken out of a step: let the data set "
                "give a dense one, or fetch what the model computes from it.",
            )
        return collected.share(name, value, BATCH)


@dataclasses.dataclass(frozen=True)
class Data(_Structure):
    """A part of the batch: its features, labels or sample weights.

    Attributes:
        role: String. One of the keys of `DATA`.
    """

    role: str = FEATURES

    @classmethod
    def roles(cls, step: ModelStep) -> list[str]:
        """Returns what the steps of a phase have of a batch."""
        return [FEATURES] if step.phase == "predict" else list(DATA)

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        others = [role for role in cls.roles(step) if role != FEATURES]
        features = step.symbolic_parts(FEATURES, step.model, "input")
        return [*others, *features, *step.input_names]

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Data | None:
        role, _, part = name.partition("/")
        if role in cls.roles(step):
            return cls(part, role)
        # The model may have given a name to an input.
        return cls(name) if name in step.input_names else None

    @classmethod
    def reserves(cls, name: str) -> bool:
        return name.partition("/")[0] in DATA

    def input_names(self, step: ModelStep) -> list[str]:
        return step.input_names if self.role == FEATURES else []

    def known_wholes(
        self, step: ModelStep
    ) -> Iterator[tuple[Any, Callable[[Any], tf.TensorSpec | None]]]:
        if step.batch_spec is not None:
            batch = model_info.unpacked(step.model, step.batch_spec)
            whole = batch[list(DATA).index(self.role)]
            if whole is not None:
                yield whole, lambda spec: spec
        if self.role == FEATURES:
            yield from _symbolic(step, step.model, "input")

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        if self.role != WEIGHT or any(self.known_wholes(step)):
            return super().spec(step, name)
        return tf.TensorSpec(None, step.floatx)

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        yield _place_of_loss(step, record)

    def whole(self, collected: Collected) -> Any:
        found = collected.batch[list(DATA).index(self.role)]
        losses = _losses(collected)
        if found is None and len(losses) == 1:
            # A step of the user's own may take its data apart by itself.
            found = losses[0][1].get(DATA[self.role])
        return found


@dataclasses.dataclass(frozen=True)
class Predictions(_Structure):
    """What the model predicts for the batch."""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return step.symbolic_parts(PREDICTIONS, step.model, "output")

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Predictions | None:
        head, _, part = name.partition("/")
        return cls(part) if head == PREDICTIONS else None

    def known_wholes(
        self, step: ModelStep
    ) -> Iterator[tuple[Any, Callable[[Any], tf.TensorSpec | None]]]:
        return _symbolic(step, step.model, "output")

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        yield _place_of_loss(step, record)

    def whole(self, collected: Collected) -> Any:
        if collected.step.phase == "predict":
            return collected.result
        return _only_loss(collected)[1].get("y_pred")


@dataclasses.dataclass(frozen=True)
class LayerOutput(_Structure):
    """The output of a layer, as its last call in the step returned it.

    Attributes:
        path: String. The path of the layer in the model.
    """

    path: str = ""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        for path, layer in step.layers.items():
            yield from step.symbolic_parts(path, layer, "output")

    @classmethod
    def find(cls, step: ModelStep, name: str) -> LayerOutput | None:
        # A layer may have the name of something else: `layers/loss`.
        for given in (name, name.removeprefix(f"{LAYERS}/")):
            for path in _prefixes(given):
                if path in step.layers:
                    part = given.removeprefix(path).removeprefix("/")
                    return cls(part, path)
        return None

    def known_wholes(
        self, step: ModelStep
    ) -> Iterator[tuple[Any, Callable[[Any], tf.TensorSpec | None]]]:
        return _symbolic(step, step.layers[self.path], "output")

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(method)
            def noting_call(*args: Any, **kwargs: Any) -> Any:
                outputs = method(*args, **kwargs)
                self._note(record(), outputs)
                return outputs

            return noting_call

        yield step.layers[self.path], "call", wrap

    def whole(self, collected: Collected) -> Any:
        if (LAYERS, self.path) not in collected.noted:
            raise collected.error(
                self.path,
                f"the layer {self.path!r} is not called in this step",
                "Ask for a layer that is.",
            )
        return collected.noted[LAYERS, self.path]

    @unconverted
    def _note(self, collected: Collected | None, outputs: Any) -> None:
        if collected is None:
            return
        # Keras may call a layer once more in a graph of its own, to know a
        # shape: that call is not the step's.
        key = LAYERS, self.path
        if key not in collected.noted or current_graph() is collected.graph:
            collected.noted[key] = outputs


@dataclasses.dataclass(frozen=True)
class Gradient(TakenTensor):
    """The gradient of a variable, as the optimizer gets it.

    Attributes:
        path: String. The path of the variable.
    """

    path: str

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [
            f"{GRADIENTS}/{step.twin_names.get(path, path)}"
            for path in step.variables
        ]

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Gradient | None:
        head, _, given = name.partition("/")
        paths = {twin: path for path, twin in step.twin_names.items()}
        path = paths.get(given, given)
        known = head == GRADIENTS and path in step.variables
        return cls(path) if known else None

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        variable = step.variables[self.path]
        return tf.TensorSpec(variable.shape, variable.dtype)

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        return _places_of_gradients(step, record)

    def collect(self, name: str, collected: Collected) -> Share:
        gradients = _gradients(collected)
        if self.path not in gradients:
            raise collected.error(
                name,
                f"the optimizer got no {name!r}",
                f"It got those of {sorted(gradients)}.",
            )
        gradient, is_aggregated = gradients[self.path]
        return collected.share(name, gradient, SAME if is_aggregated else TOTAL)


@dataclasses.dataclass(frozen=True)
class GradientNorm(TakenTensor):
    """The global norm of all gradients of the step."""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [GLOBAL_NORM] if step.phase == "train" else []

    @classmethod
    def find(cls, step: ModelStep, name: str) -> GradientNorm | None:
        return cls() if name == GLOBAL_NORM and step.variables else None

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        return tf.TensorSpec([], step.floatx)

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        return _places_of_gradients(step, record)

    def collect(self, name: str, collected: Collected) -> Norm:
        return Norm(
            [
                Gradient(path).collect(name, collected)
                for path in _gradients(collected)
            ]
        )


@dataclasses.dataclass(frozen=True)
class LearningRate(StepTensor):
    """The learning rate of the step, which is known before it."""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [LEARNING_RATE] if step.phase == "train" else []

    @classmethod
    def find(cls, step: ModelStep, name: str) -> LearningRate | None:
        return cls() if name in cls.names(step) else None

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        return tf.TensorSpec(None, step.floatx)


@dataclasses.dataclass(frozen=True)
class Metric(StepTensor):
    """A metric that the step surely logs, by its name.

    Attributes:
        key: String. The name in the logs.
    """

    key: str

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        in_predict = step.phase == "predict"
        return [] if in_predict else model_info.log_names(step.model)

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Metric | None:
        # A layer may have the name of a metric, or one that begins with it.
        return cls(name) if name in step.logs else None

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        # A path is looked for as an operation, unless it is declared.
        return None if "/" in self.key else tf.TensorSpec(None, step.floatx)


@dataclasses.dataclass(frozen=True)
class Log(StepTensor):
    """Whatever else a step may log: `logs/loss`, or a name nobody knows yet.

    Which metrics there are is not known before the first step, because Keras
    builds them there. So a wrong name is found there, too.

    Attributes:
        key: String. The name in the logs.
    """

    key: str

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [] if step.phase == "predict" else [LOGS + LOSS]

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Log | None:
        key = name.removeprefix(LOGS)
        # A path is the name of an operation inside of the model, and those
        # are not in the graph: v1's own error says so.
        is_path = "/" in name and not name.startswith(LOGS)
        # A model without an optimizer has no step; no log can be it.
        if step.phase == "predict" or is_path or key == GLOBAL_STEP:
            return None
        return cls(key)

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        return tf.TensorSpec([] if self.key == LOSS else None, step.floatx)


# A name is of the first kind that finds it.
KINDS: tuple[type[StepTensor], ...] = (
    Loss,
    Predictions,
    GradientNorm,
    Gradient,
    Data,
    Metric,
    LayerOutput,
    LearningRate,
    Log,
)


def _prefixes(name: str) -> Iterator[str]:
    """Yields the name and what is before its slashes, the longest first."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _symbolic(
    step: ModelStep, layer: Any, side: str
) -> Iterator[tuple[Any, Callable[[Any], tf.TensorSpec | None]]]:
    whole = model_info.symbolic(layer, side)
    if whole is not None:
        yield whole, step.symbolic_spec


def _place_of_loss(step: ModelStep, record: Record) -> Place:
    """Returns where the losses are noted, with what they were computed from."""

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        def noting_compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = method(*args, **kwargs)
            _note_loss(record(), loss, args, kwargs)
            return loss

        return noting_compute_loss

    return step.model, "compute_loss", wrap


@unconverted
def _note_loss(
    collected: Collected | None,
    loss: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> None:
    names = ("x", "y", "y_pred", "sample_weight")
    given = dict(zip(names, args, strict=False)) | kwargs
    if collected is not None:
        collected.noted.setdefault(LOSS, []).append((loss, given))


def _losses(collected: Collected) -> list[tuple[Any, dict[str, Any]]]:
    """Returns pairs of a loss and what `compute_loss` got by name."""
    return collected.noted.get(LOSS, [])


def _only_loss(collected: Collected) -> tuple[Any, dict[str, Any]]:
    losses = _losses(collected)
    if len(losses) != 1:
        raise collected.error(
            LOSS,
            f"{collected.step.phase}_step of this model calls compute_loss "
            f"{len(losses)} times, so its loss and predictions are "
            "not known outside of it",
            "Let it call self.compute_loss(x, y, y_pred) once, or fetch "
            "what it logs: 'logs/loss:0'.",
        )
    return losses[0]


def _places_of_gradients(step: ModelStep, record: Record) -> Iterator[Place]:
    """Yields where each optimizer of the model gets its gradients."""
    paths = {
        id(compat.backing(variable)): path
        for path, variable in step.variables.items()
    }

    def wrap(
        values_of: Callable[..., Any], method: Callable[..., Any]
    ) -> Callable[..., Any]:
        def noting_apply(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = _note_gradients(
                record(), paths, values_of, args, kwargs
            )
            return method(*args, **kwargs)

        return noting_apply

    for optimizer in optimizers.optimizers_of(step.model).values():
        name, values_of = optimizer_compat.gradients_given(optimizer)
        yield optimizer, name, functools.partial(wrap, values_of)


@unconverted
def _note_gradients(
    collected: Collected | None,
    paths: dict[int, str],
    values_of: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    given, args, kwargs = values_of(*args, **kwargs)
    if collected is not None:
        noted = collected.noted.setdefault(GRADIENTS, {})
        for gradient, variable, is_aggregated in given:
            if gradient is not None:
                # One that is not the model's own may be trained, too.
                known = paths.get(id(compat.backing(variable)))
                path = known or model_info.path_of(variable)
                noted[path] = gradient, is_aggregated
    return args, kwargs


def _gradients(collected: Collected) -> dict[str, tuple[Any, bool]]:
    """Returns each gradient by path, and whether it is of all replicas."""
    return collected.noted.get(GRADIENTS, {})
