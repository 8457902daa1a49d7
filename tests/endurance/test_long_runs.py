# SPDX-License-Identifier: Apache-2.0
"""Long runs keep nothing: memory, objects and resources stay flat."""

import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests.endurance import measure

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MOST = 0.02  # of growth after the warm-up, the first quarter
JOBS = {
    "steps": 20_000,
    "fits": 200,
    "fits anew": 200,
    "evaluates": 1_000,
    "evaluates anew": 1_000,
}


def growth(job: str, hooks: str, count: int) -> dict[str, float]:
    """Runs a job in a fresh Python.

    Returns:
        Dict from what was counted to its growth after the warm-up, as a part.
    """
    result = subprocess.run(
        [sys.executable, "-m", measure.__name__, job, hooks, str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    taken: list[dict[str, Any]] = json.loads(result.stdout)
    warm, last = taken[len(taken) // 4], taken[-1]
    print(job, hooks, count, warm, last)
    return {
        name: (last[name] - warm[name]) / max(warm[name], 1)
        for name in warm
        if name not in ("at", "seconds")
    }


@pytest.mark.long
@pytest.mark.parametrize("job", JOBS)
def test_a_long_run_keeps_nothing(job: str) -> None:
    """After the warm-up nothing grows by more than 2 %."""
    found = growth(job, "ours", JOBS[job])

    assert {k: v for k, v in found.items() if v > MOST} == {}


@pytest.mark.long
def test_a_leak_is_noticed() -> None:
    """A callback that keeps a tensor of each step fails the check."""
    found = growth("steps", "leaky", 4_000)

    assert found["rss"] > MOST
    assert found["EagerTensor"] > MOST


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_what_is_finished_is_let_go(method: str, tmp_path: Path) -> None:
    """Callbacks, graph, session and model go when their last user does."""
    model = measure.model_of_the_job()
    callbacks = measure.make_callbacks(model, str(tmp_path))
    graphs: list[Any] = []

    def make() -> list[Any]:
        graphs.append(weakref.ref(measure.v1.get_default_graph()))
        return measure.six_hooks(str(tmp_path))()

    callbacks[0] = SessionRunHookCallback(make)
    kinds = {type(callback) for callback in callbacks}
    getattr(model, method)(measure.X, measure.Y, verbose=0, callbacks=callbacks)
    alive = [weakref.ref(one) for one in (model, *callbacks)]
    alive += graphs
    del model, callbacks, make
    measure.keras.backend.clear_session()
    for _ in range(3):
        gc.collect()

    assert kinds == {SessionRunHookCallback, FinalOpsCallback}
    assert len(alive) == 4
    assert [ref() for ref in alive] == [None] * 4
