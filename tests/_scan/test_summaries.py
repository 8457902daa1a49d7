# SPDX-License-Identifier: Apache-2.0
"""Summaries that only a session of v1 wrote."""

import pytest

from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.summaries import summaries
from tests._scan.conftest import Found
from tests._scan.contexts import context_of

HEAD = "import tensorflow.compat.v1 as tf\n"
SESSION = "tf.train.MonitoredTrainingSession(checkpoint_dir=d)\n"
SAVER = "tf.train.SummarySaverHook(3, summary_op=op)\n"
SCALAR = "tf.summary.scalar('x', total_loss)\n"


def of_summaries(found: Found, code: str) -> list[Finding]:
    return [f for f in found(HEAD + code) if "are not written" in f.why]


@pytest.mark.parametrize("other", [SESSION, SAVER])
@pytest.mark.parametrize(
    "code", [SCALAR, "tf.summary.histogram('x', total_loss)\n" + SCALAR]
)
def test_summaries_are_told_once(found: Found, code: str, other: str) -> None:
    """A file that had them written is told where to make them."""
    (finding,) = of_summaries(found, code + other)
    name = code.partition("(")[0].rpartition(".")[2]

    assert (finding.kind, finding.verdict) == ("removed_name", "change")
    assert finding.write.splitlines()[1] == (
        f"tf.compat.v1.summary.{name}('x', tensor(\"loss:0\"))"
    )


@pytest.mark.parametrize(
    "code",
    [
        SCALAR,
        SESSION,
        SESSION + "tf.summary.FileWriter(d)",
        SESSION + "tf.compat.v2.summary.scalar('x', loss)",
        SESSION + "def make():\n    tf.summary.scalar('x', loss)\n"
        "SessionRunHookCallback(make)",
        SESSION + "class A(tf.train.SessionRunHook):\n"
        "    def begin(self): tf.summary.scalar('x', self.loss)",
    ],
)
def test_other_files_are_not_told(found: Found, code: str) -> None:
    """Where no session wrote them, or a hook makes them, all is well."""
    assert of_summaries(found, code) == []


def test_what_else_is_found_decides() -> None:
    """Without other findings there is nothing to say."""
    context, facts = context_of(a=HEAD + SCALAR)

    assert summaries(context, facts, []) == []
