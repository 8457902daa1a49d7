# SPDX-License-Identifier: Apache-2.0
"""Which slots of Keras's optimizers v1's optimizers had.

`tests/_checkpoints` compares their names and values with those of v1.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizer_slots
from final_ops_callback._keras.optimizer_slots import KINDS
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import LossScaleOptimizer
from tests.flavors import keras

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


@flavors
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.keras)
def test_a_kind_is_known(flavor: Any, kind: Any) -> None:
    """Each optimizer that v1 had is known, legacy or not."""
    home = flavor.optimizers
    made = [getattr(home, kind.keras)()]
    if not hasattr(flavor, "ops"):
        made.append(getattr(home.legacy, kind.keras)())

    for optimizer in made:
        found = optimizer_slots.kind_of(optimizer)
        assert found is not None
        assert (found.keras, found.v1) == (kind.keras, kind.v1)


@pytest.mark.parametrize(
    ("optimizer", "kept", "left"),
    [
        (lambda o: o.SGD(), [], []),
        (lambda o: o.SGD(momentum=0.5), ["momentums"], []),
        (lambda o: o.RMSprop(), ["_velocities"], ["_momentums"]),
        (
            lambda o: o.RMSprop(centered=True, momentum=0.5),
            ["_velocities", "_average_gradients", "_momentums"],
            [],
        ),
    ],
)
def test_the_options_decide(optimizer: Any, kept: Any, left: Any) -> None:
    """v1 made the slot of a momentum that is 0; Keras keeps none."""
    made = optimizer(keras.optimizers)
    kind = optimizer_slots.kind_of(made)
    by_kept: dict[bool, list[str]] = {True: [], False: []}
    for slot in kind.slots:
        is_kept = optimizer_slots.is_kept(made, slot)
        by_kept[is_kept].append(slot.attribute)

    assert by_kept == {True: kept, False: left}


def test_a_loss_scale_has_the_kind_of_its_inner_optimizer() -> None:
    """The slots are those of the optimizer that updates."""
    scaled = LossScaleOptimizer(keras.optimizers.Adam())

    assert optimizer_slots.kind_of(scaled).keras == "Adam"
    assert not optimizer_slots.has_averages(scaled)


def test_other_optimizers_are_of_no_kind() -> None:
    """v1 had neither Nadam nor the maxima of amsgrad."""
    for optimizer in (
        keras.optimizers.Nadam(),
        keras.optimizers.Adam(amsgrad=True),
        KERAS_2.optimizers.legacy.Adam(amsgrad=True),
    ):
        assert optimizer_slots.kind_of(optimizer) is None


@flavors
def test_a_slot_belongs_to_its_weight(flavor: Any) -> None:
    """A weight that was frozen since does not shift the slots of others."""
    layers = [flavor.layers.Dense(units) for units in (2, 3)]
    for layer in layers:
        layer.build((None, 4))
    weights = [layer.kernel for layer in layers]
    optimizer = flavor.optimizers.Adagrad()
    optimizer_compat.build(optimizer, weights)
    (slot,) = optimizer_slots.kind_of(optimizer).slots

    found = optimizer_slots.slot_of(optimizer, slot, weights[1])
    assert tuple(found.shape) == (4, 3)
    with pytest.raises(LookupError):
        optimizer_slots.slot_of(optimizer, slot, layers[0].bias)


@flavors
def test_the_largest_update_of_rmsprop(flavor: Any) -> None:
    """The first step, from zeros, goes exactly as far as any may go."""
    optimizer = flavor.optimizers.RMSprop(0.01, rho=0.75, epsilon=1e-20)
    weight = (flavor if hasattr(flavor, "ops") else tf).Variable([5.0])
    optimizer.apply_gradients([(tf.constant([3.0]), weight)])
    update = 5.0 - float(np.asarray(weight)[0])

    assert optimizer_slots.largest_update(optimizer) == pytest.approx(
        update, rel=1e-4
    )
    for unknown in (
        flavor.optimizers.RMSprop(0.01, centered=True),
        flavor.optimizers.RMSprop(
            flavor.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
        ),
    ):
        assert optimizer_slots.largest_update(unknown) is None


def kinds_of(home: Any) -> list[Any]:
    """Returns the optimizers of a module that can be made of a rate alone."""
    found = {id(kind): kind for kind in vars(home).values()}
    return [
        kind
        for kind in found.values()
        if isinstance(kind, type)
        and hasattr(kind, "apply_gradients")
        and not kind.__name__.startswith(("Optimizer", "LossScale", "Multi"))
    ]


def first_update(make: Any, at: int, flavor: Any) -> Any:
    """Returns the first update with new slots, at a step."""
    optimizer = make(0.1)
    # Muon treats matrices and vectors differently.
    weights = [
        (flavor if hasattr(flavor, "ops") else tf).Variable(
            np.full(shape, 5.0, "f")
        )
        for shape in ((2, 2), (2,))
    ]
    optimizer_compat.build(optimizer, weights)
    optimizer.iterations.assign(at)
    optimizer.apply_gradients([(tf.fill(w.shape, 0.3), w) for w in weights])
    return np.concatenate([np.ravel(weight) for weight in weights])


@flavors
def test_whose_update_depends_on_the_step(flavor: Any) -> None:
    """Each optimizer of Keras that does so is known, and no other one."""
    homes = [flavor.optimizers]
    homes += [] if hasattr(flavor, "ops") else [flavor.optimizers.legacy]
    kinds = [kind for home in homes for kind in kinds_of(home)]
    assert len(kinds) > 7
    for kind in kinds:
        updates = [first_update(kind, at, flavor) for at in (0, 1000)]
        differs = np.abs(updates[1] - updates[0]).max() > 1e-3

        assert optimizer_slots.depends_on_step(kind(0.1)) == differs, kind
