# SPDX-License-Identifier: Apache-2.0
"""Writes a report as one page of HTML that needs no other file."""

from __future__ import annotations

import html
import itertools

from final_ops_callback._scan.findings import VERDICTS
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Report
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.printable import printable
from final_ops_callback._scan.table import KINDS
from final_ops_callback._scan.table import line_of
from final_ops_callback._scan.table import summary
from final_ops_callback._scan.table import unreadable_line

_MEANINGS = {
    "unmodified": "runs under SessionRunHookCallback as it stands",
    "change": "runs after the edit that is shown",
    "replace": "Keras or this package has something in its place",
    "none": "there is no way",
}
_STYLE = """
:root { --ink: #1c1e21; --soft: #5b6168; --rule: #d8dce0; --code: #f3f4f6;
  --unmodified: #1a7f37; --change: #9a6700; --replace: #0550ae;
  --none: #b42318; color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem;
  background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1rem; margin: 2.2rem 0 .4rem; overflow-wrap: anywhere;
  font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
.sum { color: var(--soft); margin: 0 0 1.2rem; }
ul.key { list-style: none; display: flex; flex-wrap: wrap; gap: .75rem;
  margin: 0; padding: 0; }
ul.key li { border: 1px solid var(--rule); border-radius: 8px;
  padding: .5rem .8rem; flex: 1 1 13rem; font-size: .85rem;
  color: var(--soft); }
ul.key b { display: block; font-size: 1.4rem; color: var(--ink); }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th { text-align: left; font-size: .75rem; font-weight: 600;
  color: var(--soft); border-bottom: 2px solid var(--rule);
  padding: .3rem .6rem .3rem 0; }
td { vertical-align: top; border-bottom: 1px solid var(--rule);
  padding: .55rem .6rem .55rem 0; overflow-wrap: anywhere; }
col.line { width: 4.5rem; } col.verdict { width: 7.5rem; }
col.what { width: 17rem; }
td.line { font-variant-numeric: tabular-nums; color: var(--soft); }
.tag { font-size: .8rem; font-weight: 600; white-space: nowrap; }
.tag::before { content: ""; display: inline-block; width: .6rem;
  height: .6rem; border-radius: 50%; margin-right: .4rem;
  background: currentColor; }
.unmodified { color: var(--unmodified); } .change { color: var(--change); }
.replace { color: var(--replace); } .none { color: var(--none); }
small { display: block; color: var(--soft); }
code { display: block; margin-top: .35rem; padding: .35rem .5rem;
  background: var(--code); border-radius: 5px; white-space: pre-wrap;
  font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
ul.not { padding-left: 1.1rem; }
@media screen and (max-width: 46rem) { thead, colgroup { display: none; }
  table, tbody { display: block; } tr { display: block; padding: .6rem 0;
  border-bottom: 1px solid var(--rule); } td { display: block; border: 0;
  padding: .1rem 0; } td.line, td.line + td { display: inline-block;
  padding-right: .8rem; } }
@media print { @page { margin: 14mm; } body { padding: 0; max-width: none;
  font-size: 9.5pt; } h2 { break-after: avoid; } tr, ul.key li {
  break-inside: avoid; } thead { display: table-header-group; }
  code { font-size: 8.5pt; border: 1px solid var(--rule); }
  .tag::before { print-color-adjust: exact; } col.what { width: 12rem; } }
"""


def page(report: Report) -> str:
    """Returns a report as the text of an HTML page.

    Args:
        report: The `Report`.

    Returns:
        The whole page. What comes from the files is escaped.

    Example:
    >>> "<h1>" in page(Report(0, (), ()))
    True
    """
    groups = itertools.groupby(report.findings, key=lambda f: f.path)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        "<title>Hooks of TensorFlow 1</title>",
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Hooks of TensorFlow 1</h1>",
        f'<p class="sum">{_text(summary(report))}</p>',
        f'<ul class="key">{"".join(_key(report, v) for v in VERDICTS)}</ul>',
        *(_section(path, list(findings)) for path, findings in groups),
        _not_read(report),
        "</body></html>",
    ]
    return "\n".join(filter(None, parts)) + "\n"


def _key(report: Report, verdict: Verdict) -> str:
    return (
        f"<li><b>{report.count(verdict)}</b>"
        f'<span class="tag {verdict}">{verdict}</span>'
        f"<small>{_MEANINGS[verdict]}</small></li>"
    )


def _section(path: str, findings: list[Finding]) -> str:
    rows = "\n".join(map(_row, findings))
    return (
        f"<section><h2>{_text(path)}</h2><table><colgroup>"
        '<col class="line"><col class="verdict"><col class="what"><col>'
        "</colgroup><thead><tr><th>line</th><th>verdict</th><th>what</th>"
        f"<th>why, and what to write</th></tr></thead>\n<tbody>{rows}"
        "</tbody></table></section>"
    )


def _row(finding: Finding) -> str:
    base = f"<small>{_text(finding.base)}</small>" if finding.base else ""
    lines = finding.write.splitlines()
    code = "".join(f"<code>{_text(line)}</code>" for line in lines)
    return (
        f'<tr><td class="line">{line_of(finding)}</td>'
        f'<td><span class="tag {finding.verdict}">{finding.verdict}</span>'
        f"</td><td><small>{KINDS[finding.kind]}</small>"
        f"{_text(finding.name)}{base}</td>"
        f"<td>{_text(finding.why)}{code}</td></tr>"
    )


def _not_read(report: Report) -> str:
    if not report.unreadable:
        return ""
    items = "".join(
        f"<li>{html.escape(unreadable_line(u))}</li>" for u in report.unreadable
    )
    return f'<section><h2>Not read</h2><ul class="not">{items}</ul></section>'


def _text(text: str) -> str:
    return html.escape(printable(text))
