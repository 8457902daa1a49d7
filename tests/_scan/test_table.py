# SPDX-License-Identifier: Apache-2.0
"""The report on a terminal and as a page."""

import html.parser
import io

import pytest
from rich.console import Console

from final_ops_callback._scan import table
from final_ops_callback._scan.findings import Report
from final_ops_callback._scan.findings import Unreadable
from final_ops_callback._scan.page import page
from final_ops_callback._scan.printable import printable
from tests._scan.test_findings import finding

NASTY = "<script>alert('&amp;')</script>\x1b[2J[red]\n\udcff"
REPORT = Report(
    2,
    (Unreadable(f"b{NASTY}.py", 3, NASTY),),
    (
        finding(),
        finding(verdict="unmodified", cell=4),
        finding(verdict="replace", base="", write="one\ntwo"),
        finding(path=f"dir/{NASTY}.py", name=NASTY, why=NASTY, verdict="none"),
    ),
)


def shown(width: int = 80, **options: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, **options)  # type: ignore[arg-type]
    table.show(REPORT, console)
    return file.getvalue()


def test_a_table_fits_80_columns() -> None:
    """No line of a table is longer than the terminal."""
    lines = [
        line
        for line in shown().splitlines()
        if "unreadable" not in line and "dir/" not in line
    ]

    assert max(map(len, lines)) <= 80


def test_a_table_tells_all() -> None:
    """A table has the lines, verdicts, reasons and what to write."""
    text = shown()

    for word in (
        "a.py",
        "4:1",
        "unmodified",
        "it is old",
        "-> class A(v1.",
        "-> one",
        "-> two",
    ):
        assert word in text
    assert "2 files, 4 findings: 1 unmodified, 1 change" in text


def test_an_unreadable_file_is_one_line() -> None:
    """What could not be read is one line each, however long it is."""
    lines = [line for line in shown(40).splitlines() if "unreadable:" in line]

    assert len(lines) == 1
    assert lines[0].endswith(printable(NASTY))


@pytest.mark.parametrize("color", [True, False])
def test_nothing_of_a_file_reaches_the_terminal_as_an_order(
    color: bool,
) -> None:
    """An escape sequence in a name is shown, not obeyed."""
    text = shown(force_terminal=color)

    assert "\x1b[2J" not in text
    assert "\\x1b[2J" in text
    assert "[red]" in text


class Reader(html.parser.HTMLParser):
    """Keeps the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_whole_and_needs_nothing_else() -> None:
    """All tags are closed, and nothing is loaded from elsewhere."""
    reader = Reader()
    reader.feed(page(REPORT))

    assert reader.open == []
    assert set(reader.tags) & {"script", "link", "img"} == set()
    assert "http" not in page(REPORT)
    assert "@media print" in page(REPORT)


def test_a_page_escapes_what_comes_from_files() -> None:
    """A name that looks like HTML is shown as it is."""
    reader = Reader()
    reader.feed(page(REPORT))

    assert reader.text.count("<script>") == 5
    assert "<script>" not in page(REPORT)


def test_an_empty_report_has_a_page() -> None:
    """Without findings there is a page that says so."""
    reader = Reader()
    reader.feed(page(Report(3, (), ())))

    assert "3 files, 0 findings" in reader.text


def test_what_can_be_printed_stays() -> None:
    """Letters of all languages are shown; orders to a terminal are not."""
    assert printable("añ日 '\"") == "añ日 '\""
    assert printable("\t\u202e\udcff") == "\\t\\u202e\\udcff"
