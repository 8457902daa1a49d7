# SPDX-License-Identifier: Apache-2.0
"""Finds the optimizers of a Keras model, and converts their slots to v1's."""

from __future__ import annotations

import logging
import operator
import re
import weakref
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizer_compat

logger = logging.getLogger("final_ops_callback")

_TRACED = "_final_ops_callback_traced"


def optimizers_of(model: Any) -> dict[str, Any]:
    """Lists the optimizers that are attributes of a model.

    A user-defined step (of a GAN, for example) updates with optimizers that
    are attributes of the model, alone or in lists and dicts. The optimizer of
    `compile` may never be used then.

    Args:
        model: A Keras model of any flavor.

    Returns:
        Dict from the name of each optimizer in a graph to the optimizer. The
        optimizer of `compile` comes first, if there is one.
    """
    own = getattr(model, "optimizer", None)
    found: dict[int, tuple[str, Any]] = {}
    if own is not None:
        found[id(own)] = graph_name(own, ""), own
    # Private attributes come last: TensorFlow uses some of them to list
    # everything that a model tracks.
    attributes = sorted(vars(model), key=lambda name: name.startswith("_"))
    for attribute in attributes:
        value = vars(model)[attribute]
        for part in _leaves(value):
            if optimizer_compat.is_optimizer(part) and id(part) not in found:
                found[id(part)] = graph_name(part, attribute), part
    listed: dict[str, Any] = {}
    for name, optimizer in found.values():
        unique, count = name, 0
        while unique in listed:
            count += 1
            unique = f"{name}_{count}"
        listed[unique] = optimizer
    return listed


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def graph_name(optimizer: Any, attribute: str) -> str:
    """Returns the name of an optimizer in a graph.

    Keras 3 numbers the unnamed optimizers of a process: the second Adam is
    `adam_1`. A name in a graph must not depend on how many optimizers were
    made before, or a checkpoint could not be restored.

    Args:
        optimizer: An optimizer of any flavor.
        attribute: String. The attribute of the model that holds the optimizer,
            which names an unnamed one. `""` for the optimizer of `compile`,
            which then gets the name of its class.
    """
    name = optimizer_compat.name_of(optimizer)
    inner = optimizer_compat.inner_of(optimizer)
    kinds = {optimizer_compat.uncounted_name(one) for one in (optimizer, inner)}
    kind = next((k for k in kinds if _is_counted(name, k)), None)
    if kind is None:
        return name
    return attribute.lstrip("_") or kind


def _is_counted(name: str, kind: str) -> bool:
    return re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name) is not None


def graph_path(path: str, optimizer: Any, name: str) -> str:
    """Returns the path of an optimizer's variable in a graph.

    Args:
        path: String. The path that Keras gave the variable.
        optimizer: The optimizer.
        name: String. The name of the optimizer in the graph.
    """
    inner = optimizer_compat.inner_of(optimizer)
    for one in (optimizer, inner):
        given = optimizer_compat.name_of(one)
        head, _, rest = path.partition("/")
        # Keras 2 numbers the scopes of its slots, if a step makes them.
        if rest and _is_counted(head, given):
            scope = name if one is inner else graph_name(one, "")
            return f"{scope}/{_unnumbered(rest)}"
    return path if "/" in path else f"{name}/{_unnumbered(path)}"


def _unnumbered(name: str) -> str:
    # One variable of Nadam is unnamed; Keras 3 numbers such variables.
    return re.sub(r"^[Vv]ariable(_[0-9]+)?$", "variable", name)


def variables_of(optimizer: Any) -> list[Any]:
    """Returns the variables of an optimizer of any flavor."""
    variables = optimizer.variables
    listed = list(variables() if callable(variables) else variables)
    return [*listed, *optimizer_compat.unlisted(optimizer)]


def build(model: Any) -> bool:
    """Makes the slots of `compile`'s optimizer, which Keras makes in a step.

    A v1 hook expects the slots in `begin`, where v1 had them.

    Args:
        model: A built Keras model of any flavor.

    Returns:
        Whether this call made the slots.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if optimizer is None or optimizer_compat.is_built(optimizer):
        return False
    if len(optimizers_of(model)) > 1:
        # A trace of the step has built all optimizers that train: this one
        # does not.
        return False
    with compat.strategy_scope(model), optimizer_compat.slot_scope(optimizer):
        optimizer_compat.build(optimizer, model.trainable_variables)
    return True


def averages_of(model: Any) -> list[tuple[Any, Any]]:
    """Returns the moving averages of weights that a Keras 2 optimizer keeps.

    Args:
        model: A model of Keras 2 whose optimizer has its slots.

    Returns:
        List of pairs of a moving average and its weight.
    """
    optimizer = optimizer_compat.inner_of(model.optimizer)
    if not getattr(optimizer, "use_ema", False):
        return []
    averages = [v for v in variables_of(optimizer) if "/average/" in v.name]
    return list(zip(averages, model.trainable_variables, strict=True))


def unbuilt(model: Any) -> bool:
    """Returns whether only a step of the model can make some of its slots.

    This is true if the model has several optimizers: only the step determines
    which variables each of them updates, if any.
    """
    optimizers = optimizers_of(model)
    return (
        len(optimizers) > 1
        and not _was_traced(model, optimizers)
        and not all(map(optimizer_compat.is_built, optimizers.values()))
    )


def note_traced(model: Any) -> None:
    """Notes that a trace of the step has made all slots that it will use."""
    optimizers = optimizers_of(model).values()
    vars(model)[_TRACED] = [weakref.ref(one) for one in optimizers]


def _was_traced(model: Any, optimizers: dict[str, Any]) -> bool:
    # By identity, because Keras 3 defines no other equality of optimizers.
    traced = [ref() for ref in vars(model).get(_TRACED, ())]
    now = list(optimizers.values())
    return len(traced) == len(now) and all(map(operator.is_, traced, now))


def meanings_of(optimizer: Any, written: list[Momentum]) -> dict[int, Momentum]:
    """Returns the conversions of the slots whose values differ from v1's.

    The slots of all other optimizers that both Keras and v1 have hold the same
    values (tests/_keras/test_v1_slots.py compares them).

    Args:
        optimizer: An optimizer of any flavor.
        written: List to which each conversion is added when its slot is
            written. `complete` of each has to be called right before the next
            step.

    Returns:
        Dict from the `id` of a variable of the optimizer to its conversion.
    """
    inner = optimizer_compat.inner_of(optimizer)
    return {
        id(compat.backing(variable)): Momentum(inner, variable, written)
        for variable in optimizer_compat.momentums_of(inner)
    }


class Momentum:
    """A conversion of the momentum of Keras's SGD to and from v1's values.

    v1's momentum added up gradients, and its update multiplied the sum by the
    learning rate. Keras adds up updates: minus the rate times v1's value. So a
    value that a hook writes is converted with the rate of the next step.

    Args:
        optimizer: The optimizer.
        variable: The slot.
        written: As in `meanings_of`.
    """

    def __init__(
        self, optimizer: Any, variable: Any, written: list[Momentum]
    ) -> None:
        self._optimizer = optimizer
        self._parts = compat.components(variable)
        self._written = written
        self._value: tf.Tensor | None = None

    def to_v1(self, value: tf.Tensor) -> tf.Tensor:
        """Converts a value of Keras's slot to the value that v1 kept."""
        rate = self._rate(value.dtype)
        self._warn_of_no_rate(rate, value, "is given as 0")
        return tf.math.divide_no_nan(-value, rate)

    def from_v1(self, value: tf.Tensor) -> tf.Tensor:
        """Converts a value that v1 kept to the value of Keras's slot."""
        self._value = value
        self._written.append(self)
        return -self._rate(value.dtype) * value

    def complete(self) -> None:
        """Converts the value that was written with the rate of the next step.

        The rate may have changed since the write: a checkpoint is restored
        before a scheduler sets the rate of the first epoch.
        """
        value, self._value = self._value, None
        if value is not None:
            rate = self._rate(value.dtype)
            self._warn_of_no_rate(rate, value, "is lost")
            for part in self._parts:
                part.assign(-rate * value)

    def _rate(self, dtype: tf.DType) -> tf.Tensor:
        return tf.cast(optimizer_compat.rate_of_next(self._optimizer), dtype)

    def _warn_of_no_rate(
        self, rate: tf.Tensor, value: tf.Tensor, what_happens: str
    ) -> None:
        if rate == 0 and tf.reduce_any(value != 0):
            logger.warning(
                "The learning rate of %r is 0, and Keras keeps the momentum "
                "multiplied by it: the momentum %s. Save and restore while "
                "the rate is not 0.",
                optimizer_compat.name_of(self._optimizer),
                what_happens,
            )
