# SPDX-License-Identifier: Apache-2.0
"""The final ops as a whole: checked once, evaluated at the end."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._final_ops.values import FinalOps
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import LeafError
from tests import models
from tests import original
from tests.flavors import keras


def test_a_structure_is_that_of_the_original() -> None:
    """Containers, types and values are those of v1's hook."""
    structure = {"a": [1.5, (2, b"x")], "b": {"c": True}}
    found, unknown = FinalOps(structure, None).evaluate(None, None)
    expected = original.final_ops_hook(
        lambda: tf.nest.map_structure(tf.constant, structure)
    )

    assert tf.nest.map_structure(type, found).keys() == expected.keys()
    assert found == expected
    assert unknown == []


def test_leaves_are_sorted_by_kind() -> None:
    """Each in the order in which it was written."""
    metric = keras.metrics.Mean()
    ops = FinalOps(["loss", metric, 3, "mae"], None)

    assert ops.leaves() == ["loss", metric, 3, "mae"]
    assert ops.metrics() == [metric]
    assert ops.names() == ["loss", "mae"]


def test_a_leaf_that_stands_twice_is_called_once() -> None:
    """v1 ran an op once."""
    called = []

    def leaf() -> int:
        called.append(1)
        return len(called)

    found, _ = FinalOps({"a": leaf, "b": [leaf]}, None).evaluate(None, None)

    assert found == {"a": 1, "b": [1]}


def test_a_wrong_name_does_not_cost_the_others() -> None:
    """Its error is returned, with the place of the leaf."""
    found, (error,) = FinalOps(["nothing", 3], None).evaluate(
        models.tiny_model(), {"loss": 1.0}
    )

    assert found == [None, 3]
    assert isinstance(error, LeafError)
    assert "final_ops[0]" in str(error)


def test_another_error_has_a_note_of_its_leaf() -> None:
    """It is the error that the function raised."""

    def fail() -> None:
        raise KeyError("of the user")

    with pytest.raises(KeyError, match="of the user") as caught:
        FinalOps({"a": [1, fail]}, None).evaluate(None, None)

    assert caught.value.__notes__ == ["raised by final_ops['a'][1]"]


@pytest.mark.parametrize(
    ("structure", "feeds"),
    [(1, {"x": 1}), (lambda a: a, {"a": 1, "x": 2})],
    ids=["constant", "function"],
)
def test_a_feed_that_nothing_uses_is_refused(
    structure: Any, feeds: dict[str, Any]
) -> None:
    """When the callback is made, not when it ends."""
    with pytest.raises(FeedError, match="no leaf uses the feed of 'x'"):
        FinalOps(structure, feeds)


def test_a_structure_that_holds_itself_is_refused() -> None:
    """The error says so, and does not fill the stack."""
    structure: list[Any] = []
    structure.append(structure)
    with pytest.raises(LeafError, match="holds itself"):
        FinalOps(structure, None)


@pytest.mark.parametrize(
    "change", [list.reverse, list.pop, list.clear, lambda s: s.append(3)]
)
def test_a_structure_that_has_changed_is_told(change: Any) -> None:
    """Otherwise a value would stand in the place of another."""
    structure = [[1], [2, 3]]
    ops = FinalOps(structure, None)
    change(structure)
    with pytest.raises(LeafError, match="has changed since"):
        ops.evaluate(None, None)
