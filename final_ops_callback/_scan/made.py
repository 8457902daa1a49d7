# SPDX-License-Identifier: Apache-2.0
"""Judges the places where a hook is made."""

from __future__ import annotations

from typing import Any

from final_ops_callback._scan import contrib
from final_ops_callback._scan import final_ops
from final_ops_callback._scan import graph_names
from final_ops_callback._scan.classes import ClassJudge
from final_ops_callback._scan.classes import HookClass
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.context import import_of
from final_ops_callback._scan.context import is_gone
from final_ops_callback._scan.facts import CallFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import leaves_of
from final_ops_callback._scan.syntax import string

_RUNS = "runs under SessionRunHookCallback as it stands"
# The arguments that are tensors, or names of tensors.
_TENSORS = {
    "LoggingTensorHook": ((0, "tensors"),),
    "NanTensorHook": ((0, "loss_tensor"),),
}
# The arguments that belong to a graph, and have no name in it.
_OF_GRAPH = {
    "SummarySaverHook": (
        (5, "summary_op"),
        (4, "scaffold"),
        (3, "summary_writer"),
    ),
    "CheckpointSaverHook": ((3, "saver"), (5, "scaffold")),
    "StepCounterHook": ((3, "summary_writer"),),
}


class MadeJudge:
    """Judges the calls of a file that make a hook.

    Args:
        context: The `Context`.
        classes: The `ClassJudge` of the classes of the tree.
    """

    def __init__(self, context: Context, classes: ClassJudge) -> None:
        self._context = context
        self._classes = classes

    def judge(self, facts: Facts, fact: CallFact) -> Finding | None:
        """Returns what is found at a call; `None` if it makes no hook."""
        call = fact.call
        path = chain(call.callee)
        if path is None:
            return None
        if path[-1] == "partial" and call.arguments:
            inner = dotted(call.arguments[0].value)
            if inner is None:
                return None
            path = inner
            call = call._replace(arguments=call.arguments[1:])
        if path[-1] == "make_session_run_hook":
            return self._sync_replicas(facts, call)
        known = self._context.resolver.known(fact.scope, path)
        if known is not None:
            if known.kind not in ("hook", "maker"):
                return None
            return self._stock(facts, call, known, fact.scope)
        for own in self._context.resolver.classes(fact.scope, path):
            hook = self._classes.judge(own)
            if hook is not None:
                return self._own(facts, call, hook, fact.scope)
        return None

    def _finding(
        self,
        facts: Facts,
        call: Call,
        name: str,
        base: str,
        reasons: Reasons,
        write: str,
        edits: tuple[Edit, ...] = (),
    ) -> Finding:
        return Finding(
            facts.path,
            call.start[0],
            call.end[0],
            "hook_made",
            name,
            base,
            reasons.verdict,
            reasons.why(_RUNS),
            reasons.write(write),
            edits=edits,
        )

    def _sync_replicas(self, facts: Facts, call: Call) -> Finding:
        reasons = Reasons()
        reasons.add(
            "replace",
            "a SyncReplicasOptimizer runs in sessions of v1 only; a strategy "
            "keeps replicas in step",
            "with tf.distribute.MirroredStrategy().scope(): model = make()",
        )
        name = "make_session_run_hook"
        base = "tf.train.SyncReplicasOptimizer"
        return self._finding(facts, call, name, base, reasons, "")

    def _stock(
        self, facts: Facts, call: Call, known: Known, scope: Scope
    ) -> Finding:
        reasons = Reasons()
        edit = self._context.edit_at(facts, call.start)
        edits: tuple[Edit, ...] = () if edit is None else (edit,)
        advice = contrib.of_hook(known) if known.kind == "hook" else None
        if advice is not None:
            reasons.add(*advice)
        elif known.kind == "maker":
            self._add_maker(facts, call, known, reasons)
        elif known.name == "FinalOpsHook":
            finals = final_ops.rewritten(
                self._context, facts, call, scope, reasons
            )
            edits = finals or edits
        else:
            self._add_arguments(facts, call, known, scope, reasons)
            if not known.exists:
                self._add_spelling(facts, call, known, reasons)
        made = self._context.call_code(facts, call)
        write = f"callbacks=[SessionRunHookCallback({made})]"
        return self._finding(
            facts, call, known.name, known.label, reasons, write, edits
        )

    def _add_spelling(
        self, facts: Facts, call: Call, known: Known, reasons: Reasons
    ) -> None:
        is_taken = len(call.callee) == 1
        write = (
            import_of(known.new)
            if is_taken
            else self._context.call_code(facts, call)
        )
        reasons.add("change", is_gone(known), write)

    def _add_maker(
        self, facts: Facts, call: Call, known: Known, reasons: Reasons
    ) -> None:
        if not known.new:
            reasons.add(
                "replace",
                f"{known.name} follows the checkpoints of an Estimator",
                "tf.compat.v1.train.StopAtStepHook(last_step=last_step)",
            )
            return
        callee = f"estimator.experimental.{known.name}"
        reasons.add(
            "change",
            f"TensorFlow 2 has no {known.label}; "
            "import final_ops_callback.estimator as estimator has it, with "
            "the values of the evaluations of this process",
            self._context.call_code(facts, call, callee),
        )

    def _add_arguments(
        self,
        facts: Facts,
        call: Call,
        known: Known,
        scope: Scope,
        reasons: Reasons,
    ) -> None:
        name = known.name
        if name == "FeedFnHook" and not self._feeds_rate(call, scope):
            reasons.add(
                "replace",
                "a step of Keras can't be fed; the data set has what the "
                "step gets, and learning_rate:0 can be fed by a hook",
                "model.fit(dataset)",
            )
        if self._context.factories.contain(scope):
            reasons.note("is made in a function that runs in the hook graph")
            return
        if name == "ProfilerHook":
            made = self._context.call_code(facts, call)
            reasons.add(
                "change",
                "its constructor makes a writer, which needs a graph: make "
                "it in a function",
                f"SessionRunHookCallback(lambda: {made})",
            )
        for position, keyword in _TENSORS.get(name, ()):
            value = call.argument(position, keyword)
            if value is not None:
                self._add_tensors(facts, call, value, scope, reasons)
        for position, keyword in _OF_GRAPH.get(name, ()):
            value = call.argument(position, keyword)
            if value is not None and not _is_none(value):
                made = self._context.call_code(facts, call)
                reasons.add(
                    "change",
                    f"its {keyword} belongs to a graph: make both in a "
                    "function that returns the hook",
                    f"SessionRunHookCallback(lambda: {made})",
                )
                break

    def _feeds_rate(self, call: Call, scope: Scope) -> bool:
        """Returns whether a function feeds the learning rate by its name."""
        value = call.argument(0, "feed_fn")
        if value is None:
            return False
        nodes = [value]
        path = dotted(value)
        if path is not None:
            found = self._context.resolver.resolve(scope, path)
            nodes = [t.target.node for t in found if t.kind == "function"]
        return any("learning_rate:0" in node.get_code() for node in nodes)

    def _add_tensors(
        self,
        facts: Facts,
        call: Call,
        value: Any,
        scope: Scope,
        reasons: Reasons,
    ) -> None:
        """Adds a structure of tensors, or of names of tensors."""
        inside = self._constant(value, scope)
        leaves = leaves_of(inside)
        if leaves is None:
            leaves = [inside]
        instead: dict[int, str] = {}
        for leaf in leaves:
            name = string(leaf)
            if name is None and not _is_none(leaf):
                code = leaf.get_code().strip()
                found = graph_names.guess(code) or "NAME:0"
                instead[id(leaf)] = f'"{found}"'
            elif name is not None and not graph_names.is_there(name):
                reasons.add(
                    "change",
                    f"{name!r} is there only if a layer or metric of the "
                    "Keras model is called so",
                    graph_names.renamed(name),
                )
        if instead:
            if inside is not value:
                instead = {
                    id(value): self._context.code(facts, inside, instead)
                }
            made = self._context.call_code(facts, call, instead=instead)
            reasons.add(
                "change",
                "gets a tensor of the v1 graph: give it the name that the "
                "value has under Keras",
                made,
            )

    def _constant(self, node: Any, scope: Scope) -> Any:
        """Returns the display that a name stands for, if that is certain."""
        path = dotted(node)
        if path is None:
            return node
        targets = self._context.resolver.resolve(scope, path)
        if len(targets) == 1 and targets[0].kind == "value":
            value = targets[0].node
            if value is not None and not targets[0].path:
                return value if value.type in ("atom", "string") else node
        return node

    def _own(
        self, facts: Facts, call: Call, hook: HookClass, scope: Scope
    ) -> Finding:
        reasons = Reasons()
        if hook.verdict != "unmodified":
            fact = hook.fact
            at = self._context.place(fact.facts.path, fact.node.start_pos[0])
            reasons.add(
                hook.verdict,
                f"its class ({at}) has to be mended first: "
                + hook.why.partition("; ")[0],
                hook.write,
            )
        instead: dict[int, str] = {}
        needs_graph = False
        for i, name in enumerate(hook.parameters):
            value = call.argument(i, name)
            if value is None or name not in hook.tensors:
                needs_graph |= value is not None and self._is_made_by_tf(
                    value, scope
                )
                continue
            value = self._constant(value, scope)
            for leaf in leaves_of(value) or ():
                if string(leaf) is None and not _is_none(leaf):
                    code = leaf.get_code().strip()
                    found = graph_names.guess(code) or graph_names.guess(name)
                    instead[id(leaf)] = f'"{found or "NAME:0"}"'
        is_inside = self._context.factories.contain(scope)
        has_way = hook.verdict in ("unmodified", "change")
        if instead and has_way and not is_inside:
            made = self._context.call_code(facts, call, instead=instead)
            reasons.add(
                "change",
                "gets a tensor of the v1 graph: give it the name that the "
                "value has under Keras",
                made,
            )
        made = self._context.call_code(facts, call)
        if needs_graph and not is_inside:
            reasons.add(
                "change",
                "gets something of a graph: make both in a function that "
                "returns the hook",
                f"SessionRunHookCallback(lambda: {made})",
            )
        write = f"callbacks=[SessionRunHookCallback({made})]"
        return self._finding(
            facts, call, hook.fact.name, hook.base, reasons, write
        )

    def _is_made_by_tf(self, node: Any, scope: Scope) -> bool:
        """Returns whether an argument is the result of a call of TensorFlow."""
        if node.type not in ("atom_expr", "power") or len(node.children) < 2:
            return False
        if node.children[-1].type != "trailer":
            return False
        path = chain(node.children[:-1])
        if path is None or node.children[-1].children[0].value != "(":
            return False
        found = self._context.resolver.external(scope, path)
        return found[:1] == ("tensorflow",) and "gfile" not in found


def _is_none(node: Any) -> bool:
    return getattr(node, "value", "") == "None"
