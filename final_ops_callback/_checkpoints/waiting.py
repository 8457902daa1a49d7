# SPDX-License-Identifier: Apache-2.0
"""Waits for checkpoints, by the rules of `tf.train.checkpoints_iterator`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf

from final_ops_callback._checkpoints import found
from final_ops_callback._checkpoints.found import Found
from final_ops_callback._checkpoints.found import Identity

logger = logging.getLogger("final_ops_callback")

# How often v1 looked, in seconds.
_PAUSE = 1.0


class Schedule(NamedTuple):
    """When to look for checkpoints, and when to stop.

    Attributes:
        min_interval_secs: Float. The least time between the beginnings of two
            evaluations, in seconds.
        timeout: Float. The longest time to wait for a checkpoint, in seconds;
            `None` to wait forever; `0` to look once.
        timeout_fn: Function without arguments that is asked, after a timeout
            and after each checkpoint, whether there will be no more; `None`
            to stop at a timeout.
        every: Boolean. Whether each checkpoint is of interest, not only the
            latest.
    """

    min_interval_secs: float = 60.0
    timeout: float | None = None
    timeout_fn: Callable[[], bool] | None = None
    every: bool = False


def checkpoints(
    folder: str, schedule: Schedule, done: set[Identity]
) -> Iterator[Found]:
    """Yields the checkpoints of a folder as they appear.

    Like `tf.train.checkpoints_iterator`, it looks only when it is asked for
    the next one, so that checkpoints may be missed unless `every` is set. If
    it is to look once, it does not wait at all. Checkpoints that it does not
    find, because the state file is missing or names others, are a warning.

    Args:
        folder: String. The path of the folder, which may appear later.
        schedule: When to look, and when to stop.
        done: Set of the identities that are not yielded any more, to which
            each one is added. What the caller removes is yielded again.
    """
    if not tf.io.gfile.isdir(folder):
        logger.warning("The folder %r is not there yet.", folder)
    told: set[str] = set()
    while True:
        new = _wait(folder, done, schedule, told)
        if new is not None:
            start = time.monotonic()
            yield new
            if schedule.timeout != 0:
                _sleep(start + schedule.min_interval_secs - time.monotonic())
        elif schedule.timeout_fn is None:
            logger.info("No new checkpoint in %r: timed out.", folder)
            return
        if schedule.timeout_fn is not None and schedule.timeout_fn():
            logger.info("No more checkpoints in %r are expected.", folder)
            return


def _wait(
    folder: str, done: set[Identity], schedule: Schedule, told: set[str]
) -> Found | None:
    logger.info("Waiting for a new checkpoint in %r.", folder)
    timeout = schedule.timeout
    stop = None if timeout is None else time.monotonic() + timeout
    before = ""
    while True:
        new = _next(folder, done, schedule.every)
        if new is not None:
            return new
        is_over = stop is not None and time.monotonic() + _PAUSE > stop
        reason = found.why_not(folder, schedule.every)
        # v1 writes the state a moment after the files.
        if reason and (is_over or reason == before) and reason not in told:
            told.add(reason)
            logger.warning("%s", reason)
        if is_over:
            return None
        before = reason
        _sleep(_PAUSE)


def _next(folder: str, done: set[Identity], every: bool) -> Found | None:
    """Returns a checkpoint that was not returned before, if there is one."""
    latest = None if every else found.latest(folder)
    here = found.all_of(folder) if every else [latest] if latest else []
    if every:
        # What is gone does not come back, and need not be remembered.
        done.intersection_update([one.identity for one in here])
    for one in here:
        if one.identity not in done:
            if not every:
                done.clear()  # as in v1, which knew the last one only
            done.add(one.identity)
            return one
    return None


def _sleep(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)
