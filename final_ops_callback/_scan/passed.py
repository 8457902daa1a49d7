# SPDX-License-Identifier: Apache-2.0
"""Judges the places where hooks are passed, and the sessions of v1."""

from __future__ import annotations

import re
from typing import Any

from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import elements
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.syntax import statement_of
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.syntax import words

MARK = "# Keras: "
_KEYWORDS = words("""
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
_METHODS = {"train": "fit", "evaluate": "evaluate", "predict": "predict"}
# Where these methods of an Estimator take hooks without a keyword.
_PLACES = {"train": 1, "evaluate": 2, "predict": 2}
_OURS = words(
    """
    SessionRunHookCallback HookRunner MonitoredTrainingCallback
    evaluate_checkpoints
    """
)
_PHASES = {
    "evaluation_hooks": "evaluate",
    "eval_hooks": "evaluate",
    "prediction_hooks": "predict",
}
_KEPT = (
    "checkpoint_dir",
    "hooks",
    "chief_only_hooks",
    "scaffold",
    "save_checkpoint_secs",
    "save_checkpoint_steps",
    "save_summaries_steps",
    "save_summaries_secs",
    "log_step_count_steps",
)


class PassedJudge:
    """Judges the calls of a file that get hooks, or make a session.

    Args:
        context: The `Context`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def judge(self, facts: Facts, fact: CallFact) -> list[Finding]:
        """Returns what is found at a call."""
        call = fact.call
        path = chain(call.callee)
        known = path and self._context.resolver.known(fact.scope, path)
        found = []
        if known and known.kind in ("session", "scaffold", "evaluate", "loop"):
            found.append(self._session(facts, fact, known))
        for keyword, value in self._hooks_of(call, fact.scope, known or None):
            finding = self._passed(
                facts, fact, path or (), known or None, keyword, value
            )
            if finding is not None:
                found.append(finding)
        return found

    def _hooks_of(
        self, call: Call, scope: Scope, known: Known | None
    ) -> list[tuple[str, Any]]:
        """Returns the hooks that a call gets, by keyword or by position."""
        found = [
            (argument.keyword, argument.value)
            for argument in call.arguments
            if argument.keyword in _KEYWORDS
        ]
        position = _POSITIONS.get(known.name, -1) if known else -1
        name = last_name(call)
        if known is None and name in _METHODS and len(call.callee) > 1:
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
        hooks, finals = self._split(facts, fact.scope, value)
        verdict: Verdict = "replace"
        is_ours = external[:1] == ("final_ops_callback",)
        if is_ours or last_name(call) in _OURS:
            verdict, write = "unmodified", ""
            why = f"{last_name(call)} runs them under Keras"
        elif known is not None:
            callee = known.label
            why, write = _for_known(known, keyword, hooks, finals)
            if known.name == "MonitoredTrainingSession":
                write = self._monitored(facts, fact)
        elif _is_own_method(fact.scope, path or ()) or any(
            t.kind in ("function", "class") for t in targets
        ):
            verdict, write = "unmodified", ""
            why = f"{last_name(call)} is code of this tree, and passes them on"
        elif keyword in _PHASES or keyword.startswith("train"):
            why = "a Keras model takes callbacks where it is run"
            write = _call_of_keras(_PHASES.get(keyword, "fit"), hooks, finals)
        elif last_name(call) in _METHODS and len(call.callee) > 1:
            method = _METHODS[last_name(call)]
            why = f"an Estimator is gone; {method} of a Keras model takes them"
            write = _call_of_keras(method, hooks, finals)
        elif not _knows_tensorflow(facts):
            return None
        else:
            verdict = "change"
            why = "what gets these hooks is not in the tree"
            write = f"callbacks=[{_callbacks(hooks, finals)}]"
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

    def _split(
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
            return (f"lambda: {code}" if _needs_graph(value) else code), []
        others = [n for n in among or () if n not in finals]
        code = ", ".join(self._context.code(facts, n) for n in others)
        code = f"[{code}]" if others else ""
        if any(_needs_graph(n) for n in others):
            code = f"lambda: {code}"
        return code, [self._final_code(facts, n) for n in finals]

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

    def _session(self, facts: Facts, fact: CallFact, known: Known) -> Finding:
        call = fact.call
        why, write = self._instead(facts, fact, known)
        verdict: Verdict = "change" if known.kind == "scaffold" else "replace"
        edit = self._context.edit_at(facts, call.start)
        return Finding(
            facts.path,
            call.start[0],
            call.end[0],
            "session",
            known.name,
            known.label,
            verdict,
            why,
            write,
            edits=() if edit is None else (edit,),
        )

    def _instead(
        self, facts: Facts, fact: CallFact, known: Known
    ) -> tuple[str, str]:
        call = fact.call
        if known.name == "MonitoredTrainingSession":
            return (
                "fit is the loop, and MonitoredTrainingCallback restores, "
                "saves, counts steps and writes summaries as this did",
                self._monitored(facts, fact),
            )
        if known.name == "Supervisor" or known.kind == "loop":
            folder = _argument(call, ("logdir",), 1) or "logdir"
            made = f"MonitoredTrainingCallback(checkpoint_dir={folder})"
            return "fit is the loop, and restores and saves so", _fit([made])
        if known.kind == "scaffold":
            made = self._context.call_code(facts, call)
            return (
                "a scaffold belongs to a graph: pass a function that makes it",
                f"SessionRunHookCallback(hooks, scaffold=lambda: {made})",
            )
        if known.kind == "evaluate":
            return self._evaluation(facts, call, known)
        if known.name.endswith("Creator"):
            folder = _argument(call, ("checkpoint_dir",)) or "checkpoint_dir"
            made = f"MonitoredTrainingCallback(checkpoint_dir={folder})"
            return (
                "Keras needs no session; what it restored is restored so",
                _fit([made]),
            )
        values = [v for _, v in self._hooks_of(call, fact.scope, known)]
        hooks, finals = "hooks", list[str]()
        if values:
            hooks, finals = self._split(facts, fact.scope, values[0])
        return (
            "fit, evaluate and predict are the loops",
            _call_of_keras("fit", hooks, finals),
        )

    def _monitored(self, facts: Facts, fact: CallFact) -> str:
        """Returns the Keras line for a MonitoredTrainingSession."""
        arguments, callbacks = [], []
        for argument in fact.call.arguments:
            if argument.keyword not in _KEPT:
                continue
            code = self._context.code(facts, argument.value)
            if argument.keyword in _KEYWORDS:
                code, finals = self._split(facts, fact.scope, argument.value)
                callbacks += finals
            if code:
                arguments.append(f"{argument.keyword}={code}")
        made = f"MonitoredTrainingCallback({', '.join(arguments)})"
        return _fit([made, *callbacks])

    def _evaluation(
        self, facts: Facts, call: Call, known: Known
    ) -> tuple[str, str]:
        position = 0 if "training" in known.path else 1
        names = ("checkpoint_dir", "checkpoint_path")
        folder = _argument(call, names, position)
        more = [
            f"{a.keyword}={self._context.code(facts, a.value)}"
            for a in call.arguments
            if a.keyword in ("hooks", "timeout")
        ]
        ops = [a for a in call.arguments if a.keyword.startswith("final_op")]
        if ops and not ops[0].keyword.endswith("feed_dict"):
            more.append("final_ops=final_ops")
        arguments = ", ".join(
            ["model", "data", folder or "checkpoint_dir", *more]
        )
        return (
            "evaluate_checkpoints yields the step and the values of each "
            "checkpoint; final_ops are names, metrics or functions",
            f"for step, values in evaluate_checkpoints({arguments}): ...",
        )


def _is_own_method(scope: Scope, path: Dotted) -> bool:
    """Returns whether a call is one of a method of the class around it."""
    if len(path) != 2 or path[0] not in ("self", "cls"):
        return False
    around: Scope | None = scope
    while around is not None and around.kind != "class":
        around = around.parent
    return around is not None and path[1] in around.bindings


def _fit(callbacks: list[str]) -> str:
    return f"model.fit(data, callbacks=[{', '.join(callbacks)}])"


def _callbacks(hooks: str, finals: list[str], more: str = "") -> str:
    first = [f"SessionRunHookCallback({hooks}{more})"] if hooks else []
    return ", ".join([*first, *finals])


def _call_of_keras(method: str, hooks: str, finals: list[str]) -> str:
    return f"model.{method}(data, callbacks=[{_callbacks(hooks, finals)}])"


def _for_known(
    known: Known, keyword: str, hooks: str, finals: list[str]
) -> tuple[str, str]:
    """Returns why a known function has no use for hooks, and what has."""
    if known.name == "MonitoredTrainingSession":
        given = f"{keyword}={hooks}" if hooks else ""
        return (
            "MonitoredTrainingCallback takes them beside its own",
            _fit([f"MonitoredTrainingCallback({given})", *finals]),
        )
    if known.kind == "evaluate":
        return (
            "evaluate_checkpoints takes them",
            "for step, values in evaluate_checkpoints(model, data, "
            f"checkpoint_dir, hooks={hooks}): ...",
        )
    why = "a Keras model takes callbacks where it is run"
    method = _PHASES.get(keyword, "fit")
    if known.name == "EvalSpec":
        method = "evaluate"
    if "chief" in keyword:
        made = _callbacks(hooks, finals, ", chief_only=True")
        return why, f"model.fit(data, callbacks=[{made}])"
    return why, _call_of_keras(method, hooks, finals)


# These need a graph only if an argument does.
_PLAIN = re.compile(
    r"\b(StopAtStepHook|StepCounterHook|GlobalStepWaiterHook|"
    r"CheckpointSaverHook|LoggingTensorHook|NanTensorHook)\b"
)


def _needs_graph(value: Any) -> bool:
    """Returns whether something made in an expression may need a graph."""
    for node in walk(value):
        for call in calls_of(node):
            code = call.trailer.get_code()
            is_plain = _PLAIN.search(call.callee[-1].get_code())
            if not is_plain or re.search(r"loss\b|tensor|\(\)|\.\w+\(", code):
                return True
    return False


def _argument(call: Call, keywords: tuple[str, ...], position: int = -1) -> str:
    """Returns the code of an argument, or `""` if it is not there."""
    values = [call.argument(-1, keyword) for keyword in keywords]
    found = [v for v in [*values, call.argument(position, "")] if v is not None]
    return one_line(found[0], 60) if found else ""


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
    return (Edit(end, end, f"{tail}{MARK}{write}\n"),)
