# SPDX-License-Identifier: Apache-2.0
"""Measures what the callbacks cost, and prints it as tables for README.

    python -m tests.bench                     # ten minutes
    python -m tests.bench --rounds 1 --steps 10 --quick

No figure is checked here; quoted figures name their machine and day.
"""

import argparse
import datetime
import os
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import rich.box
import rich.console
import rich.table
import tensorflow as tf

from tests.bench import jobs
from tests.bench import once
from tests.bench import steps

GOALS = {
    "FinalOpsCallback, any ops": "0",
    "a hook that overrides nothing": "5",
    "norm of all weights each step": "hand, aim: v1",
    "six hooks together": "2 x v1, aim: v1",
}


def _table(title: str, *columns: str) -> rich.table.Table:
    table = rich.table.Table(title=title, box=rich.box.MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="right" if index else "left", no_wrap=True
        )
    return table


def _text(cost: steps.Cost | None) -> str:
    if cost is None:
        return "-"
    low, high = cost.quartiles
    return f"{cost.middle:.0f} ({low:.0f} to {high:.0f})"


def per_step(rounds: int, count: int) -> rich.table.Table:
    """Measures the time that each job adds to a step, by implementation."""
    found = steps.of_jobs(rounds, count, epochs=3)
    table = _table(
        "Added per step, us: the median (and the quartiles)",
        "what runs",
        "v1",
        "by hand",
        "ours",
        "goal",
    )
    for job in jobs.JOBS:
        costs = [found.get((job.name, who)) for who in ("v1", "hand", "ours")]
        goal = GOALS.get(job.name, "v1")
        table.add_row(job.name, *map(_text, costs), goal)
    return table


def paid_once(rounds: int, count: int, quick: bool) -> rich.table.Table:
    """Measures one-time costs, and whether steps become slower over time."""
    table = _table("Once, and growth", "what", "measured", "goal")
    for variables in (10, 300) if quick else (10, 300, 1200):
        table.add_row(
            f"start-up, {variables} variables with slots",
            f"{once.start_up(variables):.2f} s",
            f"{0.2 + variables / 1000:.2f} s",
        )
    ours, loop = once.final_ops()
    table.add_row(
        f"{once.METRICS} metrics at the end of evaluate",
        f"{ours:.1f} ms",
        f"{loop:.1f} ms, a loop of result()",
    )
    if quick:
        return table
    memory = once.memory()
    table.add_row(
        f"hooks on a model of {once.BIG_MODEL} MB",
        f"{memory['hooks']:.0f} MB",
        "50 MB",
    )
    table.add_row(
        f"a variable of {once.BIG_LEAF} MB as a leaf",
        f"{memory['leaf']:.0f} MB",
        f"{once.BIG_LEAF} MB, one copy",
    )
    first, last = once.growth_in_steps()
    table.add_row(
        "StopAtStepHook, steps 9,001 to 10,000",
        f"{last:.0f} us",
        f"{first:.0f} us, as the first 1,000",
    )
    few, many = once.growth_in_variables(rounds, count).values()
    table.add_row(
        "StopAtStepHook, 1,200 variables", _text(many), f"{_text(few)}, as 10"
    )
    return table


def main() -> None:
    """Measures everything, and prints the machine and the date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="leave out much")
    arguments = parser.parse_args()
    console = rich.console.Console(width=120)
    console.print(
        f"{datetime.date.today()}, {os.cpu_count()} x {platform.machine()}, "
        f"{platform.system()}, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    )
    console.print(per_step(arguments.rounds, arguments.steps))
    console.print(paid_once(arguments.rounds, arguments.steps, arguments.quick))


if __name__ == "__main__":
    main()
