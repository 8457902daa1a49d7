# SPDX-License-Identifier: Apache-2.0
"""A training that is killed at any moment leaves whole files, or none."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.faults import training

pytestmark = pytest.mark.faults

KILLS = 50
RESTARTS = 20
SEED = random.SystemRandom().randrange(10**6)
# Seconds to the kill at most: from the first file on, several fits; of a
# process that is killed before, from its begin.
LONGEST = 1.5
SHORT = 0.3
PATIENCE = 120.0


class Trainings:
    """Trains in processes of their own, in a way of `training`."""

    def __init__(self, way: Callable[[], None]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", training.__name__, way.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def begin(self, folder: pathlib.Path) -> int:
        """Begins to train in a folder; returns the id of the process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(folder, file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """Ends the program that forks."""
        self._server.communicate()


@pytest.fixture(scope="module")
def trainings() -> Iterator[Trainings]:
    """The object that begins trainings."""
    one = Trainings(training.train_endlessly)
    yield one
    one.close()


@pytest.fixture
def restarts() -> Iterator[Trainings]:
    """The object that begins trainings, or goes on with them."""
    one = Trainings(training.train_to_the_end)
    yield one
    one.close()


def json_of(path: pathlib.Path) -> Any:
    """Reads the kernel in a JSON file."""
    return np.array(json.loads(path.read_text())["kernel"])


def npz_of(path: pathlib.Path) -> Any:
    """Reads the kernel in an npz file."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["kernel"]


READERS: dict[str, Callable[[pathlib.Path], Any]] = {
    "final_ops.json": json_of,
    "final_ops.npz": npz_of,
}


def broken_files(folder: pathlib.Path) -> list[str]:
    """Lists the files of values that can't be read."""
    broken = []
    for name, read in READERS.items():
        path = folder / name
        try:
            whole = not path.exists() or read(path).size == training.SIZE**2
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            whole = False
        broken += [] if whole else [name]
    return broken


def broken_checkpoints(folder: pathlib.Path) -> tuple[list[str], int]:
    """Reads all variables of the checkpoints that the state file names.

    Returns:
        Pair of those that can't be read and the number of all.
    """
    state = tf.train.get_checkpoint_state(str(folder / "saved"))
    named = [] if state is None else list(state.all_model_checkpoint_paths)
    broken = []
    for path in named:
        try:
            reader = tf.train.load_checkpoint(str(folder / path))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
        except (tf.errors.OpError, IndexError, RuntimeError, ValueError):
            broken.append(path)
    return broken, len(named)


def wait_for_a_file(folder: pathlib.Path, name: str) -> None:
    """Waits until a file is there."""
    deadline = time.monotonic() + PATIENCE
    while not (folder / name).exists():
        assert time.monotonic() < deadline, f"no {name} in time"
        time.sleep(0.005)


def test_files_are_whole_or_absent_after_a_kill(
    trainings: Trainings, tmp_path: pathlib.Path
) -> None:
    """After each of 50 kills, all existing files can be read."""
    print(f"seed {SEED}")  # shown when it fails
    generator = random.Random(SEED)
    counts = {"before": 0, "after": 0, "within": 0, "checkpoints": 0}
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = trainings.begin(folder)
        try:
            if number % 5:
                wait_for_a_file(folder, "final_ops.json")
                time.sleep(generator.uniform(0, LONGEST))
            else:
                time.sleep(generator.uniform(0, SHORT))
        finally:
            os.kill(process, signal.SIGKILL)
        # The next is begun when this one is gone.
        wait_for_the_end(process)

        assert broken_files(folder) == [], number
        broken, checkpoints = broken_checkpoints(folder)
        assert broken == [], number
        counts["checkpoints"] += checkpoints
        written = (folder / "final_ops.json").exists()
        counts["after" if written else "before"] += 1
        counts["within"] += any(folder.glob(".final_ops.*.part"))

    print(counts)
    assert counts["before"] > 0
    assert counts["after"] > 0
    # Some struck while a file was being written: that is what is tested.
    assert counts["within"] > 0
    assert counts["checkpoints"] > 0


def wait_for_the_end(process: int) -> None:
    """Waits until a process is gone."""
    deadline = time.monotonic() + PATIENCE
    while pathlib.Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline, "it can't be killed"
        time.sleep(0.005)


def values_at_the_end(folder: pathlib.Path) -> dict[str, Any]:
    """Reads all variables of the latest checkpoint."""
    path = tf.train.latest_checkpoint(str(folder / "saved"))
    reader = tf.train.load_checkpoint(path)
    return {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}


def test_a_training_that_is_killed_again_and_again_ends_as_one(
    restarts: Trainings, tmp_path: pathlib.Path
) -> None:
    """After 20 kills, it ends with the values of a training without one."""
    print(f"seed {SEED}")  # shown when it fails
    generator = random.Random(SEED)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    process = restarts.begin(whole)
    wait_for_a_file(whole, "done")
    wait_for_the_end(process)
    begun = []
    while len(begun) < RESTARTS:
        begun.append(latest_step(killed))
        process = restarts.begin(killed)
        try:
            if len(begun) % 4:
                wait_for_a_step(killed, after=begun[-1])
                time.sleep(generator.uniform(0, SHORT / 2))
            else:
                time.sleep(generator.uniform(0, SHORT))
        finally:
            os.kill(process, signal.SIGKILL)
        wait_for_the_end(process)
        assert not (killed / "done").exists()

    process = restarts.begin(killed)
    wait_for_a_file(killed, "done")
    wait_for_the_end(process)

    print(begun)
    assert begun == sorted(begun)  # none went back
    assert len(set(begun)) > RESTARTS / 2
    np.testing.assert_equal(values_at_the_end(killed), values_at_the_end(whole))
    assert latest_step(killed) == training.LAST_STEP


def latest_step(folder: pathlib.Path) -> int:
    """Returns the step of the latest checkpoint; -1 if there is none."""
    latest = tf.train.latest_checkpoint(str(folder / "saved"))
    return -1 if latest is None else int(latest.rpartition("-")[2])


def wait_for_a_step(folder: pathlib.Path, after: int) -> None:
    """Waits until a checkpoint of a later step is there."""
    deadline = time.monotonic() + PATIENCE
    while latest_step(folder) <= after:
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.002)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_cut_off_is_noticed(
    name: str, tmp_path: pathlib.Path
) -> None:
    """Half of a file is broken, and the whole file is not."""
    kernel = np.zeros((training.SIZE, training.SIZE))
    path = tmp_path / name
    if path.suffix == ".json":
        path.write_text(json.dumps({"kernel": kernel.tolist()}))
    else:
        np.savez(path, kernel=kernel)
    before = broken_files(tmp_path)

    os.truncate(path, path.stat().st_size // 2)

    assert before == []
    assert broken_files(tmp_path) == [name]


def test_a_checkpoint_that_is_cut_off_is_noticed(
    tmp_path: pathlib.Path,
) -> None:
    """A checkpoint that is named and has lost its data is broken."""
    saved = tf.train.Checkpoint(kernel=tf.Variable(tf.zeros([100, 100])))
    path = saved.save(str(tmp_path / "saved" / "model.ckpt"))
    before = broken_checkpoints(tmp_path)

    for part in tmp_path.glob("saved/*.data-*"):
        os.truncate(part, part.stat().st_size // 2)

    assert before == ([], 1)
    assert broken_checkpoints(tmp_path) == ([path], 1)
