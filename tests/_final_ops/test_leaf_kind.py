# SPDX-License-Identifier: Apache-2.0
"""A leaf, and what a kind of leaf is."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.leaf_kind import EvaluationContext
from final_ops_callback._final_ops.leaf_kind import Leaf
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import on_host
from final_ops_callback._final_ops.leaf_kind import sources
from final_ops_callback.errors import GraphTensorError
from final_ops_callback.errors import LeafError
from tests import models
from tests.flavors import FLAVORS

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
LEAF = Leaf(("a", 0), LeafKind(), 1, {"a": [1]})


def test_a_leaf_writes_its_place_as_an_expression() -> None:
    """The one by which the user finds it."""
    assert LEAF.where() == "final_ops['a'][0]"


def test_a_kind_has_to_say_what_it_accepts() -> None:
    """The base knows no value, and needs no feed."""
    kind = LeafKind()
    assert kind.needs(LEAF, Feeds(None)) == []
    with pytest.raises(NotImplementedError):
        kind.accepts(1)
    with pytest.raises(NotImplementedError):
        kind.value(LEAF, None)  # type: ignore[arg-type]


@flavors
def test_a_group_is_computed_once(flavor: Any) -> None:
    """A second value of it costs no second pass."""
    x = flavor.Input((1,), name="x")
    passes = []

    class Counting(flavor.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2.0

    first = Counting()(x)
    second = flavor.layers.Add()([first, first])
    batch = np.array([[3.0]], "float32")
    context = EvaluationContext(
        None, {}, Feeds({"x": batch}), [[first, second]]
    )
    once = context._forward_pass
    context._forward_pass = lambda g: passes.append(g) or once(g)
    values = [context.symbolic_value(t) for t in (first, second, first)]

    assert [v.tolist() for v in values] == [[[6.0]], [[12.0]], [[6.0]]]
    assert len(passes) == 1


@flavors
def test_the_metrics_of_the_model_are_known(flavor: Any) -> None:
    """Those of others are not its own."""
    model = models.tiny_model(flavor)
    models.fit(model)
    context = EvaluationContext(model, {}, Feeds(None), [])
    (mae,) = [
        m
        for one in model.metrics
        for m in (one, *getattr(one, "metrics", ()))
        if m.name == "mae"
    ]

    assert id(mae) in context.own_metrics
    assert id(flavor.metrics.Mean()) not in context.own_metrics


@flavors
def test_a_fed_tensor_is_its_own_source(flavor: Any) -> None:
    """As in v1, any tensor can be fed; others come from the inputs."""
    x = flavor.Input((1,), name="x")
    hidden = flavor.layers.Dense(1, name="hidden")(x)
    fed = Feeds({models.key_of(hidden): 1})

    assert list(map(id, sources(hidden, fed))) == [id(hidden)]
    assert list(map(id, sources(hidden, Feeds(None)))) == [id(x)]


def test_a_result_comes_to_the_host() -> None:
    """In its structure, and each tensor as NumPy."""
    found = on_host({"a": (tf.constant(1.0), "text")}, LEAF)

    assert found == {"a": (np.float32(1.0), "text")}
    assert isinstance(found["a"][0], np.float32)


def test_a_tensor_of_a_graph_in_a_result_is_refused() -> None:
    """It has no value; the error names the leaf."""
    with tf.Graph().as_default():
        tensor = tf.constant(1.0, name="c")
    with pytest.raises(GraphTensorError, match=r"final_ops\['a'\]\[0\]"):
        on_host([tensor], LEAF)


def test_a_result_that_holds_itself_is_refused() -> None:
    """It would never end."""
    result: list[Any] = []
    result.append(result)
    with pytest.raises(LeafError, match="contains itself"):
        on_host(result, LEAF)
