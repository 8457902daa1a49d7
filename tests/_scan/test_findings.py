# SPDX-License-Identifier: Apache-2.0
"""What a report consists of."""

from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.findings import Report
from final_ops_callback._scan.findings import Unreadable
from final_ops_callback._scan.findings import worst


def finding(**fields: object) -> Finding:
    given = {
        "path": "a.py",
        "line": 1,
        "end_line": 2,
        "kind": "hook_class",
        "name": "A",
        "base": "tf.train.SessionRunHook",
        "verdict": "change",
        "why": "it is old",
        "write": "class A(v1.train.SessionRunHook):",
        **fields,
    }
    return Finding(**given)  # type: ignore[arg-type]


def test_json_has_the_promised_fields_and_no_more() -> None:
    """The object of `--json` has exactly the fields of the schema."""
    report = Report(3, (Unreadable("b.py", 4, "broken"),), (finding(cell=2),))
    printed = report.as_json()

    assert list(printed) == ["files", "unreadable", "findings"]
    assert printed["unreadable"] == [
        {"path": "b.py", "line": 4, "why": "broken"}
    ]
    assert list(printed["findings"][0]) == [
        "path",
        "line",
        "end_line",
        "kind",
        "name",
        "base",
        "verdict",
        "why",
        "write",
    ]


def test_verdicts_are_counted() -> None:
    """A report knows how many findings have a verdict."""
    report = Report(1, (), (finding(), finding(verdict="none"), finding()))

    assert report.count("change") == 2
    assert report.count("unmodified") == 0


def test_the_worst_verdict_counts() -> None:
    """No way is worse than another way, and that is worse than an edit."""
    assert worst([]) == "unmodified"
    assert worst(["change", "none", "replace"]) == "none"
    assert worst(["change", "replace"]) == "replace"
