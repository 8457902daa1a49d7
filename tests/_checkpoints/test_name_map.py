# SPDX-License-Identifier: Apache-2.0
"""What the map of a user means."""

from typing import Any

import pytest

from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback.errors import ArgumentError

PATHS = ("model/a/kernel", "model/b/kernel", "global_step")


@pytest.mark.parametrize(
    ("names", "path", "name"),
    [
        ({}, "model/a/kernel", "model/a/kernel"),
        ({"model/a/kernel": "w"}, "model/a/kernel", "w"),
        ({"model/a/kernel:0": "w:0"}, "model/a/kernel", "w"),
        ({"model/": ""}, "model/a/kernel", "a/kernel"),
        ({"": "net/"}, "model/a/kernel", "net/model/a/kernel"),
        ({"model/": "x/", "model/a/": "y/"}, "model/a/kernel", "y/kernel"),
        ({"model/": "x/", "model/a/kernel": "w"}, "model/a/kernel", "w"),
        ({"model/": None}, "model/a/kernel", None),
        ({"global_step": "step", "": "x/"}, "global_step", "step"),
        ({"model/a/kernel": None, "model/": ""}, "model/b/kernel", "b/kernel"),
    ],
)
def test_the_longest_key_decides(
    names: Any, path: str, name: str | None
) -> None:
    """A path has the name that the most exact key gives it."""
    checked = NameMap(names)
    checked.check_keys(PATHS, ())

    assert checked.name(path) == name
    assert checked.covers(path) is bool(names)


def test_a_scope_is_one_of_weights() -> None:
    """The step and Adam's powers are in no scope, but may be named."""
    names = NameMap({"": "net/", "beta1_power": "p"})

    assert names.name("global_step") == "global_step"
    assert not names.covers("beta2_power")
    assert names.name("beta1_power") == "p"


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ([("a", "b")], "a list is not a mapping"),
        ({"a": 1}, "'a': 1 is not a pair of names"),
        ({1: "a"}, "1: 'a' is not a pair of names"),
        ({"a/": "b"}, "one is a scope and one is not"),
        ({"a": ""}, "one is a scope and one is not"),
        ({"a": "b", "a:0": "c"}, "there twice, once with ':0'"),
    ],
)
def test_what_is_no_map_is_an_error(names: Any, match: str) -> None:
    """The error names the pair that is wrong."""
    with pytest.raises(ArgumentError, match=match):
        NameMap(names)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ({"model/c/kernel": "w"}, "no variable 'model/c/kernel'.*Did you mean"),
        ({"model/c/": "x/"}, "no variable 'model/c/'"),
        ({"w": "model/a/kernel"}, "turn it around"),
        ({"w": "v"}, "turn it around"),
        ({"modell/a/kernel": "model/a/kernel"}, "mean 'model/a/kernel'"),
        ({"layer1/bias": "model/a/kernel"}, r"There is \['global_step', 'mo"),
        ({"sgd/model_a_kernel_momentum": "s"}, "Slots .* follow their weight"),
        ({"Adam/m/model/a/kernel": "s"}, "Slots .* follow their weight"),
        ({"model/a/kernel/Adam_1": None}, "Slots .* follow their weight"),
        ({"net/model/a/kernel": "w"}, "Did you mean 'model/a/kernel'"),
    ],
)
def test_a_key_that_stands_for_nothing_is_an_error(
    names: Any, match: str
) -> None:
    """The error tells a misspelt key from a map in the wrong direction."""
    with pytest.raises(ArgumentError, match=match):
        NameMap(names).check_keys(PATHS, ("w",))


def test_where_nothing_tells_the_direction() -> None:
    """For a new checkpoint, only a similar path tells a misspelt key."""
    with pytest.raises(ArgumentError, match="turn it around"):
        NameMap({"layer1/w": "model/a/kernel"}).check_keys(PATHS, ())
    with pytest.raises(ArgumentError, match="mean 'model/a/kernel'"):
        NameMap({"modle/a/kernel": "model/a/kernel"}).check_keys(PATHS, ())


def test_a_map_in_the_wrong_direction_is_none_of_slots() -> None:
    """Scopes of v1 around the path of Keras don't make it a slot."""
    name = "v1/net/model/a/kernel"
    with pytest.raises(ArgumentError, match="turn it around"):
        NameMap({name: "model/a/kernel"}).check_keys(PATHS, (name,))
