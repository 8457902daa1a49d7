# SPDX-License-Identifier: Apache-2.0
"""Files that exist only as texts, for tests of single parts of a scan."""

from final_ops_callback._scan.context import Context
from final_ops_callback._scan.factories import Factories
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.gone import GoneNames
from final_ops_callback._scan.grammar import parse
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.tree import Tree


def context_of(**texts: str) -> tuple[Context, Facts]:
    """Returns what the judges share, and the facts of the file `a`."""
    files = {f"/w/{name}.py": f"{text}\n" for name, text in texts.items()}
    tree = Tree(files, lambda path: facts_of(path, parse(files[path])))
    resolver = Resolver(tree)
    context = Context(
        tree,
        resolver,
        GoneNames(tree, resolver),
        Factories(resolver),
        lambda path, line: f"{path}:{line}",
    )
    facts = tree.facts("/w/a.py")
    assert facts is not None
    return context, facts
