# SPDX-License-Identifier: Apache-2.0
"""Finds the modules that a file needs beside it."""

from __future__ import annotations

import functools
import importlib.util
import sys

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Import
from final_ops_callback._scan.known import ROOTS
from final_ops_callback._scan.tree import Tree


def neighbours(facts: Facts, tree: Tree) -> tuple[list[str], list[str]]:
    """Returns the modules that a file imports when it is imported itself.

    Args:
        facts: The facts of the file.
        tree: The `Tree`.

    Returns:
        The modules that are files of the tree, and those that are neither
        there nor installed. Installed packages are not imported for it.
    """
    there: list[str] = []
    missing: list[str] = []
    for fact in facts.imports:
        if fact.mode != "import":
            continue
        name = "." * fact.level + ".".join(fact.module)
        if _is_there(facts, fact, tree):
            there.append(name)
        elif fact.level or not _is_installed(fact.module[0]):
            missing.append(name)
    return list(dict.fromkeys(there)), list(dict.fromkeys(missing))


def _is_there(facts: Facts, fact: Import, tree: Tree) -> bool:
    names = (fact.name,) if fact.name not in ("", "*") else ()
    found = tree.find(facts.path, (*fact.module, *names), fact.level)
    return found is not None and found[0] != facts.path


@functools.cache
def _is_installed(name: str) -> bool:
    if name in sys.stdlib_module_names or name in ROOTS:
        return True
    if not name.isidentifier() or name.startswith("__"):
        return False
    return importlib.util.find_spec(name) is not None
