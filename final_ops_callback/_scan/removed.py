# SPDX-License-Identifier: Apache-2.0
"""Judges the names of a file that TensorFlow 2 has not."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from final_ops_callback._scan import contrib
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.gone import GoneImport
from final_ops_callback._scan.gone import GoneUse
from final_ops_callback._scan.gone import shared_edits
from final_ops_callback._scan.known import known
from final_ops_callback._scan.known import label
from final_ops_callback._scan.syntax import Dotted


def removed_names(
    context: Context, facts: Facts, told: Collection[tuple[int, int]]
) -> list[Finding]:
    """Returns the removed names of a file, each once.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        told: Collection of the places that other findings tell of.

    Returns:
        List of `Finding`. Names that have nothing to do with hooks are in it
        as well: whoever calls this decides whether to show them.
    """
    gone = context.gone.of(facts)
    found = [_import(facts, one) for one in gone.imports]
    if found:
        edits = shared_edits(gone.imports)
        found[0] = dataclasses.replace(found[0], edits=tuple(edits))
    groups: dict[Dotted, list[GoneUse]] = {}
    for use in gone.uses:
        root = context.resolver.external(use.use.scope, use.use.path[:1])
        is_alias = bool(root) and _is_gone_root(root)
        if use.use.nodes[0].start_pos not in told and not is_alias:
            groups.setdefault(_shown(use.path), []).append(use)
    found += [_uses(facts, path, uses) for path, uses in groups.items()]
    found += _switches(context, facts)
    return found


def _is_gone_root(root: Dotted) -> bool:
    """Returns whether a name is an alias of something gone, told elsewhere."""
    return len(root) > 1 and root[-1] != "v1"


def _shown(path: Dotted) -> Dotted:
    """Returns the part of a name that is told: of contrib, its module."""
    if "contrib" in path and known(path) is not None:
        at = path.index("contrib")
        what = known(path)
        if what is not None and what.kind == "contrib" and not what.new:
            return path[: at + 2]
    return path


def _finding(
    facts: Facts,
    line: int,
    path: Dotted,
    advice: tuple[Verdict, str, str],
    edits: tuple[Edit, ...],
) -> Finding:
    verdict, why, write = advice
    return Finding(
        facts.path,
        line,
        line,
        "removed_name",
        label(path),
        "",
        verdict,
        why,
        write,
        edits=edits,
    )


def _import(facts: Facts, one: GoneImport) -> Finding:
    what = known(one.path)
    if one.new:
        why = f"TensorFlow 2 has no {label(one.path)}"
        return _finding(
            facts, one.line, one.path, ("change", why, one.write), ()
        )
    if what is None and one.path[-1] == "estimator":
        why = f"TensorFlow 2 has no {label(one.path)}; its hooks are here"
        write = "import final_ops_callback.estimator as estimator"
        return _finding(facts, one.line, one.path, ("change", why, write), ())
    if what is None:
        why = f"TensorFlow 2 has no {label(one.path)}"
        return _finding(facts, one.line, one.path, ("none", why, ""), ())
    return _finding(facts, one.line, one.path, contrib.of_name(what), ())


def _uses(facts: Facts, path: Dotted, uses: list[GoneUse]) -> Finding:
    first = uses[0]
    edits = tuple(use.edit for use in uses if use.edit is not None)
    what = known(path)
    if first.new:
        advice: tuple[Verdict, str, str] = (
            "change",
            f"TensorFlow 2 has no {label(path)}",
            first.spelling,
        )
    elif what is not None:
        advice = contrib.of_name(what)
    else:
        advice = ("none", f"TensorFlow 2 has no {label(path)}", "")
    if len(uses) > 1:
        more = f"{advice[1]} (in {len(uses)} places of this file)"
        advice = (advice[0], more, advice[2])
    return _finding(facts, first.line, path, advice, edits)


def _switches(context: Context, facts: Facts) -> list[Finding]:
    found = []
    for use in facts.uses:
        path = context.resolver.external(use.scope, use.path)
        what = known(path) if path else None
        if what is not None and what.kind == "switch" and what.exists:
            line = use.nodes[0].start_pos[0]
            advice = contrib.of_name(what)
            found.append(_finding(facts, line, path, advice, ()))
    return found
