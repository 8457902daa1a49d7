# SPDX-License-Identifier: Apache-2.0
"""Finds the files of a tree that an import means, and parses them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from collections.abc import Iterable

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.known import ROOTS
from final_ops_callback._scan.syntax import Dotted

# Modules that are never a file of the tree, whatever its folders are called.
_NEVER = frozenset([*ROOTS, "keras", "numpy", "six", "__future__"])


class Tree:
    """The files of a scan, by the modules that they are.

    A file of the tree is a module under several names: its own name for the
    files beside it, a dotted one for those further up. Which one holds depends
    on how a program is started, so all are tried, the nearest first.

    Args:
        paths: Iterable of the paths of all files.
        facts: Function from a path to the facts of the file, or `None` if it
            can't be read. It is asked once for each path.
    """

    def __init__(
        self,
        paths: Iterable[str],
        facts: Callable[[str], Facts | None],
    ) -> None:
        self._read = facts
        self._facts: dict[str, Facts | None] = {}
        self._files: dict[Dotted, str] = {}
        self._by_end: dict[str, list[Dotted]] = {}
        self._parts: dict[str, Dotted] = {}
        for path in paths:
            self._add(path)

    def _add(self, path: str) -> None:
        parts = tuple(os.path.abspath(path).split(os.sep))
        self._parts[path] = parts
        if not path.endswith(".py"):
            return
        module = (*parts[:-1], parts[-1][:-3])
        if module[-1] == "__init__":
            module = module[:-1]
        self._files.setdefault(module, path)
        self._by_end.setdefault(module[-1], []).append(module)

    def facts(self, path: str) -> Facts | None:
        """Returns the facts of a file, or `None` if it can't be read."""
        if path not in self._facts:
            self._facts[path] = self._read(path)
        return self._facts[path]

    def find(
        self, path: str, module: Dotted, level: int
    ) -> tuple[str, Dotted] | None:
        """Finds the file that an import in a file means.

        Args:
            path: String. The file that imports.
            module: The dotted name that it imports.
            level: Integer. How many dots stand before it.

        Returns:
            The path of the file, and the part of the name that is not a
            module but in it; `None` if no file of the tree is meant.
        """
        folder = self._parts[path][:-1]
        if level:
            base = folder[: len(folder) - level + 1]
            return self._longest(base, module, 0)
        if not module or module[0] in _NEVER:
            return None
        for end in range(len(folder), 0, -1):
            found = self._longest(folder[:end], module, 1)
            if found is not None and found[0] != path:
                return found
        if module[0] in sys.stdlib_module_names:
            return None
        return self._by_suffix(path, module)

    def _longest(
        self, base: Dotted, module: Dotted, least: int
    ) -> tuple[str, Dotted] | None:
        for n in range(len(module), least - 1, -1):
            found = self._files.get((*base, *module[:n]))
            if found is not None:
                return found, module[n:]
        return None

    def _by_suffix(
        self, path: str, module: Dotted
    ) -> tuple[str, Dotted] | None:
        """Finds a module below a folder that is somewhere in the tree."""
        own = self._parts[path]
        for n in range(len(module), 0, -1):
            wanted = module[:n]
            found = [
                known
                for known in self._by_end.get(wanted[-1], ())
                if known[-n:] == wanted and self._files[known] != path
            ]
            # A single name, such as utils, may be in many places.
            if len(found) == 1 or (found and n > 1):
                nearest = max(found, key=lambda known: _common(known, own))
                return self._files[nearest], module[n:]
        return None


def _common(one: Dotted, other: Dotted) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), 0)
