# SPDX-License-Identifier: Apache-2.0
"""Measures what the callbacks cost, as the tables of tests/bench/README.md.

    python -m tests.bench                     # half an hour
    python -m tests.bench --unfused           # the same, as if it did not fuse
    python -m tests.bench --rounds 1 --steps 10 --quick

No figure is checked here; quoted figures name their machine and day.
"""

import argparse
import datetime
import os
import platform
import statistics
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import rich.box
import rich.console
import rich.table
import tensorflow as tf
import tf_keras

from final_ops_callback._keras.direct_step import DirectStep
from tests.bench import jobs
from tests.bench import once
from tests.bench import steps


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


def per_step(rounds: int, count: int, flavor: Any) -> rich.table.Table:
    """Measures the time that each job adds to a step, by implementation."""
    found = steps.of_jobs(rounds, count, epochs=3, flavor=flavor)
    table = _table(
        f"Added per step of {flavor.__name__}, us: median (and quartiles)",
        "what runs",
        "v1",
        "by hand",
        "ours",
    )
    peers = ("v1", "hand", "ours")
    table.add_row("the floor: a step without", *_floors(found, peers))
    for job in jobs.JOBS:
        costs = [found.get((job.name, who)) for who in peers]
        table.add_row(job.name, *map(_text, costs))
    return table


def _floors(found: Any, peers: tuple[str, ...]) -> list[str]:
    """Returns the median of the floors of each peer."""
    texts = []
    for who in peers:
        floors = [cost.floor for key, cost in found.items() if key[1] == who]
        texts.append(f"{statistics.median(floors):.0f}" if floors else "-")
    return texts


def elsewhere(rounds: int, count: int, flavor: Any) -> rich.table.Table:
    """Measures hooks on other models, and in evaluate and predict."""
    found = steps.elsewhere(rounds, count, epochs=3, flavor=flavor)
    table = _table(
        f"Added per step of {flavor.__name__}, us: median (and quartiles)",
        "what runs",
        "floor of v1",
        "v1",
        "floor of Keras",
        "ours",
    )
    for what in dict.fromkeys(what for what, _ in found):
        of_v1, ours = found[what, "v1"], found[what, "ours"]
        table.add_row(
            what,
            f"{of_v1.floor:.0f}",
            _text(of_v1),
            f"{ours.floor:.0f}",
            _text(ours),
        )
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
        table.add_row(
            f"the first ten steps, {variables} variables with slots",
            f"{once.start_up(variables, 10):.2f} s",
            "-",
        )
    table.add_row(
        "the first ten steps, 300 variables, jit_compile=True",
        f"{once.start_up(300, 10, jit_compile=True):.2f} s",
        "-",
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
    table.add_row(
        "hooks that fetch in ten ways, and not in one",
        f"{memory['ten ways']:.0f} MB",
        "-",
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
    parser.add_argument(
        "--unfused",
        action="store_true",
        help="call the steps as Keras does, and each part of a run by itself",
    )
    arguments = parser.parse_args()
    DirectStep.is_used = not arguments.unfused
    console = rich.console.Console(width=140)
    console.print(
        f"{datetime.date.today()}, {os.cpu_count()} x {platform.machine()}, "
        f"{platform.system()}, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"tf_keras {tf_keras.__version__}"
    )
    rounds, count = arguments.rounds, arguments.steps
    for flavor in (keras, tf_keras):
        console.print(per_step(rounds, count, flavor))
        console.print(elsewhere(rounds, count, flavor))
    console.print(paid_once(rounds, count, arguments.quick))


if __name__ == "__main__":
    main()
