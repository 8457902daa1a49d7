# SPDX-License-Identifier: Apache-2.0
"""Shows a report as tables on a terminal, with rich."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.console import Group
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from final_ops_callback._scan.findings import VERDICTS
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Report
from final_ops_callback._scan.findings import Unreadable
from final_ops_callback._scan.printable import printable

_STYLES = {
    "unmodified": "green",
    "change": "yellow",
    "replace": "cyan",
    "none": "bold red",
}
# How many columns the others take, with the spaces between them.
_BESIDE = 25
KINDS = {
    "hook_class": "class",
    "hook_made": "made",
    "hooks_passed": "passed",
    "session": "session",
    "removed_name": "removed",
}


def show(report: Report, console: Console, most: int | None = None) -> None:
    """Prints a report: one table for each file, then what was not read.

    Args:
        report: The `Report`.
        console: The rich console to print on.
        most: Integer. How many columns text may take, where the console is
            wider because lines of code are. Defaults to `None`: all.
    """
    groups = itertools.groupby(report.findings, key=lambda f: f.path)
    for path, findings in groups:
        console.print(Text(printable(path), style="bold"), soft_wrap=True)
        console.print(_table(findings, most))
    for unreadable in report.unreadable:
        text = Text("unreadable: ", style="red")
        text.append(unreadable_line(unreadable), style="default")
        console.print(text, soft_wrap=True)
    console.print(Text(summary(report)))


def _table(findings: Iterable[Finding], most: int | None) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    table.add_column("line", justify="right", vertical="top", no_wrap=True)
    table.add_column("verdict", vertical="top", no_wrap=True)
    table.add_column("what, why, and what to write", overflow="fold")
    for finding in findings:
        table.add_row(
            line_of(finding),
            Text(finding.verdict, style=_STYLES[finding.verdict]),
            _cell(finding, most),
        )
    return table


def _cell(finding: Finding, most: int | None) -> RenderableType:
    what = Text(f"{KINDS[finding.kind]} ", style="dim")
    what.append(printable(finding.name), style="bold not dim")
    if finding.base:
        what.append(f" ({printable(finding.base)})", style="not dim")
    what.append(f"\n{printable(finding.why)}", style="not dim")
    code = Text("\n".join(_code(finding)), style="blue")
    text = what if most is None else Constrain(what, most - _BESIDE)
    return Group(text, code) if finding.write else text


def _code(finding: Finding) -> list[str]:
    return [f"-> {printable(line)}" for line in finding.write.splitlines()]


def width_of(finding: Finding) -> int:
    """Returns how wide a console is that shows the code unbroken."""
    return _BESIDE + max(map(cell_len, _code(finding)), default=0)


def line_of(finding: Finding) -> str:
    """Returns the line of a finding, with the cell if it is in a notebook."""
    if finding.cell is None:
        return str(finding.line)
    return f"{finding.cell}:{finding.line}"


def unreadable_line(unreadable: Unreadable) -> str:
    """Returns one line about a file that could not be read."""
    line = f":{unreadable.line}" if unreadable.line else ""
    return printable(f"{unreadable.path}{line}: {unreadable.why}")


def summary(report: Report) -> str:
    """Returns one line with the numbers of a report.

    Example:
    >>> summary(Report(2, (), ()))
    '2 files, 0 findings'
    """
    counts = [
        f"{report.count(verdict)} {verdict}"
        for verdict in VERDICTS
        if report.count(verdict)
    ]
    found = f"{report.files} files, {len(report.findings)} findings"
    text = f"{found}: {', '.join(counts)}" if counts else found
    if report.unreadable:
        text += f"; {len(report.unreadable)} unreadable"
    return text
