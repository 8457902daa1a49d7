# SPDX-License-Identifier: Apache-2.0
"""EagerSession: takes the place of `tf.compat.v1.Session`."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback._eager_mode import NO_CONTEXT
from final_ops_callback._profile import traced_into
from final_ops_callback._session.feeds import fed_arrays
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.model_links import links_of
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.resources import Resources
from final_ops_callback._tf_private import SessionInterface
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import StepTensorError
from final_ops_callback.errors import UnsupportedOpError

# Without a limit, a script whose fetches differ each time would keep them all.
_MOST_PLANS = 512

# It is kept here because a migrated script replaces the public name.
_V1_SESSION = tf.compat.v1.Session
# All open sessions, for `reset`.
_open: weakref.WeakSet[EagerSession] = weakref.WeakSet()

# A function from the names of step tensors to their current values.
StepValues = Callable[[Sequence[str]], Mapping[str, Any]]


class EagerSession(SessionInterface):
    """Runs a v1 graph on the eager runtime, where the Keras model lives.

    It is used like `tf.compat.v1.Session`. Each set of fetches is compiled
    once. In a `HookGraph`, the variables are those of a live model, so reads
    and writes reach the model immediately.

    Args:
        target: String. Only `""`, which means this process, is allowed.
            Defaults to `""`.
        graph: The `tf.Graph` to run. Defaults to the default graph.
        config: A `tf.compat.v1.ConfigProto` or `None`. It has no effect,
            because the eager runtime is configured already. Defaults to
            `None`.

    Attributes:
        values_now: Function from a list of the names of step tensors to a
            mapping with their values. It is `None` while they have no values,
            as before a step.

    Raises:
        ArgumentError: The target is not `""`.

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
        # Like a v1 session, a session that was never closed frees its own
        # resources when it is deleted. At the end of the process that is not
        # needed.
        weakref.finalize(self, self._resources.free).atexit = False
        self._plans = _Plans(self._graph, self._resources, self._links)
        self._lock = threading.RLock()
        self._closed = False
        self.values_now: StepValues | None = None
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
        """Returns the devices that operations can run on.

        Returns:
            List of objects with `name`, `device_type`, `memory_limit_bytes`
            and `incarnation`, as in v1.
        """
        # A v1 session in this process sees the devices of this process.
        with _V1_SESSION(graph=tf.Graph(), config=self._config) as session:
            return list(session.list_devices())

    @staticmethod
    def reset(
        target: str, containers: Sequence[str] | None = None, config: Any = None
    ) -> None:
        """Closes all sessions and frees their variables, as in v1.

        Args:
            target: String. Only `""`, which means this process, is allowed.
            containers: Sequence of strings or `None`. As in v1, it has no
                effect: all sessions are closed. Defaults to `None`.
            config: A `tf.compat.v1.ConfigProto` or `None`. It has no effect.

        Raises:
            ArgumentError: The target is not `""`.
        """
        _check_target(target)
        for session in list(_open):
            session._was_reset = True
            session.close()

    def as_default(self) -> contextlib.AbstractContextManager[EagerSession]:
        """Makes this the session that `Tensor.eval` and `Operation.run` use.

        As in v1, leaving the context does not close the session, and the
        default graph does not change.
        """
        # The method of v1 uses no state of its own class.
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
        """Closes the session and frees its own variables and tables."""
        with self._lock:
            if not self._closed:
                self._closed = True
                _open.discard(self)
                self._plans.clear()
                self._resources.free()

    def forget_plans(self) -> None:
        """Discards all plans, because a variable was replaced."""
        self._plans.clear()

    def run(
        self,
        fetches: Any,
        feed_dict: Mapping[Any, Any] | None = None,
        options: Any = None,
        run_metadata: Any = None,
    ) -> Any:
        """Runs operations immediately and returns the values of tensors.

        Args:
            fetches: A tensor, operation, variable, sparse tensor or name, or
                any nesting of lists, tuples, named tuples and dicts of them.
            feed_dict: Mapping from a tensor (or its name) to a value, or
                `None`. Defaults to `None`.
            options: A `tf.compat.v1.RunOptions` or `None`. Its `trace_level`
                and its `output_partition_graphs` have an effect.
            run_metadata: A `tf.compat.v1.RunMetadata` or `None`. It is filled
                with what the options ask for: the kernels of the run, the
                graphs that were executed.

        Returns:
            The values in the structure of `fetches`, as NumPy; `None` for an
            operation.

        Raises:
            RuntimeError: The session is closed.
            TypeError: A fetch or a key of the feeds has the wrong type.
            ValueError: A fetch or feed does not fit the graph.
            StepTensorError: A fetch needs a value of a training step.
            CancelledError: `reset` closed the session.
            OpError: An operation failed. As in v1, `op` is the operation in
                the graph, and the message says where it was built.
        """
        plan, fed = self.prepare(fetches, feed_dict)
        if plan.step_names and feed_dict:
            self._refuse_other_data(plan, feed_dict)
        values = self._step_values(plan) if plan.step_names else {}
        if run_metadata is None:
            return self._values(plan, fed, values)
        run_metadata.Clear()
        options = options or tf.compat.v1.RunOptions()
        if options.output_partition_graphs:
            run_metadata.partition_graphs.extend(plan.graphs())
        traced = (
            traced_into(run_metadata) if options.trace_level else NO_CONTEXT
        )
        with traced:
            return self._values(plan, fed, values)

    @staticmethod
    def _values(plan: Plan, fed: list[Any], values: Mapping[str, Any]) -> Any:
        known = plan.before(fed)
        return plan.results(known, values)

    def _refuse_other_data(
        self, plan: Plan, feed_dict: Mapping[Any, Any]
    ) -> None:
        """Refuses to fetch what the model would compute from fed data.

        v1 ran the model on them. Here, the model ran in the step.
        """
        names = {t.name: n for n, t in self._links.step_tensors.items()}
        tensors = fed_arrays(self._graph, self._links, feed_dict)
        fed = [names[t.name] for t in tensors if t.name in names]
        computed = [
            name
            for name in plan.step_names
            if not name.startswith(("features", "labels", "sample_weight"))
        ]
        if fed and computed:
            raise StepTensorError(
                f"{computed[0] + ':0'!r} was computed by the last step: a feed "
                f"of {fed[0] + ':0'!r} does not compute it anew",
                "session.run",
                "Run the model on other data in a Keras callback "
                "(model.evaluate, model.predict), or pass validation_data to "
                "fit and hooks with on='test'.",
            )

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
        """Returns a function that runs the fetches, as in v1.

        Args:
            fetches: As in `run`.
            feed_list: List or tuple of tensors or names, to which the
                positional arguments of the function are fed. Defaults to
                `None`.
            accept_options: Boolean. Whether the function takes `options` and
                `run_metadata`. As in v1, a function with a `feed_list` always
                does. Defaults to `False`.

        Returns:
            The function.

        Raises:
            TypeError: `feed_list` is not a list, or a fetch has the wrong
                type.
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
            # As in v1, a key without a value is ignored, and vice versa.
            feeds = dict(zip(keys, values, strict=False))
            return self.run(fetches, feeds, **options)

        return run

    def _callable(
        self, fetches: Any, accept_options: bool
    ) -> Callable[..., Any]:
        """Returns a function without feeds, and checks its fetches now."""
        self.prepare(fetches, None)

        def run_with_options(
            options: Any = None, run_metadata: Any = None
        ) -> Any:
            return self.run(fetches, options=options, run_metadata=run_metadata)

        def run() -> Any:
            return self.run(fetches)

        return run_with_options if accept_options else run

    def partial_run_setup(self, fetches: Any, feeds: Any = None) -> Any:
        """Raises an error, because a run can't be divided here."""
        raise UnsupportedOpError(
            "a run can't be divided into parts", "partial_run_setup", "Use run."
        )

    def partial_run(
        self, handle: Any, fetches: Any, feed_dict: Any = None
    ) -> Any:
        """Raises an error, because a run can't be divided here."""
        raise UnsupportedOpError(
            "a run can't be divided into parts", "partial_run", "Use run."
        )

    def prepare(
        self, fetches: Any, feed_dict: Mapping[Any, Any] | None
    ) -> tuple[Plan, list[Any]]:
        """Checks fetches and feeds before anything runs.

        Args:
            fetches: As in `run`.
            feed_dict: As in `run`.

        Returns:
            Pair of the plan and the fed values as arrays, in the order of the
            plan.
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


class _Plans:
    """Finds the plan of some fetches and feeds, or makes it.

    Args:
        graph: The graph.
        resources: The `Resources` of the session.
        links: The `ModelLinks` of the graph.
    """

    def __init__(
        self, graph: tf.Graph, resources: Resources, links: ModelLinks
    ) -> None:
        self._graph = graph
        self._resources = resources
        self._links = links
        self._made: dict[Any, tuple[Plan, list[Any]]] = {}
        self._lock = threading.RLock()

    def plan(self, fetches: Any, feeds: list[tf.Tensor]) -> Plan:
        """Returns the plan for a structure of fetches and some feeds.

        Args:
            fetches: The structure, as `Session.run` takes it.
            feeds: List of the tensors that are fed, sorted by name.
        """
        leaves: list[Any] = []
        key = _structure_key(fetches, leaves), tuple(t.name for t in feeds)
        found = self._made.get(key)  # nearly always there, so no lock is taken
        if found is None:
            found = self._add(key, fetches, feeds, leaves)
        return found[0]

    def clear(self) -> None:
        """Discards all plans."""
        with self._lock:
            self._made.clear()

    def _add(
        self, key: Any, fetches: Any, feeds: list[tf.Tensor], leaves: list[Any]
    ) -> tuple[Plan, list[Any]]:
        with self._lock:
            if key not in self._made:
                while len(self._made) >= _MOST_PLANS:
                    self._made.pop(next(iter(self._made)))
                with self._graph.as_default():
                    plan = Plan(
                        self._graph,
                        fetches,
                        feeds,
                        self._resources,
                        self._links,
                    )
                # The leaves are kept, because the key holds only while they
                # are alive, and their container may change.
                self._made[key] = plan, leaves
            return self._made[key]


def _structure_key(fetches: Any, leaves: list[Any]) -> Any:
    """Returns the key under which the plan for some fetches is cached.

    Args:
        fetches: A structure of fetches.
        leaves: List to which the leaves are appended. The key identifies them
            by their ids, so it is valid only while they are alive.

    Returns:
        A hashable value. It is equal for structures with the same containers
        and the same leaves; strings are compared by value.
    """
    if isinstance(fetches, str):
        return fetches
    if isinstance(fetches, list | tuple):
        parts = [_structure_key(part, leaves) for part in fetches]
        return type(fetches), tuple(parts)
    if isinstance(fetches, Mapping):
        parts = [_structure_key(part, leaves) for part in fetches.values()]
        return type(fetches), tuple(fetches), tuple(parts)
    leaves.append(fetches)
    return id(fetches)


def _check_target(target: str) -> None:
    if target:
        raise ArgumentError(
            "there is no other process to connect to",
            f"target={target!r}",
            "Leave the target empty.",
        )
