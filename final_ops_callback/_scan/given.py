# SPDX-License-Identifier: Apache-2.0
"""Reads the hooks that a call gets, and writes them as Keras takes them."""

from __future__ import annotations

import re
from typing import Any

from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import elements
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import leaves_of
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.syntax import words

KEYWORDS = words("""
    hooks training_hooks evaluation_hooks prediction_hooks chief_only_hooks
    training_chief_hooks train_hooks eval_hooks
    """)
# At which place a call takes hooks without a keyword.
_POSITIONS = {
    "MonitoredTrainingSession": 4,
    "MonitoredSession": 1,
    "SingularMonitoredSession": 0,
    "TrainSpec": 2,
    "EvalSpec": 3,
}
# Where these methods of an Estimator take hooks without a keyword.
_PLACES = {"train": 1, "evaluate": 2, "predict": 2}


class GivenHooks:
    """Reads the hooks that calls get.

    Args:
        context: The `Context`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def of(
        self, call: Call, scope: Scope, known: Known | None
    ) -> list[tuple[str, Any]]:
        """Returns the hooks that a call gets, by keyword or by position."""
        found = [
            (argument.keyword, argument.value)
            for argument in call.arguments
            if argument.keyword in KEYWORDS
        ]
        position = _POSITIONS.get(known.name, -1) if known else -1
        name = last_name(call)
        if known is None and name in _PLACES and len(call.callee) > 1:
            position = _PLACES[name]
        if any(keyword == "hooks" for keyword, _ in found):
            position = -1
        value = call.argument(position, "hooks") if position >= 0 else None
        if value is not None and (
            known is not None or self._are_hooks(scope, value)
        ):
            found.append(("hooks", value))
        return [
            (keyword, value)
            for keyword, value in found
            if getattr(value, "value", "") != "None" and elements(value) != []
        ]

    def _are_hooks(self, scope: Scope, value: Any) -> bool:
        """Returns whether an argument of some method looks like hooks."""
        resolver = self._context.resolver
        for node in walk(value):
            if node.type == "name" and re.search(r"[Hh]ooks?$", node.value):
                return True
            for call in calls_of(node):
                for own in resolver.classes(scope, chain(call.callee) or ("",)):
                    if resolver.descent(own) is not None:
                        return True
        return False

    def split(
        self, facts: Facts, scope: Scope, value: Any
    ) -> tuple[str, list[str]]:
        """Returns the code of hooks, and that of the final ops among them.

        A FinalOpsHook becomes a callback of its own. Hooks that are made
        where they are passed may need the graph: they go into a function.
        """
        among = elements(value) if value.type == "atom" else None
        finals = [n for n in among or () if self._is_final(scope, n)]
        if not finals:
            code = self._context.code(facts, value)
            return (f"lambda: {code}" if needs_graph(value) else code), []
        others = [n for n in among or () if n not in finals]
        code = ", ".join(self._context.code(facts, n) for n in others)
        code = f"[{code}]" if others else ""
        if any(needs_graph(n) for n in others):
            code = f"lambda: {code}"
        return code, [self._final_code(facts, n) for n in finals]

    def finals(
        self, scope: Scope, values: list[Any]
    ) -> list[tuple[Scope, Call]]:
        """Returns the calls that make final ops, with their scopes.

        Args:
            scope: The scope of the hooks.
            values: List of nodes: the hooks that a call gets.
        """
        found = []
        for value in values:
            nodes = elements(value) if value.type == "atom" else None
            for node in nodes or ():
                if not self._is_final(scope, node):
                    continue
                for made in (node, *values_of(scope, node)):
                    calls = list(calls_of(made))
                    found += [(scope, calls[-1])] if calls else []
        return found

    def _is_final(self, scope: Scope, node: Any) -> bool:
        """Returns whether a node makes final ops, or is the name of some."""
        calls = list(calls_of(node))
        if calls and calls[-1].trailer is node.children[-1]:
            path = chain(calls[-1].callee)
            if path is None:
                return False
            found = self._context.resolver.external(scope, path)
            return found[-1:] in (("FinalOpsHook",), ("FinalOpsCallback",))
        if node.type != "name":
            return False
        targets = self._context.resolver.resolve(scope, (node.value,))
        return len(targets) == 1 and any(
            target.kind == "value"
            and target.scope is not None
            and target.node is not None
            and target.node.type != "name"
            and self._is_final(target.scope, target.node)
            for target in targets
        )

    def _final_code(self, facts: Facts, node: Any) -> str:
        calls = list(calls_of(node))
        if not calls:
            return str(node.value)
        return self._context.call_code(facts, calls[-1], "FinalOpsCallback")


def fit(callbacks: list[str]) -> str:
    return f"model.fit(data, callbacks=[{', '.join(callbacks)}])"


def callbacks_of(hooks: str, finals: list[str], more: str = "") -> str:
    first = [f"SessionRunHookCallback({hooks}{more})"] if hooks else []
    return ", ".join([*first, *finals])


def call_of_keras(method: str, hooks: str, finals: list[str]) -> str:
    return f"model.{method}(data, callbacks=[{callbacks_of(hooks, finals)}])"


# These need a graph only if an argument does.
_PLAIN = words(
    """
    StopAtStepHook StepCounterHook GlobalStepWaiterHook CheckpointSaverHook
    LoggingTensorHook NanTensorHook
    """
)
_OF_TENSORS = ("tensors", "loss_tensor")
_OF_GRAPH = ("saver", "scaffold", "summary_writer")


def needs_graph(value: Any) -> bool:
    """Returns whether something made in an expression may need a graph."""
    calls = (call for node in walk(value) for call in calls_of(node))
    return any(map(_makes_of_graph, calls))


def _makes_of_graph(call: Call) -> bool:
    name = last_name(call)
    if name not in _PLAIN or any(a.star for a in call.arguments):
        return True
    if any(a.keyword in _OF_GRAPH for a in call.arguments):
        return True
    if not name.endswith("TensorHook"):
        return len(call.arguments) > 3  # a saver may be among them
    tensors = [call.argument(0, keyword) for keyword in _OF_TENSORS]
    leaves = [leaf for t in tensors if t is not None for leaf in _leaves(t)]
    return any(string(leaf) is None for leaf in leaves)


def _leaves(node: Any) -> list[Any]:
    leaves = leaves_of(node)
    return [node] if leaves is None else leaves
