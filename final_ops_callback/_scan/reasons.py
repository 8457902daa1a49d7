# SPDX-License-Identifier: Apache-2.0
"""Collects the reasons for a verdict, and what something needs."""

from __future__ import annotations

import dataclasses

from final_ops_callback._scan.findings import VERDICTS
from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.findings import worst


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """A reason why something does not run as it stands.

    Args:
        verdict: What has to be done about it.
        why: String. The reason.
        write: String. The line to write, or `""`.
    """

    verdict: Verdict
    why: str
    write: str = ""


@dataclasses.dataclass(slots=True)
class Reasons:
    """The reasons for one verdict, and notes that don't change it."""

    reasons: list[Reason] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def add(self, verdict: Verdict, why: str, write: str = "") -> None:
        """Adds a reason, once."""
        reason = Reason(verdict, why, write)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def note(self, text: str) -> None:
        """Adds a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def verdict(self) -> Verdict:
        """The worst of the verdicts."""
        return worst(reason.verdict for reason in self.reasons)

    def why(self, otherwise: str) -> str:
        """Returns the reasons, the worst first, and the notes.

        Args:
            otherwise: String. What stands there without a reason.
        """
        ordered = sorted(self.reasons, key=lambda r: -VERDICTS.index(r.verdict))
        parts = [reason.why for reason in ordered] or [otherwise]
        return "; ".join([*parts, *self.notes])

    def write(self, otherwise: str) -> str:
        """Returns the lines to write: those of all reasons of the verdict.

        Args:
            otherwise: String. The line if no reason has one. Where there is
                no way, there is no line either.
        """
        verdict = self.verdict
        if verdict == "none":
            return ""
        lines = [
            line
            for reason in self.reasons
            if reason.verdict == verdict
            for line in reason.write.splitlines()
        ]
        return "\n".join(dict.fromkeys(lines)) or otherwise
