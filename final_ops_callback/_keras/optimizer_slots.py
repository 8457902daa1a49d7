# SPDX-License-Identifier: Apache-2.0
"""Tells which slots of a Keras optimizer v1's optimizer of its kind had."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizer_compat

# The name under which v1's ExponentialMovingAverage saved an average.
AVERAGE = "ExponentialMovingAverage"


@dataclasses.dataclass(frozen=True)
class SlotKind:
    """A slot that v1's optimizer made for each trained weight.

    Attributes:
        attribute: String. The attribute of a Keras optimizer that lists the
            slots (tests/test_private_api.py notices a change).
        legacy: String. The name of the slot in Keras 2's legacy optimizers.
        option: String. The option of the optimizer without which Keras does
            not keep the slot. Defaults to `""`: it always does.
        always: Boolean. Whether v1 made the slot in any case. Zeros are saved
            for it then. Defaults to `True`.
    """

    attribute: str
    legacy: str
    option: str = ""
    always: bool = True


@dataclasses.dataclass(frozen=True)
class OptimizerKind:
    """An optimizer that both v1 and Keras have.

    Attributes:
        keras: String. The name of the class in Keras.
        v1: String. The default name of v1's optimizer, and of its slots.
        slots: Tuple of `SlotKind`, in the order in which v1 made them.
    """

    keras: str
    v1: str
    slots: tuple[SlotKind, ...]


KINDS = (
    OptimizerKind(
        "SGD",
        "Momentum",
        (SlotKind("momentums", "momentum", "momentum", False),),
    ),
    OptimizerKind(
        "Adam",
        "Adam",
        (SlotKind("_momentums", "m"), SlotKind("_velocities", "v")),
    ),
    OptimizerKind(
        "RMSprop",
        "RMSProp",
        (
            SlotKind("_velocities", "rms"),
            SlotKind("_average_gradients", "mg", "centered", False),
            SlotKind("_momentums", "momentum", "momentum"),
        ),
    ),
    OptimizerKind(
        "Adagrad", "Adagrad", (SlotKind("_accumulators", "accumulator"),)
    ),
    OptimizerKind(
        "Adadelta",
        "Adadelta",
        (
            SlotKind("_accumulated_grads", "accum_grad"),
            SlotKind("_accumulated_delta_vars", "accum_var"),
        ),
    ),
    OptimizerKind(
        "Ftrl",
        "Ftrl",
        (
            SlotKind("_accumulators", "accumulator"),
            SlotKind("_linears", "linear"),
        ),
    ),
)


# Whose update depends on the step, at a constant rate: most of them correct
# moments that began at zero.
_BY_STEP = (
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Adafactor",
    "Muon",
    "ScheduleFreeAdamW",
)


def depends_on_step(optimizer: Any) -> bool:
    """Returns whether the same gradient has another effect at a later step.

    Args:
        optimizer: An optimizer of any flavor.
    """
    inner = optimizer_compat.inner_of(optimizer)
    home = compat.flavor_of(inner).optimizers
    if optimizer_compat.is_legacy(inner):
        home = home.legacy
    kinds = (getattr(home, name, None) for name in _BY_STEP)
    return any(kind is not None and isinstance(inner, kind) for kind in kinds)


def kind_of(optimizer: Any) -> OptimizerKind | None:
    """Returns the kind of an optimizer, with the slots that v1 made for it.

    Args:
        optimizer: An optimizer of any flavor.

    Returns:
        Its kind, or `None` if v1 had no such optimizer, or if a subclass
        overrides the update: the meaning of its slots is unknown.
    """
    inner = optimizer_compat.inner_of(optimizer)
    options = inner.get_config()
    for kind in KINDS:
        if _is_a(inner, kind.keras) and not options.get("amsgrad"):
            slots = tuple(
                slot
                for slot in kind.slots
                if slot.always or options.get(slot.option)
            )
            return dataclasses.replace(kind, slots=slots)
    return None


def _is_a(optimizer: Any, name: str) -> bool:
    optimizers = compat.flavor_of(optimizer).optimizers
    if optimizer_compat.is_legacy(optimizer):
        optimizers = optimizers.legacy
        update = "_resource_apply_dense"
    else:
        update = "update_step"
    own = getattr(optimizers, name, None)
    if own is None or not isinstance(optimizer, own):
        return False
    return getattr(type(optimizer), update) is getattr(own, update)


def is_kept(optimizer: Any, slot: SlotKind) -> bool:
    """Returns whether an optimizer keeps a slot that v1 made.

    v1's RMSProp made a slot for the momentum even where it was zero.
    """
    options = optimizer_compat.inner_of(optimizer).get_config()
    return not slot.option or bool(options.get(slot.option))


def largest_update(optimizer: Any) -> float | None:
    """Returns how far one update of an RMSprop without momentum can go.

    The mean of squares that it divides by holds 1 - rho of the square of the
    gradient itself.

    Args:
        optimizer: An RMSprop of any flavor, without momentum.

    Returns:
        The rate divided by the root of 1 - rho; `None` if a schedule gives the
        rate, or if it is centered, where there is no bound.
    """
    options = optimizer_compat.inner_of(optimizer).get_config()
    rate = options["learning_rate"]
    if isinstance(rate, dict) or callable(rate) or options["centered"]:
        return None
    return float(rate) / math.sqrt(max(1.0 - float(options["rho"]), 1e-12))


def slot_of(optimizer: Any, slot: SlotKind, weight: Any) -> Any:
    """Returns the variable of a slot for a weight.

    Args:
        optimizer: An optimizer that has its slots.
        slot: A slot that it keeps.
        weight: One of the weights that it trains.

    Raises:
        LookupError: The optimizer was not built for this weight.
    """
    inner = optimizer_compat.inner_of(optimizer)
    if optimizer_compat.is_legacy(inner):
        return inner.get_slot(weight, slot.legacy)
    return getattr(inner, slot.attribute)[_index(inner, weight)]


def has_averages(optimizer: Any) -> bool:
    """Returns whether an optimizer keeps moving averages of the weights."""
    inner = optimizer_compat.inner_of(optimizer)
    return bool(getattr(inner, "use_ema", False))


def average_of(optimizer: Any, weight: Any) -> Any:
    """Returns the moving average of a weight that an optimizer keeps.

    No public attribute lists them (tests/test_private_api.py notices a
    change).

    Args:
        optimizer: An optimizer with `use_ema=True` that has its slots.
        weight: One of the weights that it trains.
    """
    inner = optimizer_compat.inner_of(optimizer)
    return inner._model_variables_moving_average[_index(inner, weight)]


def _index(optimizer: Any, weight: Any) -> int:
    """Returns the place of a weight in the lists of an optimizer.

    It differs from the place in the model where layers were frozen after the
    optimizer was built. No public attribute tells it
    (tests/test_private_api.py notices a change).
    """
    if hasattr(optimizer, "_index_dict"):  # Keras 2
        return int(optimizer._index_dict[optimizer._var_key(weight)])
    listed = [id(variable) for variable in optimizer._trainable_variables]
    if id(weight) not in listed:
        raise LookupError(weight)
    return listed.index(id(weight))
