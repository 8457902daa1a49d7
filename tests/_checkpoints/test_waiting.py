# SPDX-License-Identifier: Apache-2.0
"""When checkpoints are looked for: the oracle is v1's own iterator."""

import logging
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.state_file import write_state
from final_ops_callback._checkpoints.waiting import Schedule
from final_ops_callback._checkpoints.waiting import checkpoints


class World:
    """A clock that only sleep moves, and a training that saves by it.

    Args:
        folder: The folder of the checkpoints.
        saves: Dict from a time to the name of the checkpoint that is saved.
    """

    def __init__(self, folder: Path, saves: dict[float, str]) -> None:
        self.now, self._folder, self._saves = 0.0, folder, dict(saves)
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        """Moves the clock, and saves what is due."""
        self.now += seconds
        if self.now > 1000:
            raise AssertionError("it never ends")
        for at in sorted(self._saves):
            if at <= self.now:
                save(self._folder, self._saves.pop(at))


def save(folder: Path, name: str) -> None:
    """Makes the files of a checkpoint, without content."""
    folder.mkdir(exist_ok=True)
    before = tf.train.get_checkpoint_state(str(folder))
    kept = list(before.all_model_checkpoint_paths) if before else []
    prefix = str(folder / name)
    for suffix in (".index", ".data-00000-of-00001"):
        Path(prefix + suffix).touch()
    write_state(str(folder), prefix, [*kept, prefix])


def watched(
    monkeypatch: pytest.MonkeyPatch,
    world: World,
    iterate: Callable[[], Iterator[str]],
    lasts: float,
) -> list[tuple[str, float]]:
    """Returns which checkpoints are given when, and when it ends."""
    seen = []
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: world.now)
        patch.setattr(time, "monotonic", lambda: world.now)
        patch.setattr(time, "sleep", world.sleep)
        for path in iterate():
            seen.append((Path(path).name, world.now))
            world.sleep(lasts)  # the evaluation
    return [*seen, ("end", world.now)]


SAVES = {0.0: "a", 3.0: "b", 3.5: "c", 4.2: "d", 30.0: "e", 100.0: "f"}


# Before that, v1 asked the function only after a timeout.
asks = pytest.mark.skipif(
    tuple(map(int, tf.__version__.split(".")[:2])) < (2, 16),
    reason="this TensorFlow does not ask after each checkpoint",
)


@pytest.mark.parametrize("lasts", [0.0, 2.5, 40.0])
@pytest.mark.parametrize(
    ("interval", "timeout", "stop_at"),
    [
        (0, 5, None),
        (0, 0, None),
        (2, 5, None),
        (60, 5, None),
        (0.5, 30, None),
        pytest.param(1, 5, 50.0, marks=asks),
        pytest.param(1, 5, 5.0, marks=asks),
        pytest.param(1, None, 100.0, marks=asks),
    ],
)
def test_the_same_checkpoints_at_the_same_times(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    lasts: float,
    interval: float,
    timeout: float | None,
    stop_at: float | None,
) -> None:
    """What is given when, and when it ends, is as in v1."""
    seen: list[Any] = []
    for side in ("v1", "ours"):
        folder = tmp_path / side
        world = World(folder, SAVES)

        def is_over(world: World = world) -> bool:
            return world.now >= (stop_at or 0)

        stop = None if stop_at is None else is_over
        schedule = Schedule(interval, timeout, stop)

        def original(folder: Path = folder, stop: Any = stop) -> Iterator[str]:
            return tf.train.checkpoints_iterator(
                str(folder), interval, timeout, stop
            )

        def ours(
            folder: Path = folder, schedule: Schedule = schedule
        ) -> Iterator[str]:
            return (
                one.path for one in checkpoints(str(folder), schedule, set())
            )

        iterate = original if side == "v1" else ours
        seen.append(watched(monkeypatch, world, iterate, lasts))

    assert seen[0] == seen[1]
    assert len(seen[0]) > 1


def test_to_look_once_is_not_to_wait(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a timeout of 0 there is no interval after the last checkpoint."""
    world = World(tmp_path / "m", {0.0: "a", 1.0: "b"})
    schedule = Schedule(60, 0)
    seen = watched(
        monkeypatch,
        world,
        lambda: (
            one.path
            for one in checkpoints(str(tmp_path / "m"), schedule, set())
        ),
        0.0,
    )

    assert seen == [("a", 0.0), ("end", 0.0)]


def test_every_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With `every`, none is missed, however long an evaluation lasts."""
    world = World(tmp_path / "m", SAVES)
    schedule = Schedule(0, 80, None, every=True)
    seen = watched(
        monkeypatch,
        world,
        lambda: (
            one.path
            for one in checkpoints(str(tmp_path / "m"), schedule, set())
        ),
        20.0,
    )

    assert [name for name, _ in seen] == [*"abcdef", "end"]


@pytest.mark.parametrize("every", [True, False])
def test_once_more(tmp_path: Path, every: bool) -> None:
    """What the caller takes out of the set is given again."""
    save(tmp_path, "a")
    done: set[Any] = set()
    seen = []
    for found in checkpoints(str(tmp_path), Schedule(0, 0, None, every), done):
        seen.append(Path(found.path).name)
        if len(seen) == 1:
            done.clear()

    assert seen == ["a", "a"]


def test_a_folder_may_appear_later(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A folder that is not there is waited for, with a warning."""
    world = World(tmp_path / "m", {7.0: "a"})
    schedule = Schedule(0, 20)
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        seen = watched(
            monkeypatch,
            world,
            lambda: (
                one.path
                for one in checkpoints(str(tmp_path / "m"), schedule, set())
            ),
            0.0,
        )

    assert seen[0] == ("a", 7.0)
    assert "is not there yet" in caplog.text


@pytest.mark.parametrize("timeout", [0, 30])
@pytest.mark.parametrize("every", [True, False])
def test_what_is_not_found_is_said_once(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    timeout: float,
    every: bool,
) -> None:
    """Checkpoints without a state are a warning, and not one each second."""
    world = World(tmp_path / "m", {0.0: "a"})
    (tmp_path / "m" / "checkpoint").unlink()
    schedule = Schedule(0, timeout, None, every)
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        seen = watched(
            monkeypatch,
            world,
            lambda: (
                one.path
                for one in checkpoints(str(tmp_path / "m"), schedule, set())
            ),
            0.0,
        )

    assert [name for name, _ in seen] == ["end"]
    assert len(caplog.records) == 1
    assert "has 'a', but its file 'checkpoint'" in caplog.text


def test_a_state_that_comes_late_is_no_warning(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """v1 writes its state last: a moment without it means nothing."""
    folder = tmp_path / "m"
    world = World(folder, {0.0: "a", 0.5: "b"})
    (folder / "checkpoint").unlink()
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        seen = watched(
            monkeypatch,
            world,
            lambda: (
                one.path
                for one in checkpoints(str(folder), Schedule(0, 5), set())
            ),
            0.0,
        )

    assert [name for name, _ in seen] == ["b", "end"]
    assert caplog.text == ""
