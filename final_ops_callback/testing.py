# SPDX-License-Identifier: Apache-2.0
"""Doubles for tests of v1 hooks, and the original to hold them to.

`RecordingHook` does what it is told and keeps what it saw, `record` has that
kept of a hook of your own, `trace_v1` tells what the real `MonitoredSession`
would have done, and `differences` compares two recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import NotAHookError

METHODS = ("begin", "after_create_session", "before_run", "after_run", "end")


class Event(NamedTuple):
    """One call of one method of a hook.

    Attributes:
        method: String. The name of the method.
        results: What `after_run` got for the fetches, in their structure.
        read: What `session.run(reads)` gave when the method was called;
            `None` in `begin`, where there is no session.
        stop: Boolean. Whether a stop is requested when the method is done.
        raised: String or `None`. The type of the exception that it raised.
    """

    method: str
    results: Any = None
    read: Any = None
    stop: bool = False
    raised: str | None = None


class _Recorder(tf.compat.v1.train.SessionRunHook):
    """Passes each call on to another hook and records it."""

    def __init__(self, hook: Any, reads: Any = None) -> None:
        self.hook = hook
        self.events: list[Event] = []
        self._reads = reads

    def begin(self) -> None:
        self._call("begin")
        # Made last, so that it may read what the hook built.
        self._reads_here = _made(self._reads)

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._call("after_create_session", session, coord)

    def before_run(self, run_context: Any) -> Any:
        return self._call("before_run", run_context)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._call("after_run", run_context, run_values)

    def end(self, session: Any) -> None:
        self._call("end", session)

    def _call(self, method: str, *args: Any) -> Any:
        context = args[0] if method in ("before_run", "after_run") else None
        session = context.session if context else args[0] if args else None
        results = args[1].results if method == "after_run" else None
        read = None
        if session is not None and self._reads_here is not None:
            read = session.run(self._reads_here)
        raised = None
        try:
            return self._answer(method, *args)
        except BaseException as error:
            raised = type(error).__name__
            raise
        finally:
            stop = bool(context and context.stop_requested)
            self.events.append(Event(method, results, read, stop, raised))

    def _answer(self, method: str, *args: Any) -> Any:
        return getattr(self.hook, method)(*args)


class RecordingHook(_Recorder):
    """A v1 hook that does what it is told and records what it sees.

    Args:
        fetches: What it asks for in each `before_run`: as in `session.run`,
            or a function without arguments that returns it and may build
            operations (called in `begin`). Defaults to `None`.
        feed_dict: Mapping of what it feeds to each run, or a function that
            returns one. Defaults to `None`.
        reads: What it reads by `session.run` when a method is called, or a
            function that returns it. Defaults to `None`.
        stop_at: Integer. The run after which it requests a stop. Defaults to
            `None`.
        raises: Mapping from the name of a method to the exception that it
            raises. Defaults to `None`.

    Attributes:
        events: List of `Event`, the oldest first.

    Raises:
        ArgumentError: `stop_at` is no positive integer, or `raises` names no
            method of a hook or holds no exception.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from final_ops_callback import SessionRunHookCallback
    >>> from final_ops_callback.testing import RecordingHook
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> hook = RecordingHook("loss:0", stop_at=1)
    >>> callback = SessionRunHookCallback(hook)
    >>> x, y = np.zeros((8, 2)), np.ones(8)
    >>> _ = model.fit(x, y, callbacks=[callback], verbose=0)
    >>> [(event.method, event.stop) for event in hook.events[2:]]
    [('before_run', False), ('after_run', True), ('end', False)]
    >>> float(hook.events[3].results)
    1.0
    """

    def __init__(
        self,
        fetches: Any = None,
        feed_dict: Any = None,
        *,
        reads: Any = None,
        stop_at: int | None = None,
        raises: Mapping[str, BaseException] | None = None,
    ) -> None:
        super().__init__(None, reads)
        if stop_at is not None:
            _check_count(stop_at, "stop_at")
        self._raises = dict(raises or {})
        for method, error in self._raises.items():
            if method not in METHODS or not isinstance(error, BaseException):
                raise ArgumentError(
                    f"{method!r} can't raise {error!r}",
                    "raises",
                    f"Map one of {list(METHODS)} to an exception object.",
                )
        self._asks = fetches, feed_dict
        self._stop_at = stop_at

    def _answer(self, method: str, *args: Any) -> Any:
        if method in self._raises:
            raise self._raises[method]
        if method == "begin":
            self._asks_here = [_made(one) for one in self._asks]
            self._runs = 0
        if method == "before_run" and self._asks_here != [None, None]:
            return tf.compat.v1.train.SessionRunArgs(*self._asks_here)
        if method == "after_run":
            self._runs += 1
            if self._runs == self._stop_at:
                args[0].request_stop()
        return None


def record(hook: Any, reads: Any = None) -> Any:
    """Wraps a hook, so that what it sees is recorded; the hook stays as it is.

    What v1 finds by its type, the hook of `StopAfterNEvals`, can't be wrapped.

    Args:
        hook: A v1 `SessionRunHook`.
        reads: As in `RecordingHook`. Defaults to `None`.

    Returns:
        A hook to use in its place: its `events` are a list of `Event`.

    Raises:
        NotAHookError: `hook` is none.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback import HookRunner
    >>> from final_ops_callback.testing import record
    >>> hook = record(tf.compat.v1.train.StopAtStepHook(last_step=9))
    >>> with HookRunner(hook):
    ...     pass
    >>> [event.method for event in hook.events]
    ['begin', 'after_create_session', 'end']
    """
    if isinstance(hook, type) or not all(hasattr(hook, m) for m in METHODS):
        raise NotAHookError(
            f"{hook!r} is no SessionRunHook",
            "record",
            f"Give an object with the methods {', '.join(METHODS)}.",
        )
    return _Recorder(hook, reads)


def trace_v1(
    hooks: Any, build: Callable[[], Any], *, steps: int
) -> list[list[Event]]:
    """Runs hooks under the real `MonitoredSession` and records them.

    An exception of a hook goes on, as in v1. A variable that a hook fetches
    is nearly always that of before the update: v1 did not order the two.

    Args:
        hooks: A v1 `SessionRunHook`, a list of them, or a function without
            arguments that returns them (called in the graph, after `build`).
        build: Function without arguments that builds a model in the default
            graph and returns the train op.
        steps: Positive integer. How many steps there are, unless a hook or
            the data ends the run before.

    Returns:
        List of the events of each hook, as lists of `Event`.

    Raises:
        ArgumentError: `steps` is no positive integer, or `build` returns
            nothing.
        NotAHookError: One of the hooks is none.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback.testing import RecordingHook, trace_v1
    >>> def build():
    ...     weight = tf.compat.v1.get_variable("weight", initializer=4.0)
    ...     loss = tf.multiply(weight, weight, name="loss")
    ...     optimizer = tf.compat.v1.train.GradientDescentOptimizer(0.25)
    ...     return optimizer.minimize(loss)
    >>> [events] = trace_v1(RecordingHook("loss:0"), build, steps=3)
    >>> [float(e.results) for e in events if e.method == "after_run"]
    [16.0, 4.0, 1.0]
    """
    _check_count(steps, "steps")
    with tf.Graph().as_default():
        train_op = build()
        if train_op is None:
            raise ArgumentError(
                f"{build!r} returns nothing", "build", "Return the train op."
            )
        tf.compat.v1.train.get_or_create_global_step()
        made = _made(hooks)
        recorders = [
            hook if isinstance(hook, _Recorder) else record(hook)
            for hook in (made if isinstance(made, list | tuple) else [made])
        ]
        with tf.compat.v1.train.MonitoredSession(hooks=recorders) as session:
            while not session.should_stop() and steps > 0:
                session.run(train_op)
                steps -= 1
    return [recorder.events for recorder in recorders]


def differences(expected: Any, actual: Any, rtol: float = 1e-5) -> list[str]:
    """Compares two recordings.

    Args:
        expected: List of `Event`, or a list of such lists.
        actual: What is compared with it.
        rtol: Float. By how much floats may differ: relative to the value,
            and absolute for values below 1. Defaults to `1e-5`.

    Returns:
        List of strings: what differs, and where.

    Example:
    >>> from final_ops_callback.testing import Event, differences
    >>> differences([Event("end", read=1.0)], [Event("end", read=2.0)])
    ['[0].read: 1.0 is expected, 2.0 is there']
    """
    parts = _parts(expected, actual)
    if parts is None:
        if _is_close(expected, actual, rtol):
            return []
        return [f": {expected!r} is expected, {actual!r} is there"]
    return [
        f"{key}{line}"
        for key, one, other in parts
        for line in differences(one, other, rtol)
    ]


def _made(value: Any) -> Any:
    return value() if callable(value) else value


def _check_count(value: Any, where: str) -> None:
    if not isinstance(value, int) or value < 1:
        raise ArgumentError(
            f"{value!r} counts nothing", where, "Give a positive integer."
        )


def _parts(one: Any, other: Any) -> list[tuple[str, Any, Any]] | None:
    """Pairs the parts of two containers of the same kind and size."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return None
        return [(f"[{key!r}]", one[key], other[key]) for key in one]
    if not isinstance(one, list | tuple) or type(one) is not type(other):
        return None
    if len(one) != len(other):
        return None
    fields = getattr(one, "_fields", None)
    keys = [f".{f}" for f in fields or ()] or [
        f"[{i}]" for i in range(len(one))
    ]
    return list(zip(keys, one, other, strict=True))


def _is_close(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, list | tuple | Mapping) or type(one) is not type(other):
        return False
    first, second = np.asarray(one), np.asarray(other)
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    if np.issubdtype(first.dtype, np.inexact):
        return np.allclose(first, second, rtol, rtol, equal_nan=True)
    return np.array_equal(first, second)
