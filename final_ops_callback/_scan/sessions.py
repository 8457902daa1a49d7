# SPDX-License-Identifier: Apache-2.0
"""Judges the sessions of v1, and what else ran its loops."""

from __future__ import annotations

from final_ops_callback._scan import final_ops
from final_ops_callback._scan.bare_sessions import BareSessions
from final_ops_callback._scan.bare_sessions import evaluation
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.given import KEYWORDS
from final_ops_callback._scan.given import GivenHooks
from final_ops_callback._scan.given import fit
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import one_line

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


class SessionJudge:
    """Judges the calls of a file that make a session, or run a loop.

    Args:
        context: The `Context`.
        given: The `GivenHooks`.
    """

    def __init__(self, context: Context, given: GivenHooks) -> None:
        self._context = context
        self._given = given
        self._bare = BareSessions(context, given)

    def judge(self, facts: Facts, fact: CallFact, known: Known) -> Finding:
        """Returns what is found at a call of something that ran a loop."""
        call = fact.call
        why, write = self._instead(facts, fact, known)
        verdict: Verdict = "change" if known.kind == "scaffold" else "replace"
        edit = self._context.edit_at(facts, call.start)
        is_inside = self._context.factories.contain(fact.scope)
        if known.kind == "scaffold" and known.exists and is_inside:
            verdict = "unmodified"
            why = "is made in a function that runs in the hook graph"
            write = ""
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
                self.monitored(facts, fact),
            )
        if known.name == "Supervisor" or known.kind == "loop":
            folder = argument_code(call, ("logdir",), 1)
            given = f"checkpoint_dir={folder}" if folder else ""
            made = f"MonitoredTrainingCallback({given})"
            return "fit is the loop, and restores and saves so", fit([made])
        if known.kind == "scaffold":
            made = self._context.call_code(facts, call)
            return (
                "a scaffold belongs to a graph: pass a function that makes it",
                f"SessionRunHookCallback(hooks, scaffold=lambda: {made})",
            )
        if known.kind == "evaluate":
            return self.evaluation(facts, fact, known)
        return self.bare(facts, fact, known)

    def bare(
        self, facts: Facts, fact: CallFact, known: Known
    ) -> tuple[str, str]:
        """Returns why a MonitoredSession is not needed, and what is instead."""
        return self._bare.instead(facts, fact, known)

    def monitored(self, facts: Facts, fact: CallFact) -> str:
        """Returns the Keras line for a MonitoredTrainingSession."""
        arguments, callbacks = [], []
        for argument in fact.call.arguments:
            if argument.keyword not in _KEPT:
                continue
            code = self._context.code(facts, argument.value)
            if argument.keyword in KEYWORDS:
                code, finals = self._given.split(
                    facts, fact.scope, argument.value
                )
                callbacks += finals
            if code:
                arguments.append(f"{argument.keyword}={code}")
        made = f"MonitoredTrainingCallback({', '.join(arguments)})"
        return fit([made, *callbacks])

    def evaluation(
        self, facts: Facts, fact: CallFact, known: Known
    ) -> tuple[str, str]:
        """Returns why evaluate_once is not needed, and what is instead."""
        call = fact.call
        position = 0 if "training" in known.path else 1
        names = ("checkpoint_dir", "checkpoint_path")
        folder = argument_code(call, names, position)
        more = [
            f"{a.keyword}={self._context.code(facts, a.value)}"
            for a in call.arguments
            if a.keyword in ("hooks", "timeout")
        ]
        ops = [
            final_ops.code_of_ops(self._context, facts, fact.scope, a.value)
            for a in call.arguments
            if a.keyword in ("final_op", "final_ops")
        ]
        more += [f"final_ops={code}" for code in ops]
        return (
            "evaluate_checkpoints yields the step and the values of each "
            "checkpoint; final_ops are names, metrics or functions",
            evaluation(folder or '"checkpoint_dir"', more),
        )


def argument_code(
    call: Call, keywords: tuple[str, ...], position: int = -1
) -> str:
    """Returns the code of an argument, or `""` if it is not there."""
    values = [call.argument(-1, keyword) for keyword in keywords]
    found = [v for v in [*values, call.argument(position, "")] if v is not None]
    return one_line(found[0], 60) if found else ""
