# SPDX-License-Identifier: Apache-2.0
"""The state of a model in the terms of v1."""

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.model_state import read
from final_ops_callback.errors import CheckpointError
from final_ops_callback.errors import StrategyError
from tests._checkpoints import models
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of


@pytest.mark.parametrize("name", PAIRS)
def test_the_slots_are_those_of_v1(name: str) -> None:
    """The slots have the names of the variables that v1's optimizer makes."""
    made = set(Original(PAIRS[name].original).variables)
    state = ModelState(model_of(PAIRS[name].ours()), True, None)
    slots = {f"{slot.path}{slot.suffix}" for slot in state.slots()}

    assert {*WEIGHTS, "global_step", *state.betas, *slots} == made


def test_slots_are_made_when_they_are_needed() -> None:
    """An optimizer that has not trained yet is built for its weights."""
    state = ModelState(model_of(OPTIMIZERS.Adam(0.1)), True, None)
    state.build_slots()
    shapes = [tuple(slot.variable().shape) for slot in state.slots()]

    assert shapes == [one.shape for one in WEIGHTS.values() for _ in range(2)]


def test_a_momentum_is_converted_by_the_rate() -> None:
    """What v1 kept is read back, and Keras keeps minus the rate times it."""
    state = ModelState(model_of(OPTIMIZERS.SGD(0.25, momentum=0.9)), True, None)
    state.build_slots()
    slot = state.slots()[0].variable()
    value = WEIGHTS["hidden/kernel"]
    state.write_slot(slot, value)

    np.testing.assert_array_equal(read(slot), -0.25 * value)
    np.testing.assert_array_equal(state.read_slot(slot), value)


def test_a_step_that_can_not_be_counted() -> None:
    """Neither a negative step nor one above the dtype can be written."""
    state = ModelState(model_of(OPTIMIZERS.SGD(0.1)), True, None)
    counter = model_of(OPTIMIZERS.SGD(0.1)).optimizer.iterations
    largest = tf.as_dtype(counter.dtype).max
    state.check_step(largest, "path")

    for step in (-1, largest + 1):
        with pytest.raises(CheckpointError, match=f"step {step} does not fit"):
            state.check_step(step, "path")


def test_parameter_servers_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Variables that are divided among servers can't be restored."""
    model = models.mirrored()
    strategy = type(model.distribute_strategy)
    monkeypatch.setattr(tf.distribute, "ParameterServerStrategy", strategy)

    with pytest.raises(StrategyError, match="parts on parameter servers"):
        ModelState(model, True, None)
