# SPDX-License-Identifier: Apache-2.0
"""Reads what of a model's state a checkpoint of v1 holds, and writes it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from final_ops_callback import _names
from final_ops_callback._checkpoints.name_map import APART
from final_ops_callback._checkpoints.name_map import POWERS
from final_ops_callback._checkpoints.reader import Spec
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizer_slots
from final_ops_callback._keras import optimizers
from final_ops_callback._keras import weights_files
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import BackendError
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import StrategyError

logger = logging.getLogger("final_ops_callback")

_KINDS = ", ".join(kind.keras for kind in optimizer_slots.KINDS)


class Slot(NamedTuple):
    """A slot of v1's optimizer.

    Attributes:
        path: String. The path of the weight that it belongs to.
        suffix: String. What its name in v1 adds to the name of the weight.
        variable: Function without arguments that returns the variable of
            Keras; `None` if Keras keeps none, because its values are zero.
    """

    path: str
    suffix: str
    variable: Callable[[], Any] | None


class ModelState:
    """The weights, the slots and the step of a model.

    Args:
        model: A built Keras model of any flavor.
        with_slots: Boolean. Whether the slots are needed.
        optimizer_name: String. The name of v1's optimizer, after which it
            named its slots; `None` for the default of its kind.

    Raises:
        ArgumentError: The model has no weights yet, or several optimizers.
        BackendError: The model does not run on TensorFlow.
        StrategyError: The model's variables are on parameter servers.
        CheckpointError: v1 had no optimizer like that of the model.
    """

    def __init__(
        self, model: Any, with_slots: bool, optimizer_name: str | None
    ) -> None:
        _check_model(model)
        if not isinstance(optimizer_name, str | None):
            raise ArgumentError(
                f"{optimizer_name!r} is not the name of an optimizer",
                "optimizer_name",
                "Use the string that v1's optimizer got as name=.",
            )
        self._model = model
        self.weights = _weights_of(model)
        self.optimizer: Any = getattr(model, "optimizer", None)
        self.has_slots = with_slots and self.optimizer is not None
        self.kind: optimizer_slots.OptimizerKind | None = None
        self.slot_name = ""
        if self.has_slots:
            self._find_kind(optimizer_name)

    def _find_kind(self, optimizer_name: str | None) -> None:
        several = list(optimizers.optimizers_of(self._model))
        if len(several) > 1:
            raise ArgumentError(
                f"the model has several optimizers: {several}",
                "slots=True",
                "Use slots=False; which optimizer has which slots is known "
                "only inside of the training step.",
            )
        self.kind = optimizer_slots.kind_of(self.optimizer)
        inner = optimizer_compat.inner_of(self.optimizer)
        # v1's gradient descent had no slots, and neither has this one.
        if self.kind is None:
            raise CheckpointError(
                f"v1 had no optimizer with the slots of {type(inner).__name__}",
                "slots=True",
                "Use slots=False, or compile with the optimizer of the "
                f"checkpoint: {_KINDS}"
                " (without amsgrad, not a subclass of it).",
            )
        self.slot_name = optimizer_name or self.kind.v1

    def specs(self) -> dict[str, Spec]:
        """Returns the shape and dtype of each weight by its path."""
        return {
            path: Spec(tuple(one.shape), tf.as_dtype(one.dtype))
            for path, variable in self.weights.items()
            for one in compat.components(variable)[:1]
        }

    def trained_paths(self) -> list[str]:
        """Returns the paths of the weights that the model trains."""
        trained = _ids(self._model.trainable_weights)
        return [
            path
            for path, weight in self.weights.items()
            if id(compat.backing(weight)) in trained
        ]

    def slots(self) -> list[Slot]:
        """Returns the slots that v1 had for the weights, in its order."""
        if self.kind is None:
            return []
        found = []
        for path in self.trained_paths():
            for index, kind in enumerate(self.kind.slots):
                suffix = f"/{self.slot_name}" + (f"_{index}" if index else "")
                is_kept = optimizer_slots.is_kept(self.optimizer, kind)
                variable = self._slot_of(path, kind) if is_kept else None
                found.append(Slot(path, suffix, variable))
            if optimizer_slots.has_averages(self.optimizer):
                average = self._average_of(path)
                found.append(Slot(path, f"/{optimizer_slots.AVERAGE}", average))
        return found

    def _slot_of(
        self, path: str, kind: optimizer_slots.SlotKind
    ) -> Callable[[], Any]:
        return lambda: optimizer_slots.slot_of(
            self.optimizer, kind, self.weights[path]
        )

    def _average_of(self, path: str) -> Callable[[], Any]:
        return lambda: optimizer_slots.average_of(
            self.optimizer, self.weights[path]
        )

    def graph_path(self, slot: Slot) -> str:
        """Returns the name of a slot in the graph of hooks.

        A `CheckpointSaverHook` under `SessionRunHookCallback` saves it so, if
        no other name is given.

        Args:
            slot: A slot that Keras keeps.

        Returns:
            String; empty if Keras does not keep it.
        """
        if slot.variable is None:
            return ""
        self.build_slots()
        path = model_info.path_of(slot.variable())
        owner = next(iter(optimizers.optimizers_of(self._model)))
        return optimizers.graph_path(path, self.optimizer, owner)

    def build_slots(self) -> None:
        """Makes the slots of the optimizer, if no step has done so."""
        if self.has_slots:
            optimizers.build(self._model)

    def check_slots(self) -> None:
        """Checks that the optimizer was built for the weights as they are.

        Raises:
            ArgumentError: It was built for others.
        """
        if not self.has_slots or not optimizer_compat.is_built(self.optimizer):
            return
        for slot in self.slots():
            try:
                if slot.variable is not None:
                    slot.variable()
            except LookupError as error:
                raise ArgumentError(
                    f"the optimizer was not built for {slot.path!r}",
                    "model",
                    "Compile the model again: its trainable weights have "
                    "changed.",
                ) from error

    @property
    def betas(self) -> dict[str, float]:
        """The decay rates whose powers v1's Adam kept, by their names."""
        if self.kind is None or self.kind.keras != "Adam":
            return {}
        options = optimizer_compat.inner_of(self.optimizer).get_config()
        rates = options["beta_1"], options["beta_2"]
        return dict(zip(POWERS, map(float, rates), strict=True))

    def known_paths(self) -> list[str]:
        """Returns what a map of names may have as keys."""
        return [*self.weights, *APART]

    def step(self) -> int | None:
        """Returns the step of the optimizer; `None` without an optimizer."""
        if self.optimizer is None:
            return None
        return int(compat.to_numpy(self.optimizer.iterations))

    def batches_of_next_step(self) -> int:
        """Returns the batches whose gradients wait for the next update."""
        if self.optimizer is None:
            return 0
        counter = self._counter()
        return int(compat.to_numpy(counter)) % self._batches_per_step()

    def check_step(self, step: int, where: str) -> None:
        """Checks that the optimizer can count on from a step.

        Raises:
            CheckpointError: The step is too large for its variable.
        """
        if self.optimizer is None:
            return
        counter = self._counter()
        dtype = tf.as_dtype(compat.components(counter)[0].dtype)
        largest = dtype.max // self._batches_per_step()
        if not 0 <= step <= largest:
            raise CheckpointError(
                f"the step {step} does not fit the {dtype.name} in which the "
                "optimizer counts",
                where,
                'Leave the step as it is: names={"global_step": None}.',
            )

    def write_step(self, step: int) -> None:
        """Makes the optimizer count on from a step."""
        counter = self._counter()
        self.write(counter, np.asarray(step * self._batches_per_step()))

    def _counter(self) -> Any:
        # Of the optimizer inside of a loss scale: the outer one does not count.
        inner = optimizer_compat.inner_of(self.optimizer)
        return model_info.step_counter_of(inner)

    def _batches_per_step(self) -> int:
        # With gradient accumulation in Keras 3, the variable counts batches.
        return weights_files.batches_per_step(self.optimizer)

    def write(self, variable: Any, value: Any) -> None:
        """Writes a value to a variable, on all replicas."""
        with compat.strategy_scope(self._model):
            own = compat.backing(variable)
            own.assign(tf.cast(value, own.dtype))

    def write_slot(self, variable: Any, value: Any) -> None:
        """Writes the value that v1 kept to a slot of Keras.

        The step has to be written before, because the conversion of a momentum
        needs the learning rate of the step.
        """
        meaning = self._meanings.get(id(compat.backing(variable)))
        if meaning is None:
            self.write(variable, value)
            return
        with compat.strategy_scope(self._model):
            meaning.from_v1(tf.convert_to_tensor(value))
            meaning.complete()

    def read_slot(self, variable: Any) -> Any:
        """Returns the value that v1 would have kept in a slot of Keras."""
        value = read(variable)
        meaning = self._meanings.get(id(compat.backing(variable)))
        if meaning is None:
            return value
        return meaning.to_v1(tf.convert_to_tensor(value)).numpy()

    @functools.cached_property
    def _meanings(self) -> dict[int, optimizers.Momentum]:
        return optimizers.meanings_of(self.optimizer, [])


def read(variable: Any) -> Any:
    """Returns the value of a variable, combined from all replicas."""
    return np.asarray(compat.backing(variable).read_value())


def _check_model(model: Any) -> None:
    if not compat.is_layer(model) or not hasattr(model, "evaluate"):
        raise ArgumentError(
            f"a {type(model).__name__} is not a Keras model",
            "model",
            "Pass the model.",
        )
    backend = compat.backend_of(model)
    if backend != "tensorflow":
        raise BackendError(
            f"checkpoints of v1 need TensorFlow, and the model runs on "
            f"{backend}",
            "model",
            "Set KERAS_BACKEND=tensorflow.",
        )
    strategy = getattr(model, "distribute_strategy", None)
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise StrategyError(
            "the variables of the model are in parts on parameter servers",
            "model",
            "Make the same model outside of the strategy for this.",
        )
    if not model.built or not model.weights:
        raise ArgumentError(
            f"the model {model.name!r} has no weights yet",
            "model",
            "Build it: call it on one batch, or model.build(input_shape).",
        )
    if not model_info.is_built(model):
        logger.warning(
            "Some layers of the model %r have no weights yet, and are left "
            "out: if it uses them, call it on one batch before.",
            model.name,
        )


def _weights_of(model: Any) -> dict[str, Any]:
    """Lists the weights of a model by their paths, without repetitions.

    If two have the same path, the second one is numbered, as in the graph of
    hooks.
    """
    by_id = {id(compat.backing(one)): one for one in model.weights}
    variables = list(by_id.values())
    paths = _names.unique(map(model_info.path_of, variables))
    return dict(zip(paths, variables, strict=True))


def _ids(variables: Any) -> set[int]:
    return {id(compat.backing(variable)) for variable in variables}
