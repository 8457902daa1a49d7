# SPDX-License-Identifier: Apache-2.0
"""Which tensor belongs to which weight."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._checkpoints import matching
from final_ops_callback._checkpoints.matching import match
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import Spec
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError

S, K, B = (3, 3), (3, 5), (5,)
Shapes = dict[str, tuple[int, ...]]


def matched(wanted: Shapes, there: Shapes, names: Any = None) -> Any:
    """Returns the name of each weight, and the set of what decided."""
    found = match(
        {name: Spec(shape, tf.float32) for name, shape in wanted.items()},
        {name: Spec(shape, tf.float32) for name, shape in there.items()},
        NameMap(names),
        "path=model.ckpt",
    )
    how = {one.how for one in found.values()}
    return {path: one.name for path, one in found.items()}, how


CASES: dict[str, tuple[Shapes, Shapes, dict[str, str], set[str]]] = {
    "equal names": (
        {"a/kernel": K, "a/bias": B},
        {"a/bias": B, "a/kernel": K, "other": K},
        {"a/kernel": "a/kernel", "a/bias": "a/bias"},
        {matching.BY_NAME},
    ),
    "the scope of a Sequential model": (
        {"sequential/a/kernel": S, "sequential/b/kernel": S},
        {"b/kernel": S, "a/kernel": S},
        {"sequential/a/kernel": "a/kernel", "sequential/b/kernel": "b/kernel"},
        {matching.BY_SCOPE},
    ),
    "a scope of v1": (
        {"a/kernel": S, "b/kernel": S},
        {"net/b/kernel": S, "net/a/kernel": S},
        {"a/kernel": "net/a/kernel", "b/kernel": "net/b/kernel"},
        {matching.BY_SCOPE},
    ),
    "scopes on both sides, and the words of tf-slim": (
        {"seq/a/kernel": S, "seq/a/bias": B, "seq/b/bias": B},
        {"net/a/weights": S, "net/a/biases": B, "net/b/biases": B},
        {
            "seq/a/kernel": "net/a/weights",
            "seq/a/bias": "net/a/biases",
            "seq/b/bias": "net/b/biases",
        },
        {matching.BY_SCOPE},
    ),
    "layers that Keras counted on": (
        {"dense_4/kernel": S, "dense_5/kernel": S, "dense_10/kernel": S},
        {"dense/kernel": S, "dense_1/kernel": S, "dense_2/kernel": S},
        {
            "dense_4/kernel": "dense/kernel",
            "dense_5/kernel": "dense_1/kernel",
            "dense_10/kernel": "dense_2/kernel",
        },
        {matching.BY_NUMBER},
    ),
    "equal names that mean others": (
        {"dense_1/kernel": S, "dense_2/kernel": S},
        {"dense/kernel": S, "dense_1/kernel": S},
        {"dense_1/kernel": "dense/kernel", "dense_2/kernel": "dense_1/kernel"},
        {matching.BY_NUMBER},
    ),
    "numbers in a scope": (
        {"sequential_3/dense_7/kernel": S, "sequential_3/dense_8/kernel": S},
        {"dense/kernel": S, "dense_1/kernel": S},
        {
            "sequential_3/dense_7/kernel": "dense/kernel",
            "sequential_3/dense_8/kernel": "dense_1/kernel",
        },
        {matching.BY_NUMBER},
    ),
    "one path twice": (
        {"dense/kernel": S, "dense/kernel_1": S},
        {"dense/kernel": S, "dense_1/kernel": S},
        {"dense/kernel": "dense/kernel", "dense/kernel_1": "dense_1/kernel"},
        {matching.BY_NUMBER},
    ),
    "scopes that shapes tell apart": (
        {"enc/dense/kernel": K, "dec/dense/kernel": (5, 3)},
        {"dense/kernel": K, "dense_1/kernel": (5, 3)},
        {
            "enc/dense/kernel": "dense/kernel",
            "dec/dense/kernel": "dense_1/kernel",
        },
        {matching.BY_SHAPE},
    ),
    "scopes beside numbers that another scope explains": (
        {"enc/dense/kernel": S, "dec/dense/kernel": S},
        {
            "dense/kernel": S,
            "dense_1/kernel": S,
            "net/enc/dense/kernel": S,
            "net/dec/dense/kernel": S,
        },
        {
            "enc/dense/kernel": "net/enc/dense/kernel",
            "dec/dense/kernel": "net/dec/dense/kernel",
        },
        {matching.BY_SCOPE},
    ),
    "shapes alone": (
        {"hidden/kernel": K, "hidden/bias": B, "out/kernel": (5, 1)},
        {"W2": (5, 1), "b1": B, "W1": K},
        {"hidden/kernel": "W1", "hidden/bias": "b1", "out/kernel": "W2"},
        {matching.BY_SHAPE},
    ),
    "variables without names": (
        {"one/kernel": S, "one/bias": (3,), "two/kernel": S, "two/bias": (3,)},
        {
            "Variable": S,
            "Variable_1": (3,),
            "Variable_2": S,
            "Variable_3": (3,),
        },
        {
            "one/kernel": "Variable",
            "one/bias": "Variable_1",
            "two/kernel": "Variable_2",
            "two/bias": "Variable_3",
        },
        {matching.BY_SHAPE},
    ),
    "shape and order, by number and not by letter": (
        {f"block/{i}/kernel": S for i in "abc"},
        {f"layer{i}/weights": S for i in (10, 2, 9)},
        {
            "block/a/kernel": "layer2/weights",
            "block/b/kernel": "layer9/weights",
            "block/c/kernel": "layer10/weights",
        },
        {matching.BY_SHAPE},
    ),
    "kernels and biases in scopes of their own": (
        {"one/kernel": K, "one/bias": B},
        {"weights/h1": K, "biases/b1": B},
        {"one/kernel": "weights/h1", "one/bias": "biases/b1"},
        {matching.BY_SHAPE},
    ),
    "kinds of one shape": (
        {"norm/gamma": B, "norm/beta": B, "last/bias": B},
        {"bn/beta": B, "bn/gamma": B, "fc/biases": B},
        {
            "norm/gamma": "bn/gamma",
            "norm/beta": "bn/beta",
            "last/bias": "fc/biases",
        },
        {matching.BY_SHAPE},
    ),
    "the table of an embedding": (
        {"net/embedding/embeddings": K, "net/dense/kernel": K},
        {"embedding/weights": K, "dense/weights": K},
        {
            "net/embedding/embeddings": "embedding/weights",
            "net/dense/kernel": "dense/weights",
        },
        {matching.BY_SCOPE},
    ),
    "the table of an embedding in another scope": (
        {"embedding/embeddings": K, "dense/kernel": K},
        {"net/embedding/weights": K, "net/dense/kernel": K},
        {
            "embedding/embeddings": "net/embedding/weights",
            "dense/kernel": "net/dense/kernel",
        },
        {matching.BY_SCOPE},
    ),
    "a table without a layer": (
        {"embedding/embeddings": K, "dense/kernel": K},
        {"embeddings": K, "dense/kernel": K},
        {"embedding/embeddings": "embeddings", "dense/kernel": "dense/kernel"},
        {matching.BY_SCOPE, matching.BY_NAME},
    ),
    "tables without layers": (
        {"net/embedding_4/embeddings": K, "net/embedding_5/embeddings": K},
        {"embeddings": K, "embeddings_1": K},
        {
            "net/embedding_4/embeddings": "embeddings",
            "net/embedding_5/embeddings": "embeddings_1",
        },
        {matching.BY_NUMBER},
    ),
    "a scalar and nothing": (
        {"scale": (), "empty": (0, 3)},
        {"empty": (0, 3), "scale": ()},
        {"scale": "scale", "empty": "empty"},
        {matching.BY_NAME},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_belongs_together(case: str) -> None:
    """Each weight gets its tensor, and what decided is told."""
    wanted, there, expected, how = CASES[case]

    assert matched(wanted, there) == (expected, how)


def test_the_map_comes_first() -> None:
    """What the user says counts more than equal names; None leaves out."""
    found = matched(
        {"a/w": S, "b/w": S, "c/w": S},
        {"a/w": S, "b/w": S},
        {"a/w": "b/w", "b/w": "a/w", "c/w": None},
    )

    assert found == ({"a/w": "b/w", "b/w": "a/w"}, {matching.BY_MAP})


ERRORS: dict[str, tuple[Shapes, Shapes, Any, str]] = {
    "a weight that is not there": (
        {"a/kernel": K, "b/kernel": (7, 7)},
        {"a/kernel": K, "c/kernel": S},
        None,
        r"lacks 1 of the 2 weights.*'b/kernel'.*other model.*'b/kernel': None",
    ),
    "one of the shape of the other": (
        {"a/kernel": K, "b/kernel": S},
        {"a/kernel": K, "c/w": S, "d/w": S},
        None,
        r"lacks.*'b/kernel'.*it has 'c/w', 'd/w'.*names=\{'b/kernel': 'c/w'\}",
    ),
    "another shape": (
        {"a/kernel": K},
        {"a/kernel": S},
        None,
        r"'a/kernel' has the shape \(3, 5\) in the model.*\(3, 3\) in the",
    ),
    "another shape in another scope": (
        {"sequential/a/kernel": K, "sequential/b/kernel": S},
        {"a/weights": S, "b/weights": S},
        None,
        r"'sequential/a/kernel' has the shape.*'a/weights' has \(3, 3\) in",
    ),
    "a layer in two layers": (
        {"dense/kernel": K, "dense/bias": B},
        {"dense_7/kernel": K, "dense/bias": B},
        None,
        "layer 'dense' would come from several: 'dense_7/kernel', 'dense/bias'",
    ),
    "several of one shape": (
        {"one/kernel": S, "two/kernel": S},
        {"left/w": S, "right/w": S},
        None,
        "do not decide which of 'left/w', 'right/w' belong to 'one/kernel'",
    ),
    "more than there are weights": (
        {"one/kernel": S},
        {"w_1": S, "w_2": S},
        None,
        "do not decide which of 'w_1', 'w_2' belong to 'one/kernel'",
    ),
    "kinds in an unknown order": (
        {"bn/gamma": B, "bn/beta": B},
        {"Variable": B, "Variable_1": B},
        None,
        "do not decide which of 'Variable', 'Variable_1' belong to 'bn/gamma'",
    ),
    "the same kinds in two scopes": (
        {"x/kernel": S},
        {"a/x/kernel": S, "b/x/kernel": S},
        None,
        "not decide which of 'a/x/kernel', 'b/x/kernel' belong to 'x/kernel'",
    ),
    "scopes here, numbers there": (
        {"encoder/dense/kernel": S, "decoder/dense/kernel": S},
        {"dense/kernel": S, "dense_1/kernel": S},
        None,
        "not decide which of 'dense/kernel', 'dense_1/kernel' belong to 'enco",
    ),
    "numbers here, scopes there": (
        {"dense/kernel": S, "dense_1/kernel": S},
        {"enc/dense/kernel": S, "dec/dense/kernel": S},
        None,
        "not decide which of 'dec/dense/kernel', 'enc/dense/kernel' belong to",
    ),
    "scopes in a scope": (
        {"net/enc/dense_3/kernel": S, "net/dec/dense_2/kernel": S},
        {"v1/dense/kernel": S, "v1/dense_1/kernel": S},
        None,
        "not decide which of 'v1/dense/kernel', 'v1/dense_1/kernel' belong to",
    ),
    "scopes beside equal names": (
        {"last/bias": B, "enc/dense/kernel": S, "dec/dense/kernel": S},
        {"last/bias": B, "dense/kernel": S, "dense_1/kernel": S},
        None,
        "not decide which of 'dense/kernel', 'dense_1/kernel' belong to 'enc",
    ),
    "a map to what is not there": (
        {"a/kernel": K},
        {"b/kernel": K},
        {"a/kernel": "c/kernel"},
        "has no 'c/kernel', which names= gives to 'a/kernel'.*'b/kernel'",
    ),
    "a map to another shape": (
        {"a/kernel": K},
        {"b/kernel": S},
        {"a/kernel": "b/kernel"},
        r"'a/kernel' has the shape \(3, 5\).*'b/kernel' has \(3, 3\)",
    ),
    "a name that the map has taken": (
        {"a/kernel": K, "b/kernel": K},
        {"b/kernel": K},
        {"a/kernel": "b/kernel"},
        "lacks 1 of the 1 weights",
    ),
    "another scope beside equal names": (
        {"encoder/fc/kernel": S, "head/fc/kernel": S},
        {"encoder/fc/kernel": S, "decoder/fc/kernel": S},
        None,
        r"lacks 1 of the 2 weights.*\{'head/fc/kernel': 'decoder/fc/kernel'\}",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_does_not_fit_is_an_error(case: str) -> None:
    """The error names the weights, and shows the choices."""
    wanted, there, names, text = ERRORS[case]

    with pytest.raises(CheckpointError, match=text):
        matched(wanted, there, names)


def test_one_tensor_for_two_weights_is_an_error() -> None:
    """A map may not give one tensor to two weights."""
    with pytest.raises(ArgumentError, match="'w' is given to both 'a' and 'b'"):
        matched({"a": S, "b": S}, {"w": S}, {"a": "w", "b": "w"})
