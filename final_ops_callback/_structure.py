# SPDX-License-Identifier: Apache-2.0
"""Maps functions over nested structures, with the path of each leaf.

The containers, and the types of the results, are those of the fetches of a v1
session, because users compare `final_ops_values` and `run_values.results` with
what a session returned. No library has both these rules and paths. `tf.nest`
and `dm-tree` refuse a dictionary whose keys can't be sorted, visit the others
in sorted order and don't have public paths. `optree` treats a subclass of
`list` or `dict` (which `tf.Module` makes of its attributes) as a leaf.
`tests/test_structure.py` compares the rules with the original.
"""

from __future__ import annotations

import collections
import copy
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

Path = tuple[Any, ...]

# The name of the whole structure of final ops, in messages and files.
ROOT = "final_ops"


def map_with_path(
    function: Callable[[Path, Any], Any], structure: Any, path: Path = ()
) -> Any:
    """Calls a function on each leaf of a structure, in the order as written.

    Args:
        function: Called with the path of a leaf (the keys, indices and field
            names that lead to it, outermost first) and the leaf.
        structure: A leaf, or any nesting of lists, tuples, named tuples,
            mappings and attrs classes. `None` is a leaf.
        path: Tuple. The path of `structure` itself. Defaults to `()`.

    Returns:
        The results, in the structure and the container types that a v1
        `Session.run` returned: a subclass of `list` becomes a `list`, and every
        other container keeps its type.

    Example:
    >>> map_with_path(lambda path, leaf: (path, leaf), {"a": [1, 2]})
    {'a': [(('a', 0), 1), (('a', 1), 2)]}
    """
    children = _children(structure)
    if children is None:
        return function(path, structure)
    mapped = [
        (key, map_with_path(function, child, (*path, key)))
        for key, child in children
    ]
    return _rebuild(structure, mapped)


def map_result(function: Callable[[Any], Any], result: Any) -> Any:
    """Calls a function on each leaf of the result of a callable.

    A v1 session never rebuilt such containers, so their constructors may take
    anything. They keep their types as far as possible.

    Args:
        function: Called with each leaf.
        result: A structure as in `map_with_path`.

    Returns:
        The results, in new lists, tuples and dicts. A container of another
        type is returned itself if no leaf has changed, otherwise as a copy
        with the new leaves. If that can't be built, it becomes a plain tuple
        or dict.
    """
    children = _children(result)
    if children is None:
        return function(result)
    result = _unwrapped(result)
    mapped = [(key, map_result(function, child)) for key, child in children]
    if isinstance(result, list) or type(result) in (tuple, dict):
        return _rebuild(result, mapped)
    pairs = zip(children, mapped, strict=True)
    if all(old is new for (_, old), (_, new) in pairs):
        return result
    try:
        return _copy_with(result, mapped)
    except Exception:  # a class of the user may raise anything
        plain = isinstance(result, tuple)
        return tuple(v for _, v in mapped) if plain else dict(mapped)


def leaves_with_path(
    structure: Any, path: Path = ()
) -> Iterator[tuple[Path, Any]]:
    """Yields the path and the value of each leaf of a structure.

    Args:
        structure: As in `map_with_path`.
        path: Tuple. The path of `structure` itself. Defaults to `()`.

    Yields:
        Pairs `(path, leaf)`, in the order in which the leaves are written.
    """
    children = _children(structure)
    if children is None:
        yield path, structure
        return
    for key, child in children:
        yield from leaves_with_path(child, (*path, key))


def as_expression(root: str, structure: Any, path: Path) -> str:
    """Returns a path as the Python expression that gives the leaf.

    Args:
        root: String. The name of the whole structure.
        structure: The structure that the path leads through.
        path: Tuple. A path that `map_with_path` passes to its function.

    Returns:
        A string such as `final_ops['auc'][0]` or `final_ops.mean`.
    """
    expression = root
    for key in path:
        structure = _unwrapped(structure)
        by_attribute = _field_names(structure) is not None
        expression += f".{key}" if by_attribute else f"[{key!r}]"
        structure = getattr(structure, key) if by_attribute else structure[key]
    return expression


def as_name(path: Path, root: str) -> str:
    """Returns a path as a short name for files, tables and tags.

    Args:
        path: Tuple. A path that `map_with_path` passes to its function.
        root: String. The name of the empty path.

    Returns:
        A string such as `auc/0`.
    """
    return "/".join(str(key) for key in path) or root


def _children(structure: Any) -> list[tuple[Any, Any]] | None:
    structure = _unwrapped(structure)
    fields = _field_names(structure)
    if fields is not None:
        return [(field, getattr(structure, field)) for field in fields]
    if isinstance(structure, list | tuple):
        return list(enumerate(structure))
    if isinstance(structure, Mapping):
        return list(structure.items())
    return None


def _rebuild(structure: Any, mapped: list[tuple[Any, Any]]) -> Any:
    structure = _unwrapped(structure)
    container = type(structure)
    values = [value for _, value in mapped]
    if _field_names(structure) is not None:
        return container(*values)
    if isinstance(structure, list):
        return values
    if isinstance(structure, tuple):
        return container(values)
    if isinstance(structure, collections.defaultdict):
        return collections.defaultdict(structure.default_factory, mapped)
    if isinstance(structure, dict):
        return container(mapped)
    # The constructors of other mappings are not known.
    return dict(mapped)


def _copy_with(container: Any, mapped: list[tuple[Any, Any]]) -> Any:
    if isinstance(container, dict):
        # Some types, such as Counter, can't be built from pairs.
        duplicate = copy.copy(container)
        for key, value in mapped:
            duplicate[key] = value
        return duplicate
    return _rebuild(container, mapped)


def _field_names(structure: Any) -> tuple[str, ...] | None:
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return tuple(structure._fields)
    if not isinstance(structure, type) and hasattr(
        structure, "__attrs_attrs__"
    ):
        return tuple(field.name for field in structure.__attrs_attrs__)
    return None


def _unwrapped(structure: Any) -> Any:
    # A tf.Module wraps dicts and tuples among its attributes in transparent
    # proxies, whose own types can't be built from values.
    if isinstance(structure, dict | tuple) and hasattr(
        structure, "__wrapped__"
    ):
        return structure.__wrapped__
    return structure
