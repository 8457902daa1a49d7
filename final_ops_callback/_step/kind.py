# SPDX-License-Identifier: Apache-2.0
"""Step tensors, the base class of their kinds, and what they are taken from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _structure
from final_ops_callback._keras import compat
from final_ops_callback._keras import log_names
from final_ops_callback._keras import model_info
from final_ops_callback._keras.wrapping import Place
from final_ops_callback._names import unique
from final_ops_callback._step.replicas import Norm
from final_ops_callback._step.replicas import Share
from final_ops_callback.errors import StepTensorError


class ModelStep:
    """What is known of the step of one model before it runs.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.
        variable_names: Mapping from the path of a variable to the name of
            its twin: its gradient is called so, too. Defaults to none.

    Attributes:
        model: The model.
        phase: String. The phase.
        twin_names: Dict from the paths of variables to the names of twins.
        batch_spec: The structure of the specs of a batch of the data, or
            `None` while no batch is known.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        variable_names: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.phase = phase
        self.twin_names = dict(variable_names or {})
        self.batch_spec: Any = None

    def learn(self, batch_spec: Any) -> None:
        """Takes what is known once the model is built from its first batch.

        Args:
            batch_spec: The structure of the specs of a batch of the data.
        """
        self.batch_spec = batch_spec
        for name in ("layers", "variables", "logs"):
            vars(self).pop(name, None)

    @functools.cached_property
    def layers(self) -> dict[str, Any]:
        """The layers of the model by their paths."""
        return model_info.layers_by_path(self.model)

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        """The variables that have a gradient, by their paths.

        Paths that several variables have are told apart as the names of their
        twins in the hook graph are.
        """
        if self.phase != "train":
            return {}
        trained = {id(v) for v in self.model.trainable_variables}
        weights = self.model.variables
        paths = unique(model_info.path_of(variable) for variable in weights)
        return {
            path: variable
            for path, variable in zip(paths, weights, strict=True)
            if id(variable) in trained
        }

    @functools.cached_property
    def logs(self) -> Collection[str]:
        """The names of the logs that surely are logs."""
        return log_names.known_logs(self.model, self.phase) or ()

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs of the model, in their order."""
        return model_info.input_names(self.model)

    @property
    def floatx(self) -> str:
        """The dtype that Keras gives to the numbers of the model."""
        return compat.floatx_of(self.model)

    def symbolic_parts(self, name: str, layer: Any, side: str) -> list[str]:
        """Returns a name, or the names of its parts if it has several.

        Args:
            name: String. The name of the whole.
            layer: The layer, or the model.
            side: String. `"input"` or `"output"`.
        """
        whole = model_info.symbolic(layer, side)
        parts = [] if whole is None else list(parts_of(whole))
        return [f"{name}/{p}" for p in parts] if len(parts) > 1 else [name]

    def symbolic_spec(self, tensor: Any) -> tf.TensorSpec | None:
        """Returns the spec of what a step delivers of a symbolic tensor.

        Args:
            tensor: A symbolic Keras tensor.

        Returns:
            The spec; `None` if the tensor is not dense.
        """
        if not model_info.is_dense(tensor):
            return None
        shape = tf.TensorShape(tensor.shape)
        # The batches of all replicas, or of all steps of an execution.
        joined = model_info.replicas(self.model) > 1 or self.phase == "predict"
        if joined and shape.rank:
            shape = tf.TensorShape([None, *shape[1:]])
        return tf.TensorSpec(shape, tensor.dtype)


@dataclasses.dataclass
class Collected:
    """What one replica has in its hands in one step.

    Attributes:
        step: What was known before the step.
        graph: The graph that is traced; `None` if the step runs eagerly.
        noted: Dict. What the wrappers of the kinds have noted, by keys that
            the kinds choose.
        data: The argument of the step.
        result: What the step returned.
    """

    step: ModelStep
    graph: Any
    noted: dict[Any, Any] = dataclasses.field(default_factory=dict)
    data: Any = None
    result: Any = None

    @classmethod
    def of(cls, step: ModelStep) -> Collected:
        """Returns an empty one for a step that begins here."""
        return cls(step, current_graph())

    @property
    def batch(self) -> tuple[Any, Any, Any]:
        """The features, labels and sample weights of the step."""
        return model_info.unpacked(self.step.model, self.data)

    def share(self, name: str, value: Any, kind: str) -> Share:
        """Returns the share of this replica in a value.

        Args:
            name: String. The name of the step tensor, for an error.
            value: The tensor.
            kind: String. As in `Share`.

        Raises:
            StepTensorError: The tensor is one of an inner graph.
        """
        tensor = tf.convert_to_tensor(value)
        graph = current_graph()
        if graph is not None and tensor.graph is not graph:
            raise self.error(
                name,
                f"{name!r} is computed in a loop, a branch or a function "
                "inside of the step, and can't leave it",
                "Ask for the output of the layer around it.",
            )
        return Share(tensor, kind)

    def error(self, name: str, what: str, way_out: str) -> StepTensorError:
        """Returns the error for a step tensor that can't be taken.

        Args:
            name: String. The name of the step tensor.
            what: String. What is wrong.
            way_out: String. What to do.
        """
        where = f"fetch '{name}:0' in {self.step.phase}_step"
        return StepTensorError(what, where, way_out)


# Returns what the step that is traced has collected. Outside of a step it is
# `None`: Keras builds a model with its `compute_loss`, say.
Record = Callable[[], Collected | None]


class StepTensor:
    """Base class for a kind of step tensor: names it, and knows its spec.

    An instance stands for one tensor of the step, and is equal to another one
    that stands for the same: subclasses are frozen dataclasses.
    """

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        """Returns the names of this kind that are known before a step."""
        raise NotImplementedError

    @classmethod
    def find(cls, step: ModelStep, name: str) -> StepTensor | None:
        """Returns the tensor of a name, or `None` if it is not of this kind.

        Args:
            step: What is known of the step.
            name: String. The name, without `:0`.
        """
        raise NotImplementedError

    @classmethod
    def reserves(cls, name: str) -> bool:
        """Returns whether a name belongs to this kind alone, in any phase.

        In predict a step has no `loss` and no `labels`. Without this, a layer
        of that name would be found instead, but in predict only.
        """
        return False

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        """Returns the shape and dtype of the tensor.

        Args:
            step: What is known of the step.
            name: String. The name that somebody looks for, for an error.

        Returns:
            The spec; `None` if a step surely delivers nothing of this name.

        Raises:
            StepTensorError: Shape and dtype are not known before a step.
        """
        raise NotImplementedError


class TakenTensor(StepTensor):
    """A step tensor that is taken out of the compiled step, as an output.

    (The others are beside it: the logs that Keras returns anyway, and the
    learning rate.)
    """

    def is_part(self) -> bool:
        """Returns whether it is a part of a structure, which may lack it."""
        return False

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        """Returns the methods to wrap while the step is traced, if any.

        Args:
            step: What is known of the step.
            record: Function that returns what the step has collected. The
                wrappers note there what passes through them. What they run
                of their own is `unconverted`, because autograph of Keras 2
                would convert it.

        Returns:
            The places. Of those that several tensors need, one is wrapped.
        """
        return ()

    def collect(self, name: str, collected: Collected) -> Share | Norm:
        """Returns the share of one replica in the value, at the step's end.

        Args:
            name: String. The name by which it was asked for, for an error.
            collected: What the replica has collected.

        Raises:
            StepTensorError: The step does not deliver it.
        """
        raise NotImplementedError


def current_graph() -> tf.Graph | None:
    """Returns the graph that is built at this moment, or `None`."""
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()


def part_of(whole: Any, part: str, input_names: Iterable[str] = ()) -> Any:
    """Returns one part of a structure of tensors.

    Args:
        whole: A tensor, or any nesting of lists, tuples and dicts of them.
        part: String. The keys and indices that lead to it, with slashes.
            `""` is also a part that is the only one.
        input_names: Iterable of strings. The names of the inputs of the model
            in their order: a part may be called so. Defaults to `()`.

    Returns:
        The part, or `None` if there is none.

    Example:
    >>> part_of({"a": [1, 2]}, "a/1")
    2
    """
    parts = parts_of(whole)
    if part in parts:
        return parts[part]
    for index, name in enumerate(input_names):
        if part == name:
            return parts.get(str(index), parts.get("") if index == 0 else None)
    return next(iter(parts.values())) if not part and len(parts) == 1 else None


def parts_of(whole: Any) -> dict[str, Any]:
    """Returns the parts of a structure by their paths, as `part_of` does."""
    return {
        "/".join(map(str, path)): leaf
        for path, leaf in _structure.leaves_with_path(whole)
        if leaf is not None
    }
