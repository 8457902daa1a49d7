# SPDX-License-Identifier: Apache-2.0
"""Containers are those of a v1 session, compared with its fetch mapper."""

import collections
import importlib.util
import types
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import pytest
import tensorflow as tf

from final_ops_callback import _structure
from tests import original

Leaf = Callable[[int], Any]


class Pair(NamedTuple):
    first: Any
    second: Any


class MyList(list):
    pass


class MyDict(dict):
    pass


def as_attribute(value: Any) -> Any:
    """Returns the container as a `tf.Module` wraps it in an attribute."""
    module = tf.Module()
    module.held = value
    return module.held


STRUCTURES: dict[str, Callable[[Leaf], Any]] = {
    "leaf": lambda leaf: leaf(1),
    "list": lambda leaf: [leaf(1), leaf(2)],
    "tuple": lambda leaf: (leaf(1),),
    "empty": lambda leaf: {"list": [], "tuple": (), "dict": {}},
    "dict": lambda leaf: {"b": leaf(1), "a": leaf(2)},
    "unsortable keys": lambda leaf: {"b": leaf(1), 1: leaf(2), None: leaf(3)},
    "ordered dict": lambda leaf: collections.OrderedDict(
        [("b", leaf(1)), ("a", leaf(2))]
    ),
    "default dict": lambda leaf: collections.defaultdict(list, b=leaf(1)),
    "named tuple": lambda leaf: Pair(leaf(1), [leaf(2)]),
    "named tuple, swapped": lambda leaf: Pair(second=leaf(1), first=leaf(2)),
    "list subclass": lambda leaf: MyList([leaf(1), leaf(2)]),
    "dict subclass": lambda leaf: MyDict(a=leaf(1)),
    "module's list": lambda leaf: as_attribute([leaf(1), [leaf(2)]]),
    "module's tuple": lambda leaf: as_attribute((leaf(1), leaf(2))),
    "module's named tuple": lambda leaf: as_attribute(Pair(leaf(1), leaf(2))),
    "nested": lambda leaf: {"a": [(leaf(1), Pair({}, {"b": leaf(2)}))]},
}
if importlib.util.find_spec("attrs"):  # TensorFlow need not bring it
    import attrs

    @attrs.define(slots=False)
    class Point:
        x: Any
        y: Any

    STRUCTURES["attrs class"] = lambda leaf: [Point(leaf(1), [leaf(2)])]


def mapped(structure: Any) -> Any:
    """The structure with NumPy values for leaves."""
    return _structure.map_with_path(lambda _, leaf: leaf.numpy(), structure)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_containers_are_those_of_a_session(make: Any) -> None:
    """A structure comes back in the containers that `Session.run` gives."""
    expected = original.session_run(lambda: make(tf.constant))

    actual = mapped(make(tf.constant))

    assert original.is_same(expected, actual), (expected, actual)


def test_a_dict_of_a_module_comes_back_as_a_dict() -> None:
    """The dict proxy of a `tf.Module` maps to a dict, where v1 breaks."""
    make = STRUCTURES["dict"]
    expected = original.session_run(lambda: make(tf.constant))

    actual = mapped(as_attribute(make(tf.constant)))

    assert original.is_same(expected, actual)


def test_a_mapping_that_is_no_dict_comes_back_as_a_dict() -> None:
    """A mapping that can't be built from pairs maps to a plain dict."""
    make = STRUCTURES["dict"]

    actual = mapped(types.MappingProxyType(make(tf.constant)))

    assert original.is_same(mapped(make(tf.constant)), actual)


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_a_path_as_an_expression_gives_the_leaf(make: Any) -> None:
    """Each path, written as Python and evaluated, leads to its leaf."""
    structure = make(tf.constant)

    for path, leaf in _structure.leaves_with_path(structure):
        expression = _structure.as_expression("root", structure, path)

        assert eval(expression, {"root": structure}) is leaf


@pytest.mark.parametrize("make", STRUCTURES.values(), ids=STRUCTURES)
def test_both_walks_visit_the_same_leaves(make: Any) -> None:
    """`leaves_with_path` yields what `map_with_path` calls, in order."""
    structure = make(tf.constant)
    calls: list[Any] = []

    _structure.map_with_path(lambda *call: calls.append(call), structure)

    leaves = list(_structure.leaves_with_path(structure))
    assert [path for path, _ in leaves] == [path for path, _ in calls]
    assert all(a is b for (_, a), (_, b) in zip(leaves, calls, strict=True))


def test_the_comparison_sees_each_difference() -> None:
    """Another container, order, type, dtype or value is not the same."""
    one = tf.constant(1).numpy()
    different = [
        ([one], (one,)),
        ({"a": one, "b": one}, {"b": one, "a": one}),
        (collections.OrderedDict(a=one), {"a": one}),
        (collections.defaultdict(list), collections.defaultdict(int)),
        (one, 1),
        (one, tf.constant(1.0).numpy()),
        (one, tf.constant(2).numpy()),
        (tf.constant([1]).numpy(), tf.constant([[1]]).numpy()),
    ]

    assert not any(original.is_same(a, b) for a, b in different)


@pytest.mark.parametrize(
    ("path", "name"),
    [((), "root"), (("auc", 0), "auc/0"), ((1, None), "1/None")],
)
def test_a_path_as_a_name_joins_its_keys(path: Any, name: str) -> None:
    """A short name joins the keys with slashes; the empty path is the root."""
    assert _structure.as_name(path, "root") == name
