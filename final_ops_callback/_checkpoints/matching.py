# SPDX-License-Identifier: Apache-2.0
"""Decides which tensor of a checkpoint belongs to which weight of a model.

The steps are from sure to less sure, and each takes what the ones before left:
the map of the user, equal names, names that differ by outer scopes or by the
numbers that Keras and TensorFlow count layers with, and (only if no name fits)
shape and order. What could be one thing or another is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import NamedTuple

from final_ops_callback._checkpoints import name_parts
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import Spec
from final_ops_callback._names import nearest
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import CheckpointError

BY_MAP, BY_NAME = "names=", "the name"
BY_SCOPE, BY_NUMBER = "a similar name", "the order of the numbers"
BY_SHAPE = "shape and order"
GUESSES = (BY_SCOPE, BY_NUMBER, BY_SHAPE)

# How many outer scopes a name may have more than the other.
_SCOPES = ((0, 0), (1, 0), (0, 1), (2, 0), (0, 2))
# The most names that an error lists.
_LONGEST = 10


class Match(NamedTuple):
    """Which tensor belongs to a weight, and why.

    Attributes:
        name: String. The name in the checkpoint.
        how: String. What decided it: one of the constants of this module.
    """

    name: str
    how: str


def match(
    wanted: Mapping[str, Spec],
    there: Mapping[str, Spec],
    names: NameMap,
    where: str,
) -> dict[str, Match]:
    """Finds the tensor of each weight.

    Args:
        wanted: Mapping from the path of each weight to its spec, in the order
            of the model.
        there: Mapping from the name of each tensor that may be a weight to its
            spec.
        names: What the user says. Weights that it leaves out are not matched.
        where: String. The checkpoint, for errors.

    Returns:
        Dict from the path of each weight to its match.

    Raises:
        ArgumentError: `names` gives one tensor to two weights.
        CheckpointError: A weight has no tensor, several, or one of another
            shape.
    """
    found = _by_map(wanted, there, names, where)
    matching = _Matching(
        {path: s for path, s in wanted.items() if not names.covers(path)},
        there,
        found,
    )
    matching.by_name()
    matching.check_scopes(where)
    if not matching.has_sure and matching.open:
        matching.by_shape(where)
    matching.check_complete(where)
    return {path: found[path] for path in wanted if path in found}


def _by_map(
    wanted: Mapping[str, Spec],
    there: Mapping[str, Spec],
    names: NameMap,
    where: str,
) -> dict[str, Match]:
    found: dict[str, Match] = {}
    owners: dict[str, str] = {}
    for path in filter(names.covers, wanted):
        name = names.name(path)
        if name is None:
            continue
        if name not in there:
            raise CheckpointError(
                f"the checkpoint has no {name!r}, which names= gives to "
                f"{path!r}",
                where,
                nearest(name, there),
            )
        if name in owners:
            raise ArgumentError(
                f"{name!r} is given to both {owners[name]!r} and {path!r}",
                "names",
                "Give each variable a name of its own.",
            )
        if there[name].shape != wanted[path].shape:
            raise _other_shape(path, name, wanted[path], there[name], where)
        owners[name] = path
        found[path] = Match(name, BY_MAP)
    return found


class _Matching:
    """The steps, and what they have found.

    Args:
        wanted: As in `match`, without what the map covers.
        there: As in `match`.
        found: Dict of the matches so far, which is added to.
    """

    def __init__(
        self,
        wanted: Mapping[str, Spec],
        there: Mapping[str, Spec],
        found: dict[str, Match],
    ) -> None:
        self._wanted, self._there, self._found = wanted, there, found
        self._mapped = {match.name for match in found.values()}
        self._unordered: list[tuple[list[str], list[str]]] = []

    @property
    def open(self) -> list[str]:
        """The weights that have no tensor yet."""
        return [path for path in self._wanted if path not in self._found]

    @property
    def has_sure(self) -> bool:
        """Whether a weight was found by its name alone."""
        return any(path in self._found for path in self._wanted)

    def _free(self) -> list[str]:
        used = {match.name for match in self._found.values()}
        return [name for name in self._there if name not in used]

    def _take(self, path: str, name: str, how: str) -> None:
        self._found[path] = Match(name, how)

    def _fits(self, path: str, name: str) -> bool:
        return self._wanted[path].shape == self._there[name].shape

    def by_name(self) -> None:
        """Matches equal names, then those that differ by scope and number."""
        for path in self.open:
            is_free = path in self._there and path not in self._mapped
            if is_free and self._fits(path, path):
                self._take(path, path, BY_NAME)
        for of_path, of_name in _SCOPES:
            self._by_scope(of_path, of_name)
            self._by_number(of_path, of_name)
        if (
            not self.has_sure
            and len({name_parts.scope(path) for path in self.open}) == 1
        ):
            # The whole model is in one scope, which may have another name.
            self._by_scope(1, 1)
            self._by_number(1, 1)

    def _by_scope(self, of_path: int, of_name: int) -> None:
        paths = _grouped(
            self.open, lambda path: name_parts.reduced(path, of_path)
        )
        names = _grouped(
            self._free(), lambda name: name_parts.reduced(name, of_name)
        )
        for reduced, (path, *more) in paths.items():
            if not reduced or path in self._there:
                continue
            (name, *others) = names.get(reduced, [""])
            if name and not more and not others and self._fits(path, name):
                self._take(path, name, BY_SCOPE)

    def _by_number(self, of_path: int, of_name: int) -> None:
        """Matches whole families of names that differ by numbers alone.

        Keras counts the layers of a process, so `dense` of v1 may be `dense_4`
        here. Then equal names mean nothing, even where there are some, and
        the families have the same order. Names that differ by a scope, too,
        have none: `encoder/dense` may be made before `decoder/dense`, or after.
        """
        open_ = set(self.open)
        paths = _grouped(
            (
                path
                for path in self._wanted
                if path in open_ or self._found[path].how == BY_NAME
            ),
            lambda path: name_parts.family(name_parts.reduced(path, of_path)),
        )
        names = _grouped(
            (name for name in self._there if name not in self._mapped),
            lambda name: name_parts.family(name_parts.reduced(name, of_name)),
        )
        for family, members in paths.items():
            if not family or not open_ & set(members):
                continue
            others = names.get(family, [])
            taken = {
                match.name
                for path, match in self._found.items()
                if path not in members
            }
            if len(members) != len(others) or taken & set(others):
                continue
            if not (_is_one_family(members) and _is_one_family(others)):
                self._unordered.append((members, others))
                continue
            pairs = list(
                zip(
                    sorted(members, key=name_parts.natural),
                    sorted(others, key=name_parts.natural),
                    strict=True,
                )
            )
            if all(self._fits(path, name) for path, name in pairs):
                for path, name in pairs:
                    self._take(path, name, BY_NUMBER)

    def check_scopes(self, where: str) -> None:
        """Checks that no family is left whose scopes are in an unknown order.

        Where shapes decide, no order is needed.
        """
        open_ = set(self.open)
        for paths, names in self._unordered:
            shapes = {self._wanted[path].shape for path in paths}
            if open_ >= set(paths) and len(shapes) < len(paths):
                raise _undecided(paths, names, where)

    def by_shape(self, where: str) -> None:
        """Matches by shape, and by order where several have one shape."""
        open_ = self.open
        by_shape = _grouped(open_, lambda path: self._wanted[path].shape)
        free = _grouped(self._free(), lambda name: self._there[name].shape)
        for shape, paths in by_shape.items():
            for some, others in _by_kind(paths, free.get(shape, [])):
                self._by_order(some, others, where)

    def _by_order(self, paths: list[str], names: list[str], where: str) -> None:
        if not names or not paths:
            return
        is_one_kind = len({name_parts.kind(path) for path in paths}) == 1
        has_order = _is_one_family(names) and is_one_kind
        if len(names) != len(paths) or (
            len(names) > 1 and (not has_order or _differ_by_scope(paths, names))
        ):
            raise _undecided(paths, names, where)
        for path, name in zip(
            paths, sorted(names, key=name_parts.natural), strict=True
        ):
            self._take(path, name, BY_SHAPE)

    def check_complete(self, where: str) -> None:
        """Checks that each weight has a tensor, and that the shapes fit."""
        open_ = self.open
        for path, name in self._namesakes().items():
            if not self._fits(path, name):
                raise _other_shape(
                    path, name, self._wanted[path], self._there[name], where
                )
        if open_:
            raise CheckpointError(
                f"the checkpoint lacks {len(open_)} of the "
                f"{len(self._wanted)} weights of the model: {_listed(open_)}",
                where,
                self._way_out(open_),
            )
        self._check_layers(where)

    def _check_layers(self, where: str) -> None:
        """Checks that no guess takes a layer from two layers.

        If a tensor is missing, another one may have its shape.
        """
        layers = _grouped(
            (path for path in self._wanted if self._is_of_a_layer(path)),
            lambda path: path.rpartition("/")[0],
        )
        for layer, paths in layers.items():
            matches = [self._found[path] for path in paths]
            sources = {match.name.rpartition("/")[0] for match in matches}
            is_guess = any(match.how in GUESSES for match in matches)
            if is_guess and len(sources) > 1:
                raise CheckpointError(
                    f"the weights of the layer {layer!r} would come from "
                    f"several: {_listed([match.name for match in matches])}",
                    where,
                    "Is one of them missing in the checkpoint? If it is right "
                    f"so, say it: names={{{paths[0]!r}: {matches[0].name!r}, "
                    "...}.",
                )

    def _is_of_a_layer(self, path: str) -> bool:
        name = self._found[path].name
        return all(map(name_parts.kind, (path, name)))

    def _namesakes(self) -> dict[str, str]:
        """Returns the tensors that have the names of open weights."""
        free = self._free()
        found = {path: path for path in self.open if path in free}
        for of_path, of_name in _SCOPES:
            names = _grouped(free, _reducing(of_name))
            for path in self.open:
                same = names.get(name_parts.reduced(path, of_path), [])
                if len(same) == 1 and name_parts.reduced(path, of_path):
                    found.setdefault(path, same[0])
        return found

    def _way_out(self, open_: list[str]) -> str:
        free = self._free()
        path = next(
            (p for p in open_ if any(self._fits(p, name) for name in free)), ""
        )
        if path:
            same = [name for name in free if self._fits(path, name)]
            return (
                f"Of the shape of {path!r} it has {_listed(same)}: map it, "
                f"names={{{path!r}: {same[0]!r}}}, or leave it as it is, "
                f"names={{{path!r}: None}}."
            )
        return (
            f"Is it the checkpoint of another model? It has {_listed(free)}. "
            "To keep what the model has for a weight: "
            f"names={{{open_[0]!r}: None}}."
        )


def _is_one_family(names: list[str]) -> bool:
    plain = (name_parts.reduced(name, 0) for name in names)
    return len(set(map(name_parts.family, plain))) == 1


def _differ_by_scope(paths: list[str], names: list[str]) -> bool:
    """Returns whether layers of one name are in several scopes."""
    layers = {
        name_parts.family("/".join(name.split("/")[-2:]))
        for name in (*paths, *names)
    }
    return len(layers) == 1 and not _is_one_family(paths)


def _undecided(
    paths: list[str], names: list[str], where: str
) -> CheckpointError:
    names = sorted(names, key=name_parts.natural)
    return CheckpointError(
        "names do not match, and shapes do not decide which of "
        f"{_listed(names)} belong to {_listed(paths)}",
        where,
        f"Say it: names={{{paths[0]!r}: {names[0]!r}, ...}}.",
    )


def _other_shape(
    path: str, name: str, ours: Spec, theirs: Spec, where: str
) -> CheckpointError:
    return CheckpointError(
        f"{path!r} has the shape {ours.shape} in the model, and {name!r} has "
        f"{theirs.shape} in the checkpoint",
        where,
        "Is it the checkpoint of another model? If the weight has another "
        f"name there, map it: names={{{path!r}: ...}}.",
    )


def _by_kind(
    paths: list[str], names: list[str]
) -> Iterable[tuple[list[str], list[str]]]:
    """Divides both by kinds (kernel, bias, ...), if all kinds are known."""
    if not all(map(name_parts.kind, [*paths, *names])):
        yield paths, names
        return
    of_names = _grouped(names, name_parts.kind)
    for kind, some in _grouped(paths, name_parts.kind).items():
        yield some, of_names.get(kind, [])


def _reducing(drop: int) -> Callable[[str], str]:
    return lambda name: name_parts.reduced(name, drop)


def _grouped(
    items: Iterable[str], key: Callable[[str], object]
) -> dict[object, list[str]]:
    groups: dict[object, list[str]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_LONGEST])) or "nothing else"
    more = len(names) - _LONGEST
    return shown if more <= 0 else f"{shown} and {more} more"
