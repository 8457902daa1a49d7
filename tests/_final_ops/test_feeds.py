# SPDX-License-Identifier: Apache-2.0
"""A feed dict, looked up by name or by symbolic tensor."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import GraphTensorError
from tests import models
from tests.flavors import FLAVORS

flavors = pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)


@flavors
def test_a_tensor_is_fed_by_itself_or_by_its_name(flavor: Any) -> None:
    """The tensor itself comes first."""
    tensor = flavor.Input((1,), name="x")
    by_name = Feeds({"x": 1})
    both = Feeds({"x": 1, models.key_of(tensor): 2})

    assert by_name.has_tensor(tensor)
    assert by_name.by_tensor(tensor) == 1
    assert both.by_tensor(tensor) == 2
    assert both.by_name("x") == 1
    assert not Feeds(None).has_tensor(tensor)
    assert not Feeds({}).has_name("x")


@flavors
def test_what_nothing_uses_is_listed(flavor: Any) -> None:
    """By its name, whatever it was fed by."""
    used, unused = (flavor.Input((1,), name=name) for name in ("u", "n"))
    feeds = Feeds(
        {models.key_of(used): 1, models.key_of(unused): 2, "a": 3, "b": 4}
    )

    assert feeds.without([used, "a"]) == ["b", "n"]
    assert feeds.without(["a", "b", used, unused]) == []


@pytest.mark.parametrize(
    ("feed_dict", "message"),
    [
        ([("x", 1)], "a list is not a mapping"),
        ({3: 1}, "3 is not a key"),
        ({None: 1}, "None is not a key"),
    ],
)
def test_other_keys_are_refused(feed_dict: Any, message: str) -> None:
    """The error says what can be one."""
    with pytest.raises(FeedError, match=message):
        Feeds(feed_dict)


def test_a_tensor_of_a_graph_has_no_value() -> None:
    """It is refused before anything runs."""
    with tf.Graph().as_default():
        tensor = tf.constant(1.0, name="c")
    with pytest.raises(GraphTensorError, match="'c:0' belongs to a graph"):
        Feeds({"x": tensor})


@flavors
@pytest.mark.parametrize(
    "shape", [(4, 3), (1, 3), (0, 3)], ids=["rows", "row", "none"]
)
def test_a_batch_of_any_size_fits(flavor: Any, shape: Any) -> None:
    """As when a model is called."""
    tensor = flavor.Input((3,), name="x")
    Feeds({"x": np.zeros(shape)}).check(tensor)


@flavors
def test_a_last_axis_of_one_may_be_missing(flavor: Any) -> None:
    """Or superfluous, as when a model is called."""
    column = flavor.Input((1,), name="x")
    Feeds({"x": np.zeros(4)}).check(column)
    flat = flavor.Input((), name="x")
    Feeds({"x": np.zeros((4, 1))}).check(flat)


@flavors
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 2)), "does not fit into"),
        ("text", "a str does not convert to float32"),
        (object(), "a object does not convert"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(
    flavor: Any, value: Any, message: str
) -> None:
    """The error names the feed."""
    tensor = flavor.Input((3,), name="x")
    with pytest.raises(FeedError, match=message) as caught:
        Feeds({"x": value}).check(tensor)

    assert "final_ops_feed_dict['x']" in str(caught.value)


@flavors
def test_a_symbolic_tensor_is_no_value(flavor: Any) -> None:
    """It has none to feed."""
    tensor, other = (flavor.Input((3,), name=name) for name in ("x", "y"))
    with pytest.raises(FeedError, match="symbolic tensor 'y' has no value"):
        Feeds({"x": other}).check(tensor)
