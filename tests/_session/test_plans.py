# SPDX-License-Identifier: Apache-2.0
"""Plans are made once."""

import collections
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session import session
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.resources import Resources

v1 = tf.compat.v1
Pair = collections.namedtuple("Pair", "a b")


def plans_of(graph: tf.Graph) -> Any:
    """Returns the plans of a session of a plain graph."""
    links = ModelLinks()
    return session._Plans(graph, Resources(graph, links), links)


def test_the_same_fetches_have_one_plan() -> None:
    """Another structure, and another set of feeds, has another plan."""
    with tf.Graph().as_default() as graph:
        a, b = tf.constant(1.0), v1.placeholder(tf.float32, [])
    made = plans_of(graph)

    assert made.plan([a, b], [b]) is made.plan([a, b], [b])
    assert made.plan([a, b], [b]) is not made.plan([b, a], [b])
    assert made.plan([a, a], []) is not made.plan([a, a], [b])
    assert made.plan({"x": a}, []) is not made.plan({"y": a}, [])


def test_plans_are_forgotten() -> None:
    """After a clear they are made anew; of many, the first goes first."""
    with tf.Graph().as_default() as graph:
        tensors = [tf.constant(1.0) for _ in range(3)]
    made = plans_of(graph)
    first = made.plan(tensors[0], [])
    made.clear()

    assert made.plan(tensors[0], []) is not first


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script whose fetches differ each time keeps some of them."""
    monkeypatch.setattr(session, "_MOST_PLANS", 2)
    with tf.Graph().as_default() as graph:
        a, b, c = (tf.constant(1.0) for _ in range(3))
    made = plans_of(graph)
    first, second = made.plan(a, []), made.plan(b, [])
    third = made.plan(c, [])

    assert made.plan(b, []) is second
    assert made.plan(c, []) is third
    assert made.plan(a, []) is not first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a"], ("a",)),
        ("a", ["a"]),
        (Pair("a", "b"), ("a", "b")),
        ({"k": "a"}, {"l": "a"}),
        ([["a"], "b"], [["a", "b"]]),
    ],
)
def test_other_structures_have_other_keys(one: Any, other: Any) -> None:
    """The container counts, and the place of each leaf."""
    assert session._structure_key(one, []) != session._structure_key(other, [])


def test_leaves_are_known_by_identity() -> None:
    """A key is hashable, and has what it is about in the list."""
    leaf, other = [object() for _ in range(2)]
    leaves: list[Any] = []
    key = session._structure_key({"a": [leaf, "name"]}, leaves)

    assert hash(key) == hash(session._structure_key({"a": [leaf, "name"]}, []))
    assert key != session._structure_key({"a": [other, "name"]}, [])
    assert leaves == [leaf]
