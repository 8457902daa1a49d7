# SPDX-License-Identifier: Apache-2.0
"""Says whether a session of v1 trains or evaluates, by what is around it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any
from typing import Literal

from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.origins import streaming
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import is_inside
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import leaves_of
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.syntax import words

Phase = Literal["train", "evaluate", "unknown"]

_TRAINERS = words("minimize apply_gradients create_train_op optimize_loss")
_TRAIN = re.compile(
    r"train_?(op|step)|(^|_)train(ing)?(_|$)|minimize|optimi[sz]e|apply_grad",
    re.IGNORECASE,
)
_EVALUATE = re.compile(
    r"(^|_)(eval|evaluate|evaluation|validate|validation)(_|$)", re.IGNORECASE
)
_METRIC = re.compile(r"eval|metric|update(?!_ops?\b)", re.IGNORECASE)
_EVALUATING = words("FinalOpsHook FinalOpsCallback StopAfterNEvalsHook")
_TRAINING = words(
    "StopAtStepHook CheckpointSaverHook NanTensorHook StepCounterHook"
)


def phase_of(
    context: Context, facts: Facts, fact: CallFact, hooks: list[Any]
) -> Phase:
    """Returns what a session does.

    What it runs says most, then its hooks, then how the function or the file
    is called in which it stands.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        fact: The call that makes the session.
        hooks: List of nodes: the hooks that it gets.
    """
    fetches = [
        leaf
        for node in fetched(facts, fact)
        for leaf in leaves_of(node) or [node]
    ]
    if any(_trains(fact.scope, node) for node in fetches):
        return "train"
    made = {n for node in hooks for n in _hook_names(fact.scope, node)}
    if made & _EVALUATING:
        return "evaluate"
    for node in fetches:
        if streaming(context, fact.scope, node) is not None:
            return "evaluate"
    if any(_METRIC.search(_name(node)) for node in fetches):
        return "evaluate"
    if made & _TRAINING:
        return "train"
    return _by_name(facts, fact.scope)


def fetched(facts: Facts, fact: CallFact) -> Iterator[Any]:
    """Yields what is run in the session that a call makes."""
    node = fact.call.node
    name, root = "", None
    if node.parent.type == "with_item":
        name, root = node.parent.children[-1].get_code(), node.parent.parent
    elif node.parent.type == "expr_stmt" and node.parent.children[-1] is node:
        name = node.parent.children[0].get_code()
        scope: Scope = fact.scope
        is_attribute = name.strip().startswith("self.")
        if is_attribute and scope.parent is not None:
            scope = scope.parent  # other methods of the class may run it
        root = scope.node
    for other in facts.calls:
        call = other.call
        if root is None or last_name(call) != "run":
            continue
        owner = "".join(n.get_code() for n in call.callee[:-1])
        if owner.strip() == name.strip() and is_inside(call.node, root):
            value = call.argument(0, "fetches")
            if value is not None:
                yield value


def _trains(scope: Scope, node: Any) -> bool:
    if _TRAIN.search(_name(node)):
        return True
    return any(
        last_name(call) in _TRAINERS
        for value in values_of(scope, node)
        for call in calls_of(value)
    )


def _name(node: Any) -> str:
    return "".join(node.get_code().split()).rpartition(".")[2]


def _hook_names(scope: Scope, node: Any) -> Iterator[str]:
    """Yields what the hooks of an expression are called: their classes."""
    nodes = [node]
    for inner in walk(node):
        if inner.type == "name":
            nodes += values_of(scope, inner)
    for one in nodes:
        for inner in walk(one):
            yield from (last_name(call) for call in calls_of(inner))
            if one is not node and inner.type == "name":
                for value in values_of(scope, inner):
                    yield from map(last_name, calls_of(value))


def _by_name(facts: Facts, scope: Scope) -> Phase:
    names = []
    around: Scope | None = scope
    while around is not None:
        names.append(around.name)
        around = around.parent
    names.append(os.path.splitext(os.path.basename(facts.path))[0])
    for name in names:
        if _EVALUATE.search(name):
            return "evaluate"
        if _TRAIN.search(name):
            return "train"
    return "unknown"


def session_of(
    context: Context, facts: Facts, creator: Call
) -> CallFact | None:
    """Returns the call of the session that gets a session creator."""
    for fact in facts.calls:
        if not last_name(fact.call).endswith("MonitoredSession"):
            continue
        own = creator_of(fact)
        if own is not None and own.trailer is creator.trailer:
            return fact
    return None


def creator_of(fact: CallFact) -> Call | None:
    """Returns the call that makes the creator of a session, or `None`."""
    value = fact.call.argument(0, "session_creator")
    if value is None:
        return None
    for node in (value, *values_of(fact.scope, value)):
        for call in calls_of(node):
            if last_name(call).endswith("SessionCreator"):
                return call
    return None
