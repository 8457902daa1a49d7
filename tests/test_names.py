# SPDX-License-Identifier: Apache-2.0
"""Names and specs of what a step delivers."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import _names
from final_ops_callback.errors import ArgumentError

SPEC = tf.TensorSpec([None, 1], tf.float32)


def test_a_name_is_declared_with_or_without_its_output() -> None:
    """Both are one name, if they say the same."""
    found = _names.checked_specs({"a:0": SPEC, "a": SPEC, "b/c": SPEC})

    assert found == {"a": SPEC, "b/c": SPEC}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (["a"], "a list is not a mapping"),
        ({"a:1": SPEC}, "'a:1' is not the name"),
        ({"": SPEC}, "'' is not the name"),
        ({3: SPEC}, "3 is not the name"),
        ({"a": tf.float32}, r"is not the tf\.TensorSpec of 'a'"),
        ({"a": SPEC, "a:0": tf.TensorSpec([])}, "declared twice"),
    ],
)
def test_a_wrong_declaration_is_refused(declared: Any, message: str) -> None:
    """The error says what to write."""
    with pytest.raises(ArgumentError, match=message) as caught:
        _names.checked_specs(declared)

    assert "step_tensors" in str(caught.value)


def test_specs_tell_what_was_declared() -> None:
    """And nothing of others; by default nothing at all."""
    specs = _names.step_specs_of({"a": SPEC})

    assert specs.spec("a") == SPEC
    assert specs.spec("b") is None
    assert list(specs.known()) == ["a"]
    assert _names.StepSpecs().spec("a") is None
    assert list(_names.StepSpecs().known()) == []


@pytest.mark.parametrize(
    "names", [["a", "A", "a"], ["a", "a_1", "a"], ["b", "a", "c"], []]
)
def test_unique_names_are_those_of_a_graph(names: list[str]) -> None:
    """TensorFlow counts the same names, of operations, in the same way."""
    with tf.Graph().as_default() as graph:
        expected = [graph.unique_name(name) for name in names]
    found = _names.unique(names)

    assert len({name.lower() for name in found}) == len(names)
    assert found == expected


def test_a_similar_name_is_asked_for() -> None:
    """Of those that are listed first, then of the others."""
    assert _names.did_you_mean("xyz", ["loss"]) == ""
    assert "'hidden'" in _names.did_you_mean("hiden", ["hidden", "loss"])
    assert _names.nearest("hiden", ["loss"], ["hidden"]) == (
        "Did you mean 'hidden'? There is ['loss']."
    )
    assert _names.nearest("xyz", ["b", "a", "b"]) == "There is ['a', 'b']."
