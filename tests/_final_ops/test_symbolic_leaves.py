# SPDX-License-Identifier: Apache-2.0
"""Symbolic leaves may have graphs with layers of the same name."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from final_ops_callback import FinalOpsCallback
from final_ops_callback import errors
from tests import models
from tests.flavors import FLAVORS
from tests.flavors import keras
from tests.flavors import needs_both

pytestmark = pytest.mark.slow

X = models.tiny_data().x


def net(name: str, flavor: ModuleType = keras) -> Any:
    """Returns a model with a layer `dense`, on an input of that name."""
    inputs = flavor.Input((3,), name=name)
    hidden = flavor.layers.Dense(2, "tanh", name="dense")(inputs)
    return flavor.Model(
        inputs, flavor.layers.Dense(1, name=f"out_{name}")(hidden)
    )


def values_of(final_ops: Any, feeds: Any) -> Any:
    """Returns the values at the end of the fit of another model."""
    final = FinalOpsCallback(final_ops, feeds)
    models.fit(models.tiny_model(), final)
    return final.final_ops_values


def test_two_models_with_a_layer_of_one_name() -> None:
    """Each leaf has the value that its own model gives."""
    first, second = net("x"), net("y")
    hidden = second.get_layer("dense").output

    values = values_of(
        {"a": first.output, "b": [second.output, hidden]}, {"x": X, "y": -X}
    )

    np.testing.assert_allclose(values["a"], first(X), rtol=1e-6)
    np.testing.assert_allclose(values["b"][0], second(-X), rtol=1e-6)
    inner = keras.Model(second.input, hidden)
    np.testing.assert_allclose(values["b"][1], inner(-X), rtol=1e-6)


def test_two_models_with_an_input_of_one_name() -> None:
    """A feed by name is for both inputs, a feed by tensor only for its own."""
    first, second = net("x"), net("x")
    leaves = [first.output, second.output]

    by_name = values_of(leaves, {"x": X})
    each = {models.key_of(first.input): X, models.key_of(second.input): -X}
    by_input = values_of(leaves, each)

    np.testing.assert_allclose(by_name[0], first(X), rtol=1e-6)
    np.testing.assert_allclose(by_name[1], second(X), rtol=1e-6)
    np.testing.assert_allclose(by_input[0], first(X), rtol=1e-6)
    np.testing.assert_allclose(by_input[1], second(-X), rtol=1e-6)


def test_two_layers_of_one_name_on_one_input() -> None:
    """Branches that one model can't hold are computed separately."""
    inputs = keras.Input((3,), name="x")
    branches = [keras.layers.Dense(n, name="dense")(inputs) for n in (1, 2)]

    values = values_of([*branches, inputs], {"x": X})

    assert [value.shape for value in values] == [(8, 1), (8, 2), (8, 3)]


@needs_both
def test_leaves_of_two_flavors() -> None:
    """A model of Keras 3 and one of tf_keras have their values together."""
    nets = [net(n, g) for n, g in zip("xy", FLAVORS.values(), strict=True)]

    values = values_of([one.output for one in nets], {"x": X, "y": X})

    for value, one in zip(values, nets, strict=True):
        np.testing.assert_allclose(value, one(X), rtol=1e-6)


def test_one_graph_with_two_layers_of_one_name() -> None:
    """A graph that no Keras model can hold is refused in the constructor."""
    inputs = keras.Input((3,), name="x")
    hidden = keras.layers.Dense(3, name="dense")(inputs)
    twice = keras.layers.Dense(2, name="dense")(hidden)

    with pytest.raises(
        errors.LeafError,
        match=r'"dense" is used 2 times.*final_ops\[\'a\'\].*name of its own',
    ):
        FinalOpsCallback({"a": twice}, {"x": X})


def test_the_way_out_of_such_a_graph() -> None:
    """A function computes the value that the leaf can't have."""
    first, second = (keras.layers.Dense(n, name="dense") for n in (3, 2))

    value = values_of(lambda x: second(first(x)), {"x": X})

    np.testing.assert_allclose(value, second(first(X)), rtol=1e-6)


def test_keras_counts_no_model_of_ours() -> None:
    """The next model has the same name as without the callback."""

    def next_name(*, is_evaluated: bool) -> str:
        keras.backend.clear_session()
        first, second = net("x"), net("y")
        if is_evaluated:
            models.finish(
                FinalOpsCallback(
                    [first.output, second.output], {"x": X, "y": X}
                )
            )
        return str(net("z").name)

    assert next_name(is_evaluated=True) == next_name(is_evaluated=False)
