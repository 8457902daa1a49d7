# SPDX-License-Identifier: Apache-2.0
"""EagerSession: stands where `tf.compat.v1.Session` stood."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback._profile import traced_into
from final_ops_callback._session.feeds import fed_arrays
from final_ops_callback._session.model_links import links_of
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.plans import Plans
from final_ops_callback._session.resources import Resources
from final_ops_callback._tf_private import SessionInterface
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import StepTensorError
from final_ops_callback.errors import UnsupportedOpError

_NOTHING = contextlib.nullcontext()
# Who migrates a script may put this class in the place of that one.
_V1_SESSION = tf.compat.v1.Session
# All sessions that are open, for `reset`.
_open: weakref.WeakSet[EagerSession] = weakref.WeakSet()

# From the names of step tensors to their values at this moment.
ValuesNow = Callable[[Sequence[str]], Mapping[str, Any]]


class EagerSession(SessionInterface):
    """Runs a v1 graph on the eager runtime, where the Keras model lives.

    It is used as `tf.compat.v1.Session` is. Each set of fetches is compiled
    once. On a `HookGraph`, the variables are those of a live model: reads
    and writes go to it at once.

    Args:
        target: String. Only `""`, this process. Defaults to `""`.
        graph: The `tf.Graph` to run. Defaults to the default graph.
        config: A `tf.compat.v1.ConfigProto` or `None`. Kept, not used: the
            eager runtime has been configured already. Defaults to `None`.

    Attributes:
        values_now: Function from a list of the names of step tensors to a
            mapping with their values, while a session may be asked for them;
            `None` while it may not.

    Raises:
        ArgumentError: Another target.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback import EagerSession
    >>> with tf.Graph().as_default(), EagerSession() as session:
    ...     x = tf.compat.v1.placeholder(tf.float32, [])
    ...     print(session.run(x * 2.0, feed_dict={x: 21.0}))
    42.0
    """

    def __init__(
        self,
        target: str = "",
        graph: tf.Graph | None = None,
        config: Any = None,
    ) -> None:
        _check_target(target)
        if graph is not None and not isinstance(graph, tf.Graph):
            raise TypeError(
                f"Argument `graph` must be a tf.Graph, but got "
                f"{type(graph).__name__!r}"
            )
        self._graph = graph or tf.compat.v1.get_default_graph()
        self._config = config
        self._links = links_of(self._graph)
        self._resources = Resources(self._graph, self._links)
        # As a v1 session, one that nobody closed frees what is its own when
        # it is gone; not at the end of the process, which frees all.
        weakref.finalize(self, self._resources.free).atexit = False
        self._plans = Plans(self._graph, self._resources, self._links)
        self._lock = threading.RLock()
        self._closed = False
        self.values_now: ValuesNow | None = None
        self._was_reset = False
        self._contexts: contextlib.ExitStack | None = None
        _open.add(self)

    @property
    def graph(self) -> tf.Graph:
        """The graph that this session runs."""
        return self._graph

    @property
    def graph_def(self) -> Any:
        """The graph as a `GraphDef`."""
        return self._graph.as_graph_def()

    @property
    def sess_str(self) -> bytes:
        """The target that a v1 session would connect to."""
        return b""

    def list_devices(self) -> list[Any]:
        """Lists the devices that operations can run on.

        Returns:
            List of objects with `name`, `device_type`, `memory_limit_bytes`
            and `incarnation`, as v1's.
        """
        # A session of v1 in this process has the devices of this process.
        with _V1_SESSION(graph=tf.Graph(), config=self._config) as session:
            return list(session.list_devices())

    @staticmethod
    def reset(
        target: str, containers: Sequence[str] | None = None, config: Any = None
    ) -> None:
        """Closes all sessions, as v1's did; their variables are freed.

        Args:
            target: String. Only `""`, this process.
            containers: Sequence of strings or `None`. As in v1, it makes no
                difference: all sessions are closed. Defaults to `None`.
            config: A `tf.compat.v1.ConfigProto` or `None`. Not used.

        Raises:
            ArgumentError: Another target.
        """
        _check_target(target)
        for session in list(_open):
            session._was_reset = True
            session.close()

    def as_default(self) -> contextlib.AbstractContextManager[EagerSession]:
        """Makes this the session of `Tensor.eval` and `Operation.run`.

        As in v1, leaving the context does not close the session, and the
        default graph stays what it was.
        """
        # The method of v1 needs nothing of its own class.
        return _V1_SESSION.as_default(self)

    def __enter__(self) -> EagerSession:
        if self._contexts is not None:
            raise RuntimeError(
                "Session context managers are not re-entrant. Use "
                "`Session.as_default()` if you want to enter a session "
                "multiple times."
            )
        self._contexts = contextlib.ExitStack()
        self._contexts.enter_context(self._graph.as_default())
        self._contexts.enter_context(self.as_default())
        return self

    def __exit__(self, *exception: Any) -> None:
        contexts, self._contexts = self._contexts, None
        try:
            if contexts is not None:
                contexts.__exit__(*exception)
        finally:
            self.close()

    def close(self) -> None:
        """Ends the session; variables and tables of its own are freed."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _open.discard(self)
                self._plans.clear()
                self._resources.free()

    def forget_plans(self) -> None:
        """Plans anew what is run from now on, because a variable changed."""
        self._plans.clear()

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Runs operations and returns the values of tensors, at once.

        Args:
            fetches: A tensor, operation, variable, sparse tensor or name, or
                any nesting of lists, tuples, named tuples and dicts of them.
            feed_dict: Mapping from a tensor (or its name) to a value, or
                `None`. Defaults to `None`.
            options: A `tf.compat.v1.RunOptions` or `None`. Its `trace_level`
                and its `output_partition_graphs` have an effect.
            run_metadata: A `tf.compat.v1.RunMetadata` or `None`. Filled with
                what the options ask for: the kernels of the run, the graphs
                that were executed.

        Returns:
            The values in the structure of `fetches`, as NumPy; `None` for an
            operation.

        Raises:
            RuntimeError: The session is closed.
            TypeError: A fetch or a key of the feeds is of another kind.
            ValueError: A fetch or feed does not fit the graph.
            StepTensorError: A fetch needs a value of a training step.
            CancelledError: `reset` has closed the session.
            OpError: An operation fails. As in v1, its `op` is the operation
                of the graph, and its message says where it was built.
        """
        plan, fed = self.prepare(fetches, feed_dict)
        values = self._step_values(plan) if plan.step_names else {}
        if run_metadata is None:
            return self._values(plan, fed, values)
        run_metadata.Clear()
        options = options or tf.compat.v1.RunOptions()
        if options.output_partition_graphs:
            run_metadata.partition_graphs.extend(plan.graphs())
        traced = traced_into(run_metadata) if options.trace_level else _NOTHING
        with traced:
            return self._values(plan, fed, values)

    @staticmethod
    def _values(plan: Plan, fed: list[Any], values: Mapping[str, Any]) -> Any:
        known = plan.before(fed)
        return plan.results(plan.after(known, values) if values else known)

    def _step_values(self, plan: Plan) -> Mapping[str, Any]:
        if self.values_now is None:
            name = plan.step_names[0]
            raise StepTensorError(
                f"{name!r} has a value only during a step, and after it",
                "session.run",
                f"Ask for it in before_run: SessionRunArgs({name + ':0'!r}).",
            )
        return self.values_now(plan.step_names)

    def make_callable(
        self,
        fetches: Any,
        feed_list: Sequence[Any] | None = None,
        accept_options: bool = False,
    ) -> Callable[..., Any]:
        """Returns a function that runs the fetches, as v1's does.

        Args:
            fetches: As in `run`.
            feed_list: List or tuple of tensors or names: what the arguments
                of the function are fed to, by their places. Defaults to
                `None`.
            accept_options: Boolean. Whether the function takes `options` and
                `run_metadata`. As in v1, one with a `feed_list` always does.
                Defaults to `False`.

        Returns:
            The function.

        Raises:
            TypeError: The feeds are no list, or a fetch is of another kind.
        """
        if feed_list is None:
            return self._callable(fetches, accept_options)
        if not isinstance(feed_list, list | tuple):
            raise TypeError(
                "Argument `feed_list` must be a list or tuple. Received: "
                f"feed_list={feed_list}"
            )
        keys = list(feed_list)

        def run(*values: Any, **options: Any) -> Any:
            # As in v1, a key without a value is not fed, and the other way.
            feeds = dict(zip(keys, values, strict=False))
            return self.run(fetches, feeds, **options)

        return run

    def _callable(
        self, fetches: Any, accept_options: bool
    ) -> Callable[..., Any]:
        """Returns a function that is fed nothing; checks the fetches now."""
        self.prepare(fetches, None)

        def run_with_options(
            options: Any = None, run_metadata: Any = None
        ) -> Any:
            return self.run(fetches, options=options, run_metadata=run_metadata)

        def run() -> Any:
            return self.run(fetches)

        return run_with_options if accept_options else run

    def partial_run_setup(self, fetches: Any, feeds: Any = None) -> Any:
        """Refused: a run here is whole."""
        raise UnsupportedOpError(
            "a run can't be made in parts", "partial_run_setup", "Use run."
        )

    def partial_run(
        self, handle: Any, fetches: Any, feed_dict: Any = None
    ) -> Any:
        """Refused: a run here is whole."""
        raise UnsupportedOpError(
            "a run can't be made in parts", "partial_run", "Use run."
        )

    def prepare(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None
    ) -> tuple[Plan, list[Any]]:
        """Checks fetches and feeds, before anything runs.

        Args:
            fetches: As in `run`.
            feed_dict: As in `run`.

        Returns:
            Pair of the plan and the fed values as arrays, in its order.
        """
        if self._was_reset:
            raise tf.errors.CancelledError(
                None, None, "Session has been closed."
            )
        if self._closed:
            raise RuntimeError("Attempted to use a closed Session.")
        if self._graph.version == 0:
            raise RuntimeError(
                "The Session graph is empty. Add operations to the graph "
                "before calling run()."
            )
        if feed_dict is not None and not isinstance(feed_dict, Mapping):
            raise TypeError(
                "Argument `feed_dict` must be a mapping, but got "
                f"{type(feed_dict).__name__!r}"
            )
        feeds = {}
        if feed_dict:
            feeds = fed_arrays(self._graph, self._links, feed_dict)
        ordered = sorted(feeds, key=lambda tensor: tensor.name)
        plan = self._plans.plan(fetches, ordered)
        return plan, [feeds[tensor] for tensor in ordered]


def _check_target(target: str) -> None:
    if target:
        raise ArgumentError(
            "there is no other process to connect to",
            f"target={target!r}",
            "Leave the target empty.",
        )
