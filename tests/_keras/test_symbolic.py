# SPDX-License-Identifier: Apache-2.0
"""Symbolic Keras tensors: their inputs, their groups, their values."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._keras import symbolic
from tests.flavors import FLAVORS
from tests.flavors import needs_both
from tests.flavors import to_numpy

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


def ids(items: Any) -> list[int]:
    """Returns what objects are, as Keras compares tensors by elements."""
    return [id(item) for item in items]


@flavors
def test_the_sources_are_the_inputs(flavor: Any) -> None:
    """What a tensor is computed from are the inputs, each once."""
    a, b = flavor.Input((2,)), flavor.Input((2,))
    hidden = flavor.layers.Add()([a, b])
    output = flavor.layers.Add()([hidden, a])

    assert set(ids(symbolic.source_inputs(output))) == {id(a), id(b)}


@flavors
def test_values_are_those_of_the_model(flavor: Any) -> None:
    """One pass computes what a model of the same tensors predicts."""
    x = flavor.Input((2,))
    hidden = flavor.layers.Dense(3)(x)
    output = flavor.layers.Dropout(0.5)(flavor.layers.Dense(1)(hidden))
    batch = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    values = symbolic.evaluate_symbolic([output, hidden], [(x, batch)])
    expected = flavor.Model(x, [output, hidden]).predict(batch, verbose=0)

    for value, wanted in zip(values, expected, strict=True):
        np.testing.assert_allclose(to_numpy(value), wanted, rtol=1e-6)


@flavors
def test_a_fed_tensor_is_worth_what_is_fed(flavor: Any) -> None:
    """As in a v1 session; what comes after it is computed from the feed."""
    x = flavor.Input((1,))
    hidden = flavor.layers.Dense(1)(x)
    doubled = flavor.layers.Add()([hidden, hidden])
    values = symbolic.evaluate_symbolic([hidden, doubled], [(hidden, [[3.0]])])

    assert [to_numpy(v).tolist() for v in values] == [[[3.0]], [[6.0]]]
    assert symbolic.model_of([hidden], [hidden]) is None


@flavors
def test_a_feed_has_the_dtype_of_its_input(flavor: Any) -> None:
    """Integers become floats, for an input of floats, and the other way."""
    assert symbolic.as_fed([1], flavor.Input((1,))).dtype == tf.float32
    whole = flavor.Input((1,), dtype="int32")

    assert symbolic.as_fed([1], whole).dtype == tf.int32


@flavors
def test_layers_of_one_name_are_computed_apart(flavor: Any) -> None:
    """Those that one model can hold are a group, others not."""

    def output(name: str) -> Any:
        return flavor.layers.Dense(1, name=name)(flavor.Input((1,)))

    a, b, again = output("a"), output("b"), output("a")
    groups = symbolic.together([a, b, again], symbolic.source_inputs)

    assert list(map(ids, groups)) == [ids([a, b]), ids([again])]
    with pytest.raises(ValueError, match="name"):
        symbolic.model_of(
            [a, again],
            [i for t in (a, again) for i in symbolic.source_inputs(t)],
        )


@needs_both
def test_tensors_of_two_flavors_are_computed_apart() -> None:
    """No model holds tensors of two flavors of Keras."""
    tensors = [
        flavor.layers.Dense(1)(flavor.Input((1,)))
        for flavor in FLAVORS.values()
    ]
    groups = symbolic.together(tensors, symbolic.source_inputs)

    assert list(map(ids, groups)) == [[id(tensor)] for tensor in tensors]


def test_distinct_goes_by_identity() -> None:
    """Equal objects are two, one object is one, in the order given."""
    a, b = [1], [1]
    found = symbolic.distinct([a, b, a])

    assert ids(found) == ids([a, b])
