# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs, and measures what it says.

No time is asserted, because times depend on the machine.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import jobs
from tests.bench import steps
from tests.flavors import needs_keras_3

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    needs_keras_3,
    pytest.mark.skipif(
        importlib.util.find_spec("rich") is None, reason="rich prints it"
    ),
]


@pytest.fixture(scope="module")
def output() -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench"),
            *("--rounds", "1", "--steps", "5", "--quick"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_job_has_its_line(output: str) -> None:
    for job in jobs.JOBS:
        lines = [x for x in output.splitlines() if f"| {job.name} " in x]
        assert len(lines) == 2, job.name  # of Keras 3, and of tf_keras
        for line, is_keras_3 in zip(lines, (True, False), strict=True):
            v1, by_hand, ours = re.split(r"\s*\|\s*", line)[2:5]
            has_hand = is_keras_3 and job.hand is not None
            assert re.match(r"-?\d", ours), line
            assert (v1 == "-") == (job.hooks is None), line
            assert (by_hand != "-") == has_hand, line


def test_other_models_and_calls_have_their_lines(output: str) -> None:
    for call, kind, name, _ in jobs.ELSEWHERE:
        what = f"| {call}, {kind.name}: {name} "
        lines = [x for x in output.splitlines() if what in x]
        assert len(lines) == 2, what
        for line in lines:
            figures = re.split(r"\s*\|\s*", line)[2:6]
            assert all(re.match(r"-?\d", one) for one in figures), line


def test_what_is_paid_once_is_there(output: str) -> None:
    assert "start-up, 300 variables with slots" in output
    assert "metrics at the end of evaluate" in output
    assert re.search(r"TensorFlow \d", output), output


def test_what_is_added_is_the_difference_to_the_floor() -> None:
    floor = iter([[2.0], [4.0], [1.0], [1.0], [9.0], [9.0]])
    run = iter([[13.0, 13.0], [12.0], [19.5]])
    runs = {"job": (lambda: next(run), lambda: next(floor))}
    cost = steps.added(runs, 3)["job"]
    assert cost.middle == 10.5
    assert cost.quartiles == (10.25, 10.75)


def test_the_peers_do_the_same_job() -> None:
    ours, v1 = jobs.Norm(), jobs.Norm()
    steps.keras_run([jobs.SessionRunHookCallback(ours)], 3, 1)()
    steps.v1_run(lambda: [v1], 3, 1)()
    assert type(ours.last) is type(v1.last)
    assert ours.last > 0
    assert v1.last > 0
