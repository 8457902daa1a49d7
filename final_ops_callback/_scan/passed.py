# SPDX-License-Identifier: Apache-2.0
"""Judges the places where hooks are passed."""

from __future__ import annotations

from typing import Any

from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.given import GivenHooks
from final_ops_callback._scan.given import call_of_keras
from final_ops_callback._scan.given import callbacks_of
from final_ops_callback._scan.given import fit
from final_ops_callback._scan.known import OURS
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.sessions import SessionJudge
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.syntax import statement_of

MARK = "# Keras: "
_METHODS = {"train": "fit", "evaluate": "evaluate", "predict": "predict"}
_PHASES = {
    "evaluation_hooks": "evaluate",
    "eval_hooks": "evaluate",
    "prediction_hooks": "predict",
}


class PassedJudge:
    """Judges the calls of a file that get hooks, or make a session.

    Args:
        context: The `Context`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._given = GivenHooks(context)
        self._sessions = SessionJudge(context, self._given)

    def judge(self, facts: Facts, fact: CallFact) -> list[Finding]:
        """Returns what is found at a call."""
        call = fact.call
        path = chain(call.callee)
        known = path and self._context.resolver.known(fact.scope, path)
        found = []
        if known and known.kind in ("session", "scaffold", "evaluate", "loop"):
            found.append(self._sessions.judge(facts, fact, known))
        for keyword, value in self._given.of(call, fact.scope, known or None):
            finding = self._passed(
                facts, fact, path or (), known or None, keyword, value
            )
            if finding is not None:
                found.append(finding)
        return found

    def _passed(
        self,
        facts: Facts,
        fact: CallFact,
        path: Dotted,
        known: Known | None,
        keyword: str,
        value: Any,
    ) -> Finding | None:
        call = fact.call
        callee = "".join(one_line(node, 60) for node in call.callee)
        external: Dotted = ()
        if path:
            external = self._context.resolver.external(fact.scope, path)
        targets = (
            self._context.resolver.resolve(fact.scope, path) if path else ()
        )
        hooks, finals = self._given.split(facts, fact.scope, value)
        verdict: Verdict = "replace"
        is_ours = external[:1] == ("final_ops_callback",)
        if is_ours or last_name(call) in OURS:
            verdict, write = "unmodified", ""
            why = f"{last_name(call)} runs them under Keras"
        elif known is not None:
            callee = known.label
            why, write = _for_known(known, keyword, hooks, finals)
            if known.name == "MonitoredTrainingSession":
                write = self._sessions.monitored(facts, fact)
            elif known.kind == "session":
                why, write = self._sessions.bare(facts, fact, known)
            elif known.kind == "evaluate":
                write = self._sessions.evaluation(facts, fact, known)[1]
        elif _is_own_method(fact.scope, path or ()) or any(
            t.kind in ("function", "class") for t in targets
        ):
            verdict, write = "unmodified", ""
            why = f"{last_name(call)} is code of this tree, and passes them on"
        elif keyword in _PHASES or keyword.startswith("train"):
            why = "a Keras model takes callbacks where it is run"
            write = call_of_keras(_PHASES.get(keyword, "fit"), hooks, finals)
        elif last_name(call) in _METHODS and len(call.callee) > 1:
            method = _METHODS[last_name(call)]
            why = f"an Estimator is gone; {method} of a Keras model takes them"
            write = call_of_keras(method, hooks, finals)
        elif not _knows_tensorflow(facts):
            return None
        else:
            verdict = "change"
            why = "what gets these hooks is not in the tree"
            write = f"callbacks=[{callbacks_of(hooks, finals)}]"
        return Finding(
            facts.path,
            value.start_pos[0],
            value.end_pos[0],
            "hooks_passed",
            keyword,
            callee,
            verdict,
            why,
            write,
            edits=_comment(call, write),
        )


def _is_own_method(scope: Scope, path: Dotted) -> bool:
    """Returns whether a call is one of a method of the class around it."""
    if len(path) != 2 or path[0] not in ("self", "cls"):
        return False
    around: Scope | None = scope
    while around is not None and around.kind != "class":
        around = around.parent
    return around is not None and path[1] in around.bindings


def _for_known(
    known: Known, keyword: str, hooks: str, finals: list[str]
) -> tuple[str, str]:
    """Returns why a known function has no use for hooks, and what has."""
    if known.name == "MonitoredTrainingSession":
        given = f"{keyword}={hooks}" if hooks else ""
        return (
            "MonitoredTrainingCallback takes them beside its own",
            fit([f"MonitoredTrainingCallback({given})", *finals]),
        )
    if known.kind == "evaluate":
        return "evaluate_checkpoints takes them", ""
    why = "a Keras model takes callbacks where it is run"
    method = _PHASES.get(keyword, "fit")
    if known.name == "EvalSpec":
        method = "evaluate"
    if "chief" in keyword:
        made = callbacks_of(hooks, finals, ", chief_only=True")
        return why, f"model.fit(data, callbacks=[{made}])"
    return why, call_of_keras(method, hooks, finals)


def _knows_tensorflow(facts: Facts) -> bool:
    return any(
        fact.module[:1]
        in (("tensorflow",), ("tf_slim",), ("tensorflow_estimator",))
        for fact in facts.imports
    )


def _comment(call: Call, write: str) -> tuple[Edit, ...]:
    """Returns the edit that puts the Keras line above the statement of a call.

    None if a comment of that kind stands there.
    """
    statement = statement_of(call.node)
    first = statement.get_first_leaf()
    if not write or MARK in first.prefix:
        return ()
    line, column = statement.start_pos
    tail = first.prefix.rpartition("\n")[2].rpartition("\r")[2]
    if len(tail) != column:  # a form feed, or a line that goes on
        return ()
    end = (line, 0)
    lines = "".join(f"{tail}{MARK}{one}\n" for one in write.splitlines())
    return (Edit(end, end, lines),)
