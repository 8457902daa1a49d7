# SPDX-License-Identifier: Apache-2.0
"""The map that a user gives from Keras paths to the names of a checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping

from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback._names import did_you_mean
from final_ops_callback._names import nearest
from final_ops_callback.errors import ArgumentError

POWERS = ("beta1_power", "beta2_power")
# No scope of weights stands for these: v1 made them outside of scopes.
APART = (GLOBAL_STEP, *POWERS)


class NameMap:
    """A checked map from the paths of a model to names in a checkpoint.

    Args:
        names: Mapping from a path to the name in the checkpoint. A key that
            ends in `/` (or is empty) is a scope: it stands for all paths that
            begin with it, and its value replaces it (`global_step` and Adam's
            powers have keys of their own). The value `None` leaves
            out what the key stands for. Of several keys that fit a path, the
            longest counts. `:0` at the end of a name means nothing. Defaults
            to `None`: no names.

    Raises:
        ArgumentError: `names` is not such a mapping.

    Example:
    >>> names = NameMap({"model/": "", "model/head/": None, "out/w:0": "W"})
    >>> names.name("model/hidden/kernel"), names.name("out/w")
    ('hidden/kernel', 'W')
    >>> names.name("model/head/kernel") is None
    True
    >>> names.covers("other/kernel")
    False
    """

    def __init__(self, names: Mapping[str, str | None] | None = None) -> None:
        if not isinstance(names, Mapping | None):
            raise ArgumentError(
                f"a {type(names).__name__} is not a mapping of names",
                "names",
                'Use a dict: names={"hidden/kernel": "layer1/weights"}.',
            )
        self._names: dict[str, str | None] = {}
        for key, name in (names or {}).items():
            self._add(key, name)

    def _add(self, key: str, name: str | None) -> None:
        if not isinstance(key, str) or not isinstance(name, str | None):
            raise ArgumentError(
                f"{key!r}: {name!r} is not a pair of names",
                "names",
                'Use strings: names={"hidden/kernel": "layer1/weights"}, or '
                "None to leave a variable out.",
            )
        key = key.removesuffix(":0")
        if name is not None:
            name = name.removesuffix(":0")
            if _is_scope(key) != _is_scope(name):
                raise ArgumentError(
                    f"of {key!r} and {name!r} one is a scope and one is not",
                    "names",
                    "A scope ends in '/', or is empty for all names.",
                )
        if self._names.get(key, name) != name:
            raise ArgumentError(
                f"{key!r} is there twice, once with ':0'",
                "names",
                "Keep one of the two.",
            )
        self._names[key] = name

    def covers(self, path: str) -> bool:
        """Returns whether the map says something about a path."""
        return self._key_of(path) is not None

    def name(self, path: str) -> str | None:
        """Returns the name of a path: itself, if the map says nothing.

        Args:
            path: String. The path of a variable.

        Returns:
            String, or `None` if the map leaves the variable out.
        """
        key = self._key_of(path)
        if key is None:
            return path
        name = self._names[key]
        return None if name is None else name + path[len(key) :]

    def check_keys(
        self, paths: Collection[str], there: Collection[str]
    ) -> None:
        """Checks that each key stands for something.

        Args:
            paths: Collection of strings. The paths that there are.
            there: Collection of strings. The names in the checkpoint, by which
                a map in the wrong direction is recognized.

        Raises:
            ArgumentError: A key is no path, and no scope of one.
        """
        for key, name in self._names.items():
            is_used = (
                any(path.startswith(key) for path in paths)
                if _is_scope(key)
                else key in paths
            )
            if is_used:
                continue
            raise ArgumentError(
                f"the model has no variable {key!r}",
                "names",
                _way_out(key, name, paths, there),
            )

    def _key_of(self, path: str) -> str | None:
        if path in self._names or path in APART:
            return path if path in self._names else None
        scopes = [
            key
            for key in self._names
            if _is_scope(key) and path.startswith(key)
        ]
        return max(scopes, key=len, default=None)


def _is_scope(name: str) -> bool:
    return not name or name.endswith("/")


def _way_out(
    key: str, name: str | None, paths: Collection[str], there: Collection[str]
) -> str:
    """Returns what to do about a key that stands for nothing."""
    is_reversed = key in there and name in paths
    if not is_reversed and _is_of_a_slot(key, paths):
        return (
            "Slots of the optimizer follow their weight: map the weight, and "
            "use optimizer_name= if v1's optimizer had a name of its own."
        )
    # A name that both sides have does not tell the direction.
    is_typo = bool(did_you_mean(key, paths)) or bool(there)
    if key in there or (name in paths and not is_typo):
        return (
            "The map goes from paths in Keras to names in the checkpoint: turn "
            "it around."
        )
    return nearest(key, paths)


def _is_of_a_slot(key: str, paths: Collection[str]) -> bool:
    """Returns whether a key seems to be the name of a slot.

    In v1 it is `net/w/Adam`, in Keras 3 `adam/net_w_momentum`, in Keras 2
    `Adam/m/net/w`.
    """
    for path in paths:
        if path in APART:
            continue
        is_flat = path.replace("/", "_") in key.partition("/")[2]
        is_in = f"/{path}" in key and key.index(f"/{path}") > key.find("/")
        if is_flat or is_in or key.startswith(f"{path}/"):
            return True
    return False
