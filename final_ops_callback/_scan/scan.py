# SPDX-License-Identifier: Apache-2.0
"""Scans files: reads what may matter, and judges what it finds."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import re
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

from final_ops_callback._scan import grammar
from final_ops_callback._scan import known
from final_ops_callback._scan import notebooks
from final_ops_callback._scan import sources
from final_ops_callback._scan.classes import ClassJudge
from final_ops_callback._scan.classes import hook_classes
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.factories import Factories
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Report
from final_ops_callback._scan.findings import Unreadable
from final_ops_callback._scan.gone import GoneNames
from final_ops_callback._scan.made import MadeJudge
from final_ops_callback._scan.passed import PassedJudge
from final_ops_callback._scan.removed import removed_names
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.summaries import summaries
from final_ops_callback._scan.tree import Tree

_WORDS = re.compile(rf"\b({'|'.join(sorted(known.WORDS))})\b")
_DEEP = "nested too deeply"
# It gets the number of steps that are done, and that of all.
Progress = Callable[[int, int], None]


@dataclasses.dataclass(slots=True)
class _File:
    """A file that is read: its source, its Python text, the cells of it."""

    source: sources.Source
    text: str
    cells: notebooks.Cells | None = None


class Scan:
    """One scan of some paths.

    Args:
        paths: Sequence of strings: files and folders.
        progress: Function that is called with the number of steps that are
            done and that of all, or `None`. Each file has three: it is read,
            parsed if it may have something to find, and judged.

    Attributes:
        files: Mapping from the path of each file to what was read of it.
    """

    def __init__(
        self, paths: Sequence[str], progress: Progress | None = None
    ) -> None:
        self._progress = progress
        self._unreadable: list[Unreadable] = []
        self._order: list[str] = []
        self.files: dict[str, _File] = {}
        for found in sources.find_files(paths):
            if isinstance(found, Unreadable):
                self._unreadable.append(found)
            else:
                self._order.append(found)
        self._done: set[tuple[str, str]] = set()
        self._tree = Tree(self._order, self._facts)
        self._resolver = Resolver(self._tree)
        self._context = Context(
            self._tree,
            self._resolver,
            GoneNames(self._tree, self._resolver),
            Factories(self._resolver),
            self._place,
        )

    def run(self) -> Report:
        """Reads and judges the files.

        Returns:
            The `Report`.
        """
        with _without_collector():
            return self._report()

    def _report(self) -> Report:
        for path in self._order:
            self._read(path)
            self._tell(path, "read")
        chosen = self._choose()
        for path in chosen:
            facts = self._tree.facts(path)
            if facts is not None:
                self._context.factories.add(facts)
        findings: list[Finding] = []
        for path in self._order:
            if path in chosen:
                findings += self._judge(path)
            self._tell(path, "parsed")
            self._tell(path, "judged")
        return Report(
            len(self.files),
            tuple(sorted(self._unreadable, key=lambda u: (u.path, u.line))),
            tuple(findings),
        )

    def facts(self, path: str) -> Facts | None:
        """Returns the facts of a file, or `None` if it can't be read."""
        return self._tree.facts(path)

    def _tell(self, path: str, step: str) -> None:
        """Tells that a file is read, parsed or judged."""
        if self._progress is not None:
            self._done.add((path, step))
            self._progress(len(self._done), 3 * len(self._order))

    def _read(self, path: str) -> None:
        source = sources.read(path)
        if isinstance(source, Unreadable):
            self._unreadable.append(source)
            return
        if not source.is_notebook:
            self.files[path] = _File(source, source.text)
            return
        try:
            cells = notebooks.code_of(source.text)
        except ValueError as error:
            self._unreadable.append(Unreadable(path, 0, str(error)))
            return
        self.files[path] = _File(source, cells.text, cells)

    def _choose(self) -> set[str]:
        """Returns the files in which something may be found.

        These have one of the known words, or a name that another file gives
        to one of them, which may lead to further names. The others are
        only checked for their syntax.
        """
        chosen = {p for p, file in self.files.items() if _matches(_WORDS, file)}
        fresh = set(chosen)
        names: set[str] = set()
        while fresh:
            found = {n for p in sorted(fresh) for n in self._exported(p)}
            found -= names | known.WORDS
            names |= found
            if not found:
                break
            words = re.compile(rf"\b({'|'.join(map(re.escape, found))})\b")
            fresh = {
                path
                for path, file in self.files.items()
                if path not in chosen and _matches(words, file)
            }
            chosen |= fresh
        for path, file in self.files.items():
            if path not in chosen and not grammar.is_python(file.text):
                self._tree.facts(path)  # notes what can't be parsed
        return chosen

    def _exported(self, path: str) -> list[str]:
        """Returns the names of a file that stand for something known."""
        facts = self._tree.facts(path)
        if facts is None:
            return []
        found = [
            fact.name
            for fact in facts.classes
            if self._resolver.descent(fact) is not None
        ]
        for scope in [facts.module, *(fact.body for fact in facts.classes)]:
            found += [
                name
                for name, bindings in scope.bindings.items()
                if any(b.kind in ("alias", "import", "value") for b in bindings)
                and self._is_known(scope, name)
            ]
        return found

    def _is_known(self, scope: object, name: str) -> bool:
        targets = self._resolver.resolve(scope, (name,))  # type: ignore[arg-type]
        return any(
            (t.kind == "external" and known.known(t.path) is not None)
            or (
                t.kind == "class"
                and self._resolver.descent(t.target) is not None
            )
            for t in targets
        )

    def _facts(self, path: str) -> Facts | None:
        """Parses a file; notes why if it can't, or not all of it."""
        file = self.files.get(path)
        if file is None:
            return None
        self._tell(path, "parsed")
        try:
            facts = facts_of(path, grammar.parse(file.text))
        except RecursionError:
            self._unreadable.append(Unreadable(path, 0, _DEEP))
            return None
        for line, why in facts.parsed.errors:
            self._unreadable.append(self._placed(path, line, why))
        return facts

    def _place(self, path: str, line: int) -> str:
        """Returns a place as compilers write it; in a notebook, of a cell."""
        name = os.path.basename(path)
        cells = self.files[path].cells
        if cells is None:
            return f"{name}:{line}"
        cell, line = cells.place(line)
        return f"{name}, cell {cell}:{line}"

    def _placed(self, path: str, line: int, why: str) -> Unreadable:
        cells = self.files[path].cells
        if cells is None:
            return Unreadable(path, line, why)
        cell, line = cells.place(line)
        return Unreadable(path, line, f"in cell {cell}: {why}")

    def _judge(self, path: str) -> list[Finding]:
        try:
            found = self._findings(path)
        except RecursionError:
            self._unreadable.append(Unreadable(path, 0, _DEEP))
            return []
        cells = self.files[path].cells
        if cells is not None:
            found = [_in_cell(finding, cells) for finding in found]
        return found

    def _findings(self, path: str) -> list[Finding]:
        facts = self._tree.facts(path)
        if facts is None:
            return []
        judge = self._class_judge
        classes = hook_classes(judge, facts)
        found = [one.finding() for one in classes]
        told = {node.start_pos for one in classes for node in one.fact.bases}
        made = MadeJudge(self._context, judge)
        passed = PassedJudge(self._context)
        for fact in facts.calls:
            made_here = made.judge(facts, fact)
            here = passed.judge(facts, fact)
            if made_here is not None:
                here.insert(0, made_here)
            if any(f.kind != "hooks_passed" for f in here):
                told.add(fact.call.start)
            found += here
        found += summaries(self._context, facts, found)
        removed = removed_names(self._context, facts, told)
        if not found:
            removed = [f for f in removed if _is_about_hooks(f)]
        found += removed
        return sorted(found, key=lambda f: f.line)

    @property
    def _class_judge(self) -> ClassJudge:
        if self._judge_of_classes is None:
            self._judge_of_classes = ClassJudge(self._context)
        return self._judge_of_classes

    _judge_of_classes: ClassJudge | None = None


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps Python from looking for garbage in the trees.

    They are needed until the end, and looking through them again and again
    would take a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def scan(paths: Iterable[str], progress: Progress | None = None) -> Report:
    """Finds the hooks of v1 in Python files and notebooks, without running any.

    Args:
        paths: Iterable of strings: files and folders.
        progress: As in `Scan`. Defaults to `None`.

    Returns:
        The `Report`.

    Example:
    >>> report = scan(["no-such-file.py"])
    >>> report.files, report.unreadable[0].why
    (0, 'No such file or directory')
    """
    return Scan(list(paths), progress).run()


def _matches(words: re.Pattern[str], file: _File) -> bool:
    return words.search(file.text) is not None


def _is_about_hooks(finding: Finding) -> bool:
    """Returns whether a removed name is worth telling without any hook."""
    parts = finding.name.split(".")
    return (
        parts[-1] in known.WORDS
        or "estimator" in parts
        or "contrib" in parts
        or parts[0] == "tensorflow_estimator"
    )


def _in_cell(finding: Finding, cells: notebooks.Cells) -> Finding:
    cell, line = cells.place(finding.line)
    _, end_line = cells.place(finding.end_line)
    return dataclasses.replace(
        finding,
        line=line,
        end_line=max(line, end_line),
        cell=cell,
        why=f"in cell {cell}: {finding.why}",
        edits=(),
    )
