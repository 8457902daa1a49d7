# SPDX-License-Identifier: Apache-2.0
"""Judges the classes of hooks."""

from __future__ import annotations

import dataclasses
from typing import Any

from final_ops_callback._scan import contrib
from final_ops_callback._scan import graph_names
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.context import import_of
from final_ops_callback._scan.context import is_gone
from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.known import Known
from final_ops_callback._scan.known import label
from final_ops_callback._scan.needs import Needs
from final_ops_callback._scan.neighbours import neighbours
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Descent
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import is_inside
from final_ops_callback._scan.syntax import one_line

_RUNS = "runs under SessionRunHookCallback as it stands"


@dataclasses.dataclass(frozen=True, slots=True)
class HookClass:
    """A class of hooks, judged.

    Args:
        fact: The `ClassFact`.
        root: The `Known` hook that it descends from, or `None` if its base is
            in no file of the tree.
        base: String. Its base, as people write it.
        tensors: List of strings: the parameters of the constructor that may
            be tensors.
        parameters: List of strings: all of them.
        verdict: The verdict.
        why: String. The reasons.
        write: String. The line to write.
        edits: Tuple of `Edit`.
    """

    fact: ClassFact
    root: Known | None
    base: str
    tensors: list[str]
    parameters: list[str]
    verdict: Verdict
    why: str
    write: str
    edits: tuple[Edit, ...]

    def finding(self) -> Finding:
        """Returns what is reported."""
        node = self.fact.node
        return Finding(
            self.fact.facts.path,
            node.start_pos[0],
            _line_after(node) - 1,
            "hook_class",
            self.fact.name,
            self.base,
            self.verdict,
            self.why,
            self.write,
            edits=self.edits,
        )


class ClassJudge:
    """Judges each class once.

    Args:
        context: The `Context`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._judged: dict[int, HookClass | None] = {}

    def judge(self, fact: ClassFact) -> HookClass | None:
        """Returns a class of hooks, judged; `None` if it is another class."""
        if id(fact) not in self._judged:
            self._judged[id(fact)] = None  # while it is being judged
            self._judged[id(fact)] = self._judge(fact)
        return self._judged[id(fact)]

    def _judge(self, fact: ClassFact) -> HookClass | None:
        descent = self._context.resolver.descent(fact)
        if descent is None and not _is_duck(fact):
            return None
        reasons = Reasons()
        factories = self._context.factories
        is_inside = factories.contain(fact.scope)
        may_feed = factories.fill(fact)
        needs = Needs(fact, self._context.resolver, is_inside, may_feed)
        tensors, parameters = needs.tensors, needs.parameters
        if descent is None:
            base = one_line(fact.bases[0]) if fact.bases else ""
            reasons.note(f"its base {base} is in no file of the scan")
        else:
            base = self._base_of(fact, descent)
            parent = self._add_base(fact, descent, reasons)
            if parent is not None and "__init__" not in fact.body.bindings:
                tensors, parameters = parent.tensors, parent.parameters
        needs.add_to(reasons)
        self._add_gone(fact, reasons)
        self._add_troubles(fact, reasons)
        self._add_neighbours(fact, reasons)
        return HookClass(
            fact,
            None if descent is None else descent.root,
            base,
            tensors,
            parameters,
            reasons.verdict,
            reasons.why(_RUNS),
            reasons.write(_written(fact, descent, tensors, parameters)),
            self._edits(fact),
        )

    def _base_of(self, fact: ClassFact, descent: Descent) -> str:
        if descent.parent is None:
            return descent.root.label
        return descent.parent.name

    def _add_base(
        self, fact: ClassFact, descent: Descent, reasons: Reasons
    ) -> HookClass | None:
        root = descent.root
        if descent.parent is None:
            other = contrib.of_hook(root)
            if other is not None:
                reasons.add(*other)
            elif not root.exists:
                reasons.add(
                    "change",
                    is_gone(root),
                    self._new_base(fact, descent),
                )
            return None
        reasons.note(f"descends from {root.label}")
        parent = self.judge(descent.parent)
        if parent is not None and parent.verdict != "unmodified":
            where = descent.parent
            at = self._context.place(where.facts.path, where.node.start_pos[0])
            reasons.add(
                parent.verdict,
                f"its base {where.name} ({at}) has to be mended first",
                parent.write,
            )
        return parent

    def _new_base(self, fact: ClassFact, descent: Descent) -> str:
        new = descent.root.new
        edit = self._context.edit_at(fact.facts, descent.node.start_pos)
        path = dotted(descent.node)
        if edit is None and path is not None and len(path) == 1:
            return import_of(new)
        spelling = label(new) if edit is None else edit.text
        bases = [
            spelling if node is descent.node else one_line(node)
            for node in fact.bases
        ]
        return f"class {fact.name}({', '.join(bases)}):"

    def _add_gone(self, fact: ClassFact, reasons: Reasons) -> None:
        """Adds the names in the body that TensorFlow 2 has not."""
        gone = self._context.gone.of(fact.facts)
        body = fact.node.children[-1]
        uses = [u for u in gone.uses if is_inside(u.use.nodes[0], body)]
        names = list(dict.fromkeys(label(use.path) for use in uses))
        if names:
            spelled = list(dict.fromkeys(use.spelling for use in uses))
            has_all = all(use.new for use in uses)
            reasons.add(
                "change" if has_all else "replace",
                f"TensorFlow 2 has no {_listed(names)}",
                _listed(list(filter(None, spelled))),
            )
        changed = [u for u in gone.changed if is_inside(u.use.nodes[0], body)]
        for use in changed:
            reasons.add(
                "change",
                f"{label(use.path)} makes no operation of a graph in "
                "TensorFlow 2",
                f"{use.spelling}(",
            )

    def _add_troubles(self, fact: ClassFact, reasons: Reasons) -> None:
        """Adds what keeps the file of the class from being imported."""
        node = fact.node
        for trouble in self._context.gone.troubles(fact.facts):
            is_own = trouble.path == fact.facts.path
            inside = node.start_pos[0] <= trouble.line < _line_after(node)
            if is_own and inside and trouble.why.startswith("TensorFlow 2"):
                continue
            if is_own and trouble.write in {r.write for r in reasons.reasons}:
                continue  # its base is what the file dies of
            at = self._context.place(trouble.path, trouble.line)
            reasons.add(
                "change",
                f"its file can't be imported ({at}): {trouble.why}",
                trouble.write and f"{trouble.write}  # {at}",
            )
            break

    def _add_neighbours(self, fact: ClassFact, reasons: Reasons) -> None:
        """Adds the modules that have to be there to import the class."""
        there, missing = neighbours(fact.facts, self._context.tree)
        if there:
            reasons.note(f"needs the modules of the tree {_listed(there)}")
        if missing:
            reasons.note(
                f"imports {_listed(missing)}, which is neither in the scan "
                "nor installed"
            )

    def _edits(self, fact: ClassFact) -> tuple[Edit, ...]:
        gone = self._context.gone.of(fact.facts)
        return tuple(
            use.edit
            for use in [*gone.uses, *gone.changed]
            if use.edit is not None and is_inside(use.use.nodes[0], fact.node)
        )


def _line_after(node: Any) -> int:
    """Returns the line after the last one of a class."""
    line, column = node.end_pos
    return int(line if column == 0 else line + 1)


def hook_classes(judge: ClassJudge, facts: Facts) -> list[HookClass]:
    """Returns the hook classes of a file, in the order of their lines."""
    found = [judge.judge(fact) for fact in facts.classes]
    return [one for one in found if one is not None]


def _written(
    fact: ClassFact,
    descent: Descent | None,
    tensors: list[str],
    parameters: list[str],
) -> str:
    """Returns the line that runs a class as it stands."""
    guesses = {name: graph_names.guess(name) for name in tensors}
    arguments = [
        f'"{guesses[name]}"' if guesses.get(name) else name
        for name in parameters
    ]
    made = f"{fact.name}({', '.join(arguments)})"
    if descent is not None and descent.root.name == "CheckpointSaverListener":
        hook = f"CheckpointSaverHook(checkpoint_dir, listeners=[{made}])"
        return f"callbacks=[SessionRunHookCallback({hook})]"
    needs_graph = not all(guesses.values())
    made = f"lambda: {made}" if needs_graph else made
    return f"callbacks=[SessionRunHookCallback({made})]"


def _is_duck(fact: ClassFact) -> bool:
    """Returns whether a class with a foreign base has the methods of a hook.

    Their numbers of parameters are those of v1: hooks of other libraries have
    methods of the same names.
    """
    if not any(one_line(node) != "object" for node in fact.bases):
        return False
    counts = {"before_run": 2, "after_run": 3, "after_create_session": 3}
    for name, count in counts.items():
        for binding in fact.body.bindings.get(name, ()):
            if binding.kind != "function":
                continue
            params: list[Any] = binding.target.node.get_params()
            if len(params) != count:
                return False
    return "after_run" in fact.body.bindings or (
        "before_run" in fact.body.bindings
        and "SessionRunArgs" in fact.node.get_code()
    )


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
