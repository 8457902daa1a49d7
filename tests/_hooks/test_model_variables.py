# SPDX-License-Identifier: Apache-2.0
"""The live variables of a model, by the names of their twins."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks import scaffold as scaffolds
from final_ops_callback._hooks.model_variables import ROLES
from final_ops_callback._hooks.model_variables import live_variables
from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizers
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback.errors import ArgumentError
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import keras
from tests.flavors import needs_keras_3
from tests.flavors import path_of

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def built(flavor: Any, **optimizer: Any) -> Any:
    """Returns a model that has its slots."""
    model = models.tiny_model(flavor, **optimizer)
    optimizers.build(model)
    return model


def names(live: list[Any], role: str) -> list[str]:
    """Returns the names of the variables of a role."""
    return [one.name for one in live if one.role == role]


@flavors
def test_each_variable_has_its_role(flavor: Any) -> None:
    """In the order of v1: weights, the step, slots, and what is local."""
    model = built(flavor, momentum=0.9)
    models.fit(model)
    live = live_variables(model, {})
    order = [ROLES.index(one.role) for one in live]

    assert names(live, "weight") == ["out/kernel", "out/bias"]
    assert names(live, "global_step") == ["global_step"]
    assert len(names(live, "slot")) == 2
    assert len(names(live, "learning_rate")) == 1
    assert len(names(live, "metric")) == 4  # two means, of loss and of mae
    assert order == sorted(order)
    assert len({one.name.lower() for one in live}) == len(live)


@flavors
def test_a_twin_stands_for_the_variable_itself(flavor: Any) -> None:
    """Each variable once, and the one that Keras has."""
    model = built(flavor)
    live = live_variables(model, {})
    found = {id(one.variable) for one in live}
    weights = {id(compat.backing(v)) for v in model.weights}

    assert weights <= found
    assert len(found) == len(live)


@flavors
def test_a_name_can_be_given(flavor: Any) -> None:
    """The others keep away from it."""
    live = live_variables(built(flavor), {"out/bias": "out/kernel"})
    by_path = {one.path: one.name for one in live}

    assert by_path["out/bias"] == "out/kernel"
    assert by_path["out/kernel"] == "out/kernel_1"


@flavors
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"out/nothing": "a"}, "no variable 'out/nothing'"),
        ({"out/kernel": "a", "out/bias": "a"}, "given to two variables"),
    ],
)
def test_a_wrong_name_is_refused(
    flavor: Any, given: dict[str, str], message: str
) -> None:
    """One of no variable, and one of two."""
    with pytest.raises(ArgumentError, match=message):
        live_variables(built(flavor), given)


@flavors
def test_a_frozen_weight_is_known(flavor: Any) -> None:
    """It is there, but not trained."""
    model = models.tiny_model(flavor)
    model.layers[-1].trainable = False
    live = live_variables(model, {})

    assert [one.is_trained for one in live if one.role == "weight"] == [
        False,
        False,
    ]


@flavors
def test_another_counter_takes_the_place_of_the_step(flavor: Any) -> None:
    """It is the global step, and the count of the optimizer none."""
    counter = tf.Variable(7, dtype=tf.int64)
    live = live_variables(built(flavor), {}, step_counter=counter)
    (step,) = [one for one in live if one.role == "global_step"]

    assert step.variable is counter


@flavors
def test_all_may_be_read_only(flavor: Any) -> None:
    """With the reason that was given."""
    reason = "because", "Do not."
    live = live_variables(built(flavor), {}, reason)

    assert {one.why_read_only for one in live} == {reason}


@needs_keras_3
def test_a_state_that_keras_numbers_is_saved_under_its_layer() -> None:
    """The graph has it under its path; a name that is given is for both."""
    layers = [keras.Input((3,)), keras.layers.Dropout(0.5, name="drop")]
    model = keras.Sequential(layers, name="net")
    (state,) = model.variables
    path, saved_as = path_of(state), "drop/seed_generator"

    def found(given: dict[str, str]) -> list[tuple[str, str]]:
        live = live_variables(model, given)
        return [(v.name, v.saved_as) for v in live if v.path == path]

    assert path != saved_as
    assert found({}) == [(path, saved_as)]
    assert found({path: "mine"}) == [("mine", "")]
    assert found({saved_as: "mine"}) == [("mine", "")]


@needs_keras_3
def test_no_two_variables_are_saved_under_one_name() -> None:
    """Another variable may have the name of the layer's state."""
    layers = [
        keras.Input((3,)),
        keras.layers.Dense(2, name="out"),
        keras.layers.Dropout(0.5, name="drop"),
    ]
    model = keras.Sequential(layers, name="net")
    live = live_variables(model, {"net/out/bias": "drop/seed_generator"})
    graph = HookGraph(live)
    with graph.as_default(), scaffolds.scaffold_of(None) as scaffold:
        scaffolds.finalize(scaffold, graph)
        variables = tf.compat.v1.global_variables()
        saved = scaffold.saver._var_list

    assert "drop/seed_generator" in saved
    assert len(saved) == len(variables)
    assert len({id(variable) for variable in saved.values()}) == len(saved)
