# SPDX-License-Identifier: Apache-2.0
"""The optimizers of a Keras model: which train it, what their slots mean."""

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
    """Lists the optimizers that stand on a model.

    A step of the user's own (that of a GAN, say) updates with optimizers
    which are attributes of the model, alone or in lists and dicts. The one of
    `compile` may never be used then.

    Args:
        model: A Keras model of any flavor.

    Returns:
        Dict from the name that each has in a graph to the optimizer. That of
        `compile` comes first, if there is one.
    """
    own = getattr(model, "optimizer", None)
    found: dict[int, tuple[str, Any]] = {}
    if own is not None:
        found[id(own)] = graph_name(own, ""), own
    # TensorFlow lists all that a model tracks in attributes of its own.
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

    Keras 3 counts the optimizers of a process that nobody named: the second
    Adam is `adam_1`. A name in a graph must not depend on how many were made
    before, or a checkpoint would not restore.

    Args:
        optimizer: An optimizer of any flavor.
        attribute: String. The attribute of the model that it is found under,
            which names one that has no name of its own. `""` for that of
            `compile`, which is called by its kind.
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
    """Returns the path of a variable of an optimizer, by its name in a graph.

    Args:
        path: String. The path that Keras has given it.
        optimizer: The optimizer.
        name: String. The name of the optimizer in the graph.
    """
    inner = optimizer_compat.inner_of(optimizer)
    for one in (optimizer, inner):
        given = optimizer_compat.name_of(one)
        head, _, rest = path.partition("/")
        # Keras 2 counts the scopes of its slots, if a step makes them.
        if rest and _is_counted(head, given):
            return f"{name if one is inner else graph_name(one, '')}/{rest}"
    if "/" in path:
        return path
    # One of Nadam has no name in Keras 3, which counts those that have none.
    return f"{name}/{re.sub(r'^variable_[0-9]+$', 'variable', path)}"


def variables_of(optimizer: Any) -> list[Any]:
    """Returns the variables of an optimizer of any flavor."""
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def build(model: Any) -> bool:
    """Makes the slots of `compile`'s optimizer, which Keras makes in a step.

    A v1 hook finds them in `begin`, as it did under v1.

    Args:
        model: A built Keras model of any flavor.

    Returns:
        Whether they were made now.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if optimizer is None or optimizer_compat.is_built(optimizer):
        return False
    if len(optimizers_of(model)) > 1:
        # A trace of the step has built those that train: this one does not.
        return False
    with compat.strategy_scope(model), optimizer_compat.slot_scope(optimizer):
        optimizer_compat.build(optimizer, model.trainable_variables)
    return True


def averages_of(model: Any) -> list[tuple[Any, Any]]:
    """Returns the moving averages that an optimizer of Keras 2 keeps.

    Args:
        model: A model of Keras 2 whose optimizer has its slots.

    Returns:
        List of pairs of an average and the weight that it follows.
    """
    optimizer = optimizer_compat.inner_of(model.optimizer)
    if not getattr(optimizer, "use_ema", False):
        return []
    averages = [v for v in variables_of(optimizer) if "/average/" in v.name]
    return list(zip(averages, model.trainable_variables, strict=True))


def unbuilt(model: Any) -> bool:
    """Returns whether only a step of the model can make some of its slots.

    That is so if it has several optimizers: which variables each of them
    updates, and whether it ever does, the step alone knows.
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
    # By identity: Keras 3 compares optimizers by nothing else.
    traced = [ref() for ref in vars(model).get(_TRACED, ())]
    now = list(optimizers.values())
    return len(traced) == len(now) and all(map(operator.is_, traced, now))


def meanings_of(optimizer: Any, written: list[Momentum]) -> dict[int, Momentum]:
    """Returns how slots are converted that v1 kept with another value.

    The slots of all other optimizers that both have hold the same values
    (tests/_keras/test_v1_slots.py compares them).

    Args:
        optimizer: An optimizer of any flavor.
        written: List to which the ones are added that are written. Each has
            to be completed right before the next step.

    Returns:
        Dict from the identity of a variable of the optimizer to its meaning.
    """
    inner = optimizer_compat.inner_of(optimizer)
    return {
        id(compat.backing(variable)): Momentum(inner, variable, written)
        for variable in optimizer_compat.momentums_of(inner)
    }


class Momentum:
    """The momentum of Keras's SGD, as v1 kept it.

    v1's momentum added up gradients, and its update multiplied the sum by the
    rate. Keras adds up updates: minus the rate times what v1 kept. So what a
    hook writes is worth the rate of the step that comes.

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
        """Returns what v1 kept, for what Keras keeps."""
        rate = self._rate(value.dtype)
        self._warn_of_no_rate(rate, value, "is given as 0")
        return tf.math.divide_no_nan(-value, rate)

    def from_v1(self, value: tf.Tensor) -> tf.Tensor:
        """Returns what Keras keeps, for what v1 kept."""
        self._value = value
        self._written.append(self)
        return -self._rate(value.dtype) * value

    def complete(self) -> None:
        """Converts what was written with the rate of the step that comes.

        It may be another one than when it was written: a checkpoint is
        restored before a scheduler has set the rate of the first epoch.
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
                "The learning rate of %r is 0, and Keras keeps the rate times "
                "what v1 kept of the momentum: it %s. Save and restore while "
                "there is a rate.",
                self._optimizer.name,
                what_happens,
            )
