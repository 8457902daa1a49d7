# SPDX-License-Identifier: Apache-2.0
"""Writes what there is instead of a MonitoredSession and its creators.

They restore, and say nothing of what they are for: the same lines train in one
program and evaluate in another.
"""

from __future__ import annotations

import re
from typing import Any

from final_ops_callback._scan import final_ops
from final_ops_callback._scan import phases
from final_ops_callback._scan.bound import values_of
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.given import GivenHooks
from final_ops_callback._scan.given import call_of_keras
from final_ops_callback._scan.given import fit
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.syntax import walk

# At which place these take a checkpoint without a keyword.
_PLACES = {
    ("ChiefSessionCreator", "checkpoint_dir"): 3,
    ("ChiefSessionCreator", "checkpoint_filename_with_path"): 4,
    ("SingularMonitoredSession", "checkpoint_dir"): 4,
    ("SingularMonitoredSession", "checkpoint_filename_with_path"): 6,
}
_OF_PATHS = (
    "latest_checkpoint",
    "get_checkpoint_state",
    "checkpoints_iterator",
)
# As in v1, it restores, and only its hooks save.
_SAVES_NOTHING = (
    "save_checkpoint_secs=None",
    "save_summaries_steps=None",
    "log_step_count_steps=None",
)
# The folder of a checkpoint stands before the name of the file.
_JOINED = re.compile(r"os\.path\.join\((?P<folder>[^,()]+),[^,()]+\)")


class BareSessions:
    """Knows the Keras lines for a MonitoredSession.

    Args:
        context: The `Context`.
        given: The `GivenHooks`.
    """

    def __init__(self, context: Context, given: GivenHooks) -> None:
        self._context = context
        self._given = given

    def instead(
        self, facts: Facts, fact: CallFact, known: Known
    ) -> tuple[str, str]:
        """Returns why a session is not needed, and the lines in its place.

        Args:
            facts: The facts of the file.
            fact: The call that makes a session, or the creator of one.
            known: What the call is.
        """
        is_creator = known.name.endswith("Creator")
        session: CallFact | None = fact
        creator: Call | None = fact.call
        if is_creator:
            session = phases.session_of(self._context, facts, fact.call)
        elif known.name == "MonitoredSession":
            creator = phases.creator_of(fact)
        values: list[Any] = []
        if session is not None:
            own = known if not is_creator else None
            values = self._hooks(session, own)
        phase = phases.phase_of(self._context, facts, session or fact, values)
        why = (
            "Keras needs no session; what it restored is restored so"
            if is_creator
            else "fit, evaluate and predict are the loops"
        )
        lines = []
        if phase != "evaluate":
            folder = _argument(creator, "checkpoint_dir")
            path = _argument(creator, "checkpoint_filename_with_path")
            if path is not None and folder is None:
                lines.append(f"restore_v1(model, {_code(path)})")
            lines.append(self._training(facts, session or fact, values, folder))
        if phase != "train":
            lines.append(
                self._evaluation(facts, session or fact, creator, values)
            )
        if phase == "unknown":
            why += "; it can't be told whether it trains or evaluates"
            lines[-2] += "  # if it trains"
            lines[-1] += "  # if it evaluates"
        elif phase == "evaluate":
            why += "; it evaluates, and fit would train"
        return why, "\n".join(lines)

    def _hooks(self, session: CallFact, known: Known | None) -> list[Any]:
        """Returns the nodes of the hooks that a session gets."""
        if known is None:
            path = chain(session.call.callee)
            if path is not None:
                known = self._context.resolver.known(session.scope, path)
        found = self._given.of(session.call, session.scope, known)
        return [value for _, value in found]

    def _training(
        self, facts: Facts, session: CallFact, values: list[Any], folder: Any
    ) -> str:
        hooks, finals = "", list[str]()
        if values:
            hooks, finals = self._given.split(facts, session.scope, values[0])
        if folder is not None:
            given = [f"checkpoint_dir={_code(folder)}"]
            given += [f"hooks={hooks}"] if hooks else []
            arguments = ", ".join([*given, *_SAVES_NOTHING])
            return fit([f"MonitoredTrainingCallback({arguments})", *finals])
        if not hooks and not finals:
            return "model.fit(data)"
        return call_of_keras("fit", hooks, finals)

    def _evaluation(
        self,
        facts: Facts,
        session: CallFact,
        creator: Call | None,
        values: list[Any],
    ) -> str:
        folder = _argument(creator, "checkpoint_dir")
        path = _argument(creator, "checkpoint_filename_with_path")
        hooks, finals = "", list[str]()
        if values:
            hooks, finals = self._given.split(facts, session.scope, values[0])
        if folder is None and path is None:
            if not hooks and not finals:
                return "model.evaluate(data)"
            return call_of_keras("evaluate", hooks, finals)
        place = _code(folder) if folder is not None else ""
        place = place or _folder_of(session.scope, path)
        more = ["every=True"]
        if not _is_in(session.call.node, "while_stmt"):
            more.append("timeout=0")
        ops = [
            final_ops.code_of_ops(self._context, facts, scope, value)
            for scope, call in self._given.finals(session.scope, values)
            if (value := call.argument(0, "final_ops")) is not None
        ]
        if ops:
            code = ops[0] if len(ops) == 1 else f"[{', '.join(ops)}]"
            more.append(f"final_ops={code}")
        if hooks:
            more.append(f"hooks={hooks}")
        return evaluation(place, more)


def evaluation(folder: str, more: list[str]) -> str:
    """Returns the line that evaluates the checkpoints of a folder."""
    arguments = ", ".join(["model", "data", folder, *more])
    return f"for step, values in evaluate_checkpoints({arguments}): ..."


def _argument(call: Call | None, keyword: str) -> Any:
    value = None
    if call is not None:
        position = _PLACES.get((last_name(call), keyword), -1)
        value = call.argument(position, keyword)
    return None if getattr(value, "value", "") == "None" else value


def _code(node: Any) -> str:
    return one_line(node, 60)


def _folder_of(scope: Scope, path: Any) -> str:
    """Returns the code of the folder in which a checkpoint is."""
    seen: list[Any] = [path]
    for node in seen:
        if len(seen) > 20:
            break
        for inner in walk(node):
            for call in calls_of(inner):
                if last_name(call) in _OF_PATHS and call.arguments:
                    return _code(call.arguments[0].value)
            if inner.type == "name":
                seen += [*values_of(scope, inner), *_looped(inner)]
        joined = _JOINED.fullmatch("".join(node.get_code().split()))
        if joined:
            return joined["folder"]
    return f"os.path.dirname({_code(path)})"


def _looped(name: Any) -> list[Any]:
    """Returns what a loop around a name goes through, if it binds the name."""
    node = name.parent
    while node is not None:
        if node.type == "for_stmt":
            targets = [n for n in walk(node.children[1]) if n.type == "name"]
            if name.value in [n.value for n in targets]:
                return [node.children[3]]
        node = node.parent
    return []


def _is_in(node: Any, kind: str) -> bool:
    while node is not None:
        if node.type == kind:
            return True
        node = node.parent
    return False
