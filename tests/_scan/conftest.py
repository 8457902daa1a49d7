# SPDX-License-Identifier: Apache-2.0
"""Fixtures that the tests of scan and fix share."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.scan import scan

# Code of v1 and Python 2, which is scanned and not collected.
collect_ignore = ["tree"]

Found = Callable[..., list[Finding]]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """A function that scans a text, or several by their file names."""

    def scanned(text: str = "", **files: str) -> list[Finding]:
        texts = {"code": text, **files}
        for name, content in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(content), encoding="utf-8")
        return list(scan([str(tmp_path)]).findings)

    return scanned
