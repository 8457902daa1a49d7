# SPDX-License-Identifier: Apache-2.0
"""Any nested structure has the values that v1's FinalOpsHook gave it."""

import collections
import dataclasses
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from final_ops_callback import FinalOpsCallback
from final_ops_callback._final_ops import host_values
from final_ops_callback._final_ops import leaf_kinds
from tests import models
from tests import original

pytestmark = pytest.mark.slow

NUMBERS = (
    tf.float32,
    tf.float64,
    tf.bfloat16,
    tf.float16,
    tf.int8,
    tf.int32,
    tf.int64,
    tf.uint8,
    tf.bool,
    tf.complex64,
)
SHAPES = ((), (1,), (3,), (0,), (2, 2), (2, 0, 1))


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass(frozen=True)
class Leaf:
    """The recipe of a leaf, built in a graph or eagerly."""

    kind: str
    dtype: Any
    shape: tuple[int, ...]
    seed: int

    def build(self) -> Any:
        return BUILDERS[self.kind](self.array(), self.dtype)

    def array(self) -> np.ndarray:
        numbers = np.random.default_rng(self.seed).integers(-3, 4, self.shape)
        if self.dtype == tf.string:
            return np.char.mod("é%d", numbers).astype(object)
        if self.dtype.is_floating:
            numbers = np.where(numbers == 3, np.nan, numbers / 2)
        return np.asarray(numbers).astype(self.dtype.as_numpy_dtype)


@dataclasses.dataclass(frozen=True)
class Node:
    """The recipe of a container; equal leaves are one op."""

    container: str
    keys: tuple[Any, ...]
    children: tuple[Any, ...]

    def build(self, built: dict[Any, Any] | None = None) -> Any:
        built = {} if built is None else built
        children = []
        for child in self.children:
            if isinstance(child, Node):
                children.append(child.build(built))
            else:
                built.setdefault(child, child.build())
                children.append(built[child])
        return CONTAINERS[self.container](self.keys, children)


def sparse(array: np.ndarray, dtype: Any) -> Any:
    """A sparse vector of the items of an array."""
    rows = array.reshape(-1)
    indices = np.arange(rows.size, dtype=np.int64)[:, None]
    return tf.SparseTensor(indices, tf.constant(rows, dtype), [rows.size + 1])


def ragged(array: np.ndarray, dtype: Any) -> Any:
    """The items of an array in three rows."""
    rows = array.reshape(-1)
    splits = np.array([0, rows.size // 2, rows.size, rows.size])
    return tf.RaggedTensor.from_row_splits(tf.constant(rows, dtype), splits)


BUILDERS: dict[str, Any] = {
    "constant": lambda array, dtype: tf.constant(array, dtype),
    "variable": lambda array, dtype: tf.Variable(array, dtype=dtype),
    "op": lambda array, dtype: tf.stack([tf.constant(array, dtype)] * 2),
    "sparse": sparse,
    "ragged": ragged,
    "slices": lambda array, dtype: tf.IndexedSlices(
        tf.constant(array, dtype), tf.constant([1, 2])
    ),
}
CONTAINERS: dict[str, Any] = {
    "list": lambda _, children: children,
    "tuple": lambda _, children: tuple(children),
    "dict": lambda keys, children: dict(zip(keys, children, strict=True)),
    "ordered": lambda keys, children: collections.OrderedDict(
        zip(keys, children, strict=True)
    ),
    "default": lambda keys, children: collections.defaultdict(
        list, zip(keys, children, strict=True)
    ),
    "pair": lambda _, children: Pair(*children),
}

leaves = st.builds(
    Leaf,
    st.sampled_from(sorted(BUILDERS)),
    st.sampled_from((*NUMBERS, tf.string)),
    st.sampled_from(SHAPES),
    st.integers(0, 9),
)


def nodes(children: Any) -> Any:
    """Draws a container of what `children` draws."""
    keys = st.one_of(st.text("abc", max_size=2), st.integers(0, 9), st.none())

    def node(container: str) -> Any:
        size = {"min_size": 2, "max_size": 2} if container == "pair" else {}
        pairs = st.lists(
            st.tuples(keys, children),
            unique_by=lambda pair: pair[0],
            **(size or {"max_size": 3}),
        )
        return pairs.map(
            lambda chosen: Node(
                container,
                tuple(key for key, _ in chosen),
                tuple(child for _, child in chosen),
            )
        )

    return st.sampled_from(sorted(CONTAINERS)).flatmap(node)


structures = st.recursive(leaves, nodes, max_leaves=8)


def agree(structure: Leaf | Node) -> bool:
    """Returns whether the callback gives what the hook gives."""
    expected = original.final_ops_hook(structure.build)
    actual = models.finish(FinalOpsCallback(structure.build()))
    return original.is_same(expected, actual)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(structures)
def test_the_values_are_those_of_the_hook(structure: Leaf | Node) -> None:
    """Values, containers, NumPy types and dtypes are those of v1."""
    assert agree(structure)


@pytest.mark.parametrize("kind", BUILDERS)
def test_another_dtype_is_found(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison fails once a value of any kind has another dtype."""
    other = {"variable": tf.Variable([1.0]), "op": tf.constant([1.0])}
    value = other.get(kind, BUILDERS[kind](np.ones(2), tf.float32))
    monkeypatch.setattr(
        leaf_kinds, "to_host", lambda _: host_values.to_host(value)
    )

    assert not agree(Node("list", (0,), (Leaf(kind, tf.float64, (2,), 0),)))


@pytest.mark.parametrize("dtype", [*NUMBERS, tf.string], ids=lambda d: d.name)
@pytest.mark.parametrize("kind", BUILDERS)
def test_each_kind_and_dtype_is_that_of_the_hook(kind: str, dtype: Any) -> None:
    """Every kind of tensor in every dtype has the value of v1."""
    assert agree(Leaf(kind, dtype, (2, 2), 0))
