# SPDX-License-Identifier: Apache-2.0
"""Which optimizers train a model, and what they are called in a graph."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import KERAS_2
from tests.flavors import path_of
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def paths_of(optimizer: Any) -> list[str]:
    """Returns the paths of the variables, with a name for the optimizer."""
    return [
        optimizers.graph_path(path_of(variable), optimizer, "given")
        for variable in optimizers.variables_of(optimizer)
    ]


@flavors
def test_the_optimizer_of_compile_comes_first(flavor: Any) -> None:
    """Others are found in attributes, in lists and in dicts, each once."""
    model = models.tiny_model(flavor)
    alone, listed, kept = (flavor.optimizers.Adam() for _ in range(3))
    model.alone = alone
    model.several = [listed, alone]
    model.by_name = {"kept": kept}
    found = optimizers.optimizers_of(model)

    assert next(iter(found.values())) is model.optimizer
    assert set(map(id, found.values())) == set(
        map(id, (model.optimizer, alone, listed, kept))
    )
    assert {"alone", "several", "by_name"} <= set(found)


@flavors
def test_two_that_would_have_one_name_are_told_apart(flavor: Any) -> None:
    """The second one of a list gets a number."""
    model = models.tiny_model(flavor)
    model.several = [flavor.optimizers.Adam(), flavor.optimizers.Adam()]

    assert list(optimizers.optimizers_of(model))[1:] == ["several", "several_1"]


@flavors
def test_a_model_without_compile_has_none(flavor: Any) -> None:
    """No optimizer is found, and none is made."""
    x = flavor.Input((1,))
    model = flavor.Model(x, flavor.layers.Dense(1)(x))

    assert optimizers.optimizers_of(model) == {}
    assert not optimizers.build(model)
    assert not optimizers.unbuilt(model)


@flavors
def test_a_name_does_not_count_the_optimizers_of_the_process(
    flavor: Any,
) -> None:
    """The tenth Adam is called as the first; a name of one's own stays."""
    names = {
        optimizers.graph_name(flavor.optimizers.Adam(), "") for _ in range(3)
    }
    own = flavor.optimizers.Adam(name="mine")

    assert {name.lower() for name in names} == {"adam"}
    assert len(names) == 1
    assert optimizers.graph_name(own, "attribute") == "mine"
    unnamed = flavor.optimizers.Adam()
    assert optimizers.graph_name(unnamed, "_critic") == "critic"


@flavors
def test_the_slots_of_two_optimizers_have_paths_of_the_graph(
    flavor: Any,
) -> None:
    """The same optimizer made twice has the same paths by its graph name."""
    found = []
    for _ in range(2):
        model = models.tiny_model(flavor)
        model.compile(flavor.optimizers.Adam(), "mse")
        optimizers.build(model)
        found.append(paths_of(model.optimizer))

    assert found[0] == found[1]
    assert all(path.startswith("given/") for path in found[0])


@flavors
def test_the_slots_are_made_once(flavor: Any) -> None:
    """A step makes the same slots, and finds those that are there."""
    model = models.tiny_model(flavor, momentum=0.9)
    assert optimizers.build(model)
    assert not optimizers.build(model)
    early = list(optimizers.variables_of(model.optimizer))
    models.fit(model)
    late = list(optimizers.variables_of(model.optimizer))
    by_step = models.tiny_model(flavor, momentum=0.9)
    models.fit(by_step)

    assert list(map(id, early)) == list(map(id, late))
    assert paths_of(model.optimizer) == paths_of(by_step.optimizer)


@flavors
def test_slots_of_several_optimizers_are_left_to_the_step(flavor: Any) -> None:
    """Only a trace of the step tells which of them are used."""
    model = models.tiny_model(flavor)
    model.other = flavor.optimizers.Adam()
    assert not optimizers.build(model)
    assert optimizers.unbuilt(model)
    optimizers.note_traced(model)
    assert not optimizers.unbuilt(model)
    model.compile(flavor.optimizers.SGD(), "mse")

    assert optimizers.unbuilt(model)


@flavors
def test_momentum_goes_to_v1_and_back(flavor: Any) -> None:
    """What is written is, at the next step, the rate times what v1 kept."""
    model = models.tiny_model(flavor, momentum=0.9)
    optimizers.build(model)
    written: list[Any] = []
    meanings = optimizers.meanings_of(model.optimizer, written)
    slot, *_ = optimizer_compat.momentums_of(model.optimizer)
    (meaning,) = [
        m for m in meanings.values() if m._parts[0].shape == slot.shape
    ][:1]
    value = tf.fill(slot.shape, 2.0)
    kept = meaning.from_v1(value)
    np.testing.assert_allclose(meaning.to_v1(kept), value, rtol=1e-6)
    assert written == [meaning]
    model.optimizer.learning_rate = 0.5
    meaning.complete()

    np.testing.assert_allclose(to_numpy(slot), -0.5 * value)
    slot.assign(tf.zeros(slot.shape))
    meaning.complete()
    np.testing.assert_array_equal(to_numpy(slot), np.zeros(slot.shape))


@flavors
def test_a_momentum_without_a_rate_is_told(
    flavor: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With a rate of 0, what v1 kept can't be known."""
    model = models.tiny_model(flavor, momentum=0.9)
    optimizers.build(model)
    meaning = next(iter(optimizers.meanings_of(model.optimizer, []).values()))
    model.optimizer.learning_rate = 0.0
    zero = meaning.to_v1(tf.zeros([1]))
    assert not caplog.records
    lost = meaning.to_v1(tf.ones([1]))

    assert (float(zero[0]), float(lost[0])) == (0.0, 0.0)
    assert "is given as 0" in caplog.text


def test_a_legacy_momentum_without_a_rate_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A legacy optimizer has no public name, and is named all the same."""
    model = models.tiny_model(KERAS_2)
    legacy = KERAS_2.optimizers.legacy.SGD(0.0, momentum=0.9)
    model.compile(legacy, "mse")
    optimizers.build(model)
    meaning = next(iter(optimizers.meanings_of(legacy, []).values()))

    meaning.to_v1(tf.ones([1]))

    assert "The learning rate of 'SGD' is 0" in caplog.text


@flavors
def test_other_slots_mean_what_they_meant(flavor: Any) -> None:
    """Those of Adam, and of a subclass of SGD, are as v1 kept them."""

    class Own(flavor.optimizers.SGD):
        def update_step(self, *args: Any) -> None:
            """Updates in another way."""

    for optimizer in (
        flavor.optimizers.Adam(),
        Own(momentum=0.9),
    ):
        model = models.tiny_model(flavor)
        model.compile(optimizer, "mse")
        optimizers.build(model)

        assert optimizers.meanings_of(optimizer, []) == {}
