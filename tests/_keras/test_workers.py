# SPDX-License-Identifier: Apache-2.0
"""Two workers in two processes, with real collectives on loopback."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._keras import workers
from final_ops_callback.errors import StepTensorError
from final_ops_callback.errors import StrategyError
from final_ops_callback.errors import WorkerError
from tests import models
from tests.flavors import IS_KERAS_3
from tests.flavors import KERAS_2

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 150  # whoever takes longer hangs, and is killed


def free_ports(count: int) -> list[int]:
    """Returns free ports that no connection is given by chance.

    Seconds pass until a worker listens, and other tests run beside. Linux
    gives connections ports from 32,768 on.
    """
    found: list[int] = []
    drawn = random.SystemRandom()  # `random` has the seed of all tests
    while len(found) < count:
        port = drawn.randrange(20_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            found += [] if port in found else [port]
    return found


def run(
    scenario: str, folder: Path, package: str = KERAS_2.__name__
) -> list[Any]:
    """Runs a scenario of `tests.worker` on two workers.

    Returns:
        List of what each found; `None` for one that was killed.
    """
    ports = ",".join(map(str, free_ports(2)))
    processes = []
    for index in range(2):
        place = folder / str(index)
        place.mkdir()
        command = [sys.executable, "-m", "tests.worker", package]
        command += [str(index), ports, scenario, str(place)]
        with (folder / f"{index}.log").open("w") as log:
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            )
    end = time.monotonic() + SECONDS
    try:
        outputs = [
            process.communicate(timeout=max(1, end - time.monotonic()))[0]
            for process in processes
        ]
    except subprocess.TimeoutExpired:
        logs = [(folder / f"{i}.log").read_text()[-2000:] for i in range(2)]
        pytest.fail(f"hangs: {logs}")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [
        json.loads(text.splitlines()[-1]) if text.strip() else None
        for text in outputs
    ]


def test_workers_agree(tmp_path: Path) -> None:
    """Values are equal, the chief alone writes, a stop of one stops all."""
    chief, other = run("agree", tmp_path)

    assert "values" in chief, chief
    own = ("hooks", "files")
    assert {k: v for k, v in chief.items() if k not in own} == {
        k: v for k, v in other.items() if k not in own
    }
    assert chief["weights"] == chief["live"]
    assert chief["chief stops"] == 3
    assert [chief["hooks"], other["hooks"]] == [[3, True], [0, False]]
    assert chief["request"] == [2, 2, True]
    assert chief["before"] == [2, 2, True]
    assert chief["files"] == ["events", "final.json", "of_hook"]
    assert other["files"] == []


@pytest.mark.parametrize(
    ("scenario", "errors", "match"),
    [
        ("fail", ["WorkerError", "ValueError"], "of another worker failed"),
        (
            "fail_at_begin",
            ["WorkerError", "ZeroDivisionError"],
            "of another worker failed",
        ),
        ("write_alone", ["UnsupportedOpError", "WorkerError"], "chief alone"),
        ("feed_alone", ["UnsupportedOpError", "WorkerError"], "chief alone"),
        ("inside_the_step", ["StepTensorError"] * 2, "several workers"),
    ],
)
def test_a_failure_of_one_is_told_to_all(
    scenario: str, errors: list[str], match: str, tmp_path: Path
) -> None:
    """Nobody waits for a worker whose hook failed, or was refused."""
    found = run(scenario, tmp_path)

    assert [one.get("error") for one in found] == errors, found
    assert match in found[0]["text"]


def test_workers_go_on_from_checkpoints(tmp_path: Path) -> None:
    """All restore what the chief alone has saved."""
    chief, other = run("go_on_together", tmp_path)

    assert chief == other
    assert chief["steps"] == [8, 16]
    saved = tf.train.latest_checkpoint(str(tmp_path / "shared"))
    assert saved.endswith("-16")
    kernel = tf.train.load_checkpoint(saved).get_tensor("dense/kernel")
    assert kernel.tolist() == chief["weights"][1][0]


def test_workers_that_share_no_checkpoints_are_refused(tmp_path: Path) -> None:
    """Nobody trains on from another step than the chief."""
    found = run("go_on_apart", tmp_path)

    assert [one.get("error") for one in found] == ["WorkerError"] * 2, found
    assert "step 8 on the chief" in found[0]["text"]
    assert "Give all workers a checkpoint_dir" in found[1]["text"]


@pytest.mark.parametrize(
    ("scenario", "errors"),
    [
        ("leave_apart", ["WorkerError", "WorkerError"]),
        ("leave_failed", ["WorkerError", "ValueError"]),
        ("leave_at_begin", ["WorkerError", "ZeroDivisionError"]),
    ],
)
def test_nobody_leaves_before_the_others_know_why(
    scenario: str, errors: list[str], tmp_path: Path
) -> None:
    """A process that ends early would leave them a closed socket alone."""
    found = run(scenario, tmp_path)

    assert found == [[error, True] for error in errors]


def test_a_callback_on_one_worker_alone(tmp_path: Path) -> None:
    """Both workers fail in the end, and our error says what to do."""
    _, alone = run("only_one", tmp_path)

    assert alone["error"] == "WorkerError", alone
    assert "on all workers" in alone["text"]


def test_a_killed_worker_ends_the_other(tmp_path: Path) -> None:
    """The other ends with an error, and its files are whole."""
    chief, killed = run("killed", tmp_path)
    folder = tmp_path / "0" / "of_hook"
    state = tf.train.get_checkpoint_state(str(folder))

    assert killed is None
    assert "error" in chief
    assert not (tmp_path / "0" / "final.json").exists()
    for path in state.all_model_checkpoint_paths:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)


@pytest.mark.skipif(not IS_KERAS_3, reason="it is about Keras 3")
def test_keras_3_does_not_run_on_several_workers(tmp_path: Path) -> None:
    """Keras 3 fails without any callback; README says so."""
    found = run("bare", tmp_path, "keras")

    assert [one.get("ours") for one in found] == [False, False], found
    assert "PerReplica" in found[0]["text"]


def test_one_process_is_no_several_workers() -> None:
    """A model in this process trains alone, and gives all of its step."""
    with tf.distribute.OneDeviceStrategy("cpu:0").scope():
        under_strategy = models.tiny_model()
    for model in (models.tiny_model(), under_strategy, object()):
        assert not workers.is_multi_worker(model)
        workers.refuse_inside(model, ["loss"])
        workers.refuse_servers(model)


class Elsewhere:
    """Stands for a model whose strategy has replicas in other processes."""

    class distribute_strategy:
        num_replicas_in_sync = 2

        class extended:
            worker_devices = ("cpu:0",)


def test_parts_of_a_step_are_refused_on_several_workers() -> None:
    """The error names them; nothing that is wanted is no error."""
    assert workers.is_multi_worker(Elsewhere())
    workers.refuse_inside(Elsewhere(), [])
    with pytest.raises(StepTensorError, match=r"\['a', 'b'\] on several"):
        workers.refuse_inside(Elsewhere(), {"b": 1, "a": 2})


def test_servers_are_refused() -> None:
    """The error says what to use instead."""

    class Model:
        distribute_strategy = object.__new__(
            tf.distribute.ParameterServerStrategy
        )

    with pytest.raises(StrategyError, match="MultiWorkerMirroredStrategy"):
        workers.refuse_servers(Model())


def test_workers_agree_in_one_process_too() -> None:
    """A strategy of one replica is asked in the same way."""

    class Model:
        distribute_strategy = tf.distribute.OneDeviceStrategy("cpu:0")

    agreement = workers.Workers(Model())
    agreement.meet()

    assert not agreement.anyone_stops(False)
    assert agreement.anyone_stops(True)


def test_a_worker_that_has_left_hides_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was agreed is said, even if nobody is there to wait for."""

    class Model:
        distribute_strategy = tf.distribute.OneDeviceStrategy("cpu:0")

    agreement = workers.Workers(Model())

    def nobody(*args: Any) -> None:
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(agreement, "_sum_within", nobody)
    monkeypatch.setattr(agreement, "_all", lambda vote: 1_000_000)

    with pytest.raises(WorkerError, match="of another worker failed"):
        agreement.anyone_stops(False)
    agreement.tell_of_failure()
