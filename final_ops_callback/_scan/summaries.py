# SPDX-License-Identifier: Apache-2.0
"""Judges the summaries that a file of v1 makes beside its sessions.

A session wrote whatever summaries were in the graph. The graph of the hooks
has those that are made in it, in the function that returns the hooks.
"""

from __future__ import annotations

from collections.abc import Iterable

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.known import label
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import is_inside
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import words

_MAKERS = words(
    "scalar histogram image audio text tensor_summary merge merge_all"
)
_ARGUMENTS = {"scalar": "tensor", "histogram": "values"}


def summaries(
    context: Context, facts: Facts, found: Iterable[Finding]
) -> list[Finding]:
    """Returns what is to be said of the summaries of a file: once, or not.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        found: What else is found in it. Without a session or a
            SummarySaverHook nothing would write the summaries.
    """
    if not any(f.kind == "session" or "SummarySaver" in f.name for f in found):
        return []
    made = [
        (fact, path)
        for fact in facts.calls
        if (path := _made(context, facts, fact))
    ]
    if not made:
        return []
    fact, path = made[0]
    places = f" (in {len(made)} places of this file)" if len(made) > 1 else ""
    return [
        Finding(
            facts.path,
            fact.call.start[0],
            fact.call.end[0],
            "removed_name",
            label(path),
            "",
            "change",
            "summaries of the v1 graph are not written: make them in the "
            'function that returns the hooks, from "loss:0" and the like'
            f"{places}",
            _written(made),
        )
    ]


def _made(context: Context, facts: Facts, fact: CallFact) -> Dotted:
    """Returns the name of what makes a summary for a session, or `()`.

    A class of hooks makes its own in the graph of the hooks.
    """
    path = chain(fact.call.callee)
    if path is None or path[-1] not in _MAKERS:
        return ()
    full = context.resolver.external(fact.scope, path)
    if full[:1] != ("tensorflow",) or full[-2:-1] != ("summary",):
        return ()
    if not {"v2", "contrib", "experimental"}.isdisjoint(full):
        return ()
    if context.factories.contain(fact.scope):
        return ()
    in_hooks = any(
        is_inside(fact.call.node, one.node)
        and context.resolver.descent(one) is not None
        for one in facts.classes
    )
    return () if in_hooks else full


def _written(made: list[tuple[CallFact, Dotted]]) -> str:
    """Returns the lines that make the first summary of a known tensor."""
    name, tag, tensor = "scalar", '"loss"', "loss:0"
    for fact, path in made:
        first = fact.call.argument(0, "name")
        value = fact.call.argument(1, _ARGUMENTS.get(path[-1], ""))
        if value is None or first is None or string(first) is None:
            continue
        known = graph_names.guess(value.get_code())
        if known:
            name, tag, tensor = path[-1], one_line(first, 40), known
            break
    return (
        "tensor = tf.compat.v1.get_default_graph().get_tensor_by_name"
        "  # in the function that returns the hooks\n"
        f'tf.compat.v1.summary.{name}({tag}, tensor("{tensor}"))'
    )
