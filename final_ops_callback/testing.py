# SPDX-License-Identifier: Apache-2.0
"""Provides helpers for tests of v1 hooks, with the original as a reference.

`RecordingHook` fetches, feeds, stops or raises as configured, and records its
calls. `record` wraps an existing hook and records its calls. `trace_v1` runs
hooks under the real `MonitoredSession`, and `differences` compares two
recordings.
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
        results: The values that `after_run` got, in the structure of the
            fetches.
        read: The result of `session.run(reads)` when the method was called.
            It is `None` in `begin`, which does not have a session.
        stop: Boolean. Whether a stop is requested when the method returns.
        raised: String or `None`. The type of the exception that it raised.
    """

    method: str
    results: Any = None
    read: Any = None
    stop: bool = False
    raised: str | None = None


class _Recorder(tf.compat.v1.train.SessionRunHook):
    """A hook that forwards each call to another hook and records it."""

    def __init__(self, hook: Any, reads: Any = None) -> None:
        self.hook = hook
        self.events: list[Event] = []
        self._reads = reads

    def begin(self) -> None:
        self._call("begin")
        # The reads are made last, so that they can use what the hook built.
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
    """A v1 hook that acts as configured and records its calls.

    Args:
        fetches: The fetches that `before_run` returns, as in `session.run`,
            or a function without arguments that returns them. The function is
            called in `begin` and may build operations. Defaults to `None`.
        feed_dict: Mapping of the feeds of each run, or a function that returns
            it. Defaults to `None`.
        reads: The fetches that are read by `session.run` whenever a method is
            called, or a function that returns them. Defaults to `None`.
        stop_at: Integer. The number of the run after which the hook requests a
            stop. Defaults to `None`.
        raises: Mapping from the name of a method to the exception that the
            method raises. Defaults to `None`.

    Attributes:
        events: List of `Event`, the oldest first.

    Raises:
        ArgumentError: `stop_at` is not a positive integer, or `raises` does
            not map methods of a hook to exceptions.

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
    """Wraps a hook without changing it, and records its calls.

    The hook of `StopAfterNEvals` can't be wrapped, because v1 finds it by its
    type.

    Args:
        hook: A v1 `SessionRunHook`.
        reads: As in `RecordingHook`. Defaults to `None`.

    Returns:
        A hook to use instead. Its attribute `events` is a list of `Event`.

    Raises:
        NotAHookError: `hook` is not a v1 hook.

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
            f"{hook!r} is not a SessionRunHook",
            "record",
            f"Give an object with the methods {', '.join(METHODS)}.",
        )
    return _Recorder(hook, reads)


def trace_v1(
    hooks: Any, build: Callable[[], Any], *, steps: int
) -> list[list[Event]]:
    """Runs hooks under the real `MonitoredSession` and records them.

    An exception of a hook is not caught. A variable that a hook fetches nearly
    always has its value from before the update, although v1 did not define the
    order.

    Args:
        hooks: A v1 `SessionRunHook`, a list of them, or a function without
            arguments that returns them (called in the graph, after `build`).
        build: Function without arguments that builds a model in the default
            graph and returns the train op.
        steps: Positive integer. The number of steps, unless a hook or the data
            ends the run earlier.

    Returns:
        List of the events of each hook, as lists of `Event`.

    Raises:
        ArgumentError: `steps` is not a positive integer, or `build` returns
            `None`.
        NotAHookError: One of the hooks is not a v1 hook.

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
    """Compares two recordings and describes how they differ.

    Args:
        expected: List of `Event`, or a list of such lists.
        actual: The recording to compare with it.
        rtol: Float. The tolerance for floats: relative to the value, and
            absolute for values below 1. Defaults to `1e-5`.

    Returns:
        List of strings, one for each difference, with its place.

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
            f"{value!r} is not a count", where, "Give a positive integer."
        )


def _parts(one: Any, other: Any) -> list[tuple[str, Any, Any]] | None:
    """Returns the paired parts of two containers of one type and size."""
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
