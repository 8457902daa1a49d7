# SPDX-License-Identifier: Apache-2.0
"""What a report shows."""

from final_ops_callback._checkpoints.report import RestoreReport


def test_a_guess_is_shown() -> None:
    """The line of a weight says what decided, if its name did not."""
    report = RestoreReport(
        "model.ckpt", None, {"a": "a", "b": "w"}, {"b": "shape and order"}
    )

    assert str(report).splitlines() == [
        "restored 2 variables and no step from model.ckpt",
        "  a <- a",
        "  b <- w (by shape and order)",
    ]


def test_a_long_list_is_cut() -> None:
    """Of many names, the first ones and the number of the others are shown."""
    names = tuple(f"name{i}" for i in range(30))
    lines = str(RestoreReport("m", 1, {}, {}, names, names, ("Note.",)))

    assert lines.count("name") == 40
    assert lines.count(" and 10 more") == 2
    assert lines.endswith("\nNote.")
