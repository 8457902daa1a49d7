# SPDX-License-Identifier: Apache-2.0
"""EagerSession: stands where `tf.compat.v1.Session` stood."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# Nothing public says what a session is: Saver.save and QueueRunner check for
# this type, and the table says how composite tensors are fed
# (tests/test_private_api.py notices a change).
from tensorflow.python.client.session import _REGISTERED_EXPANSIONS
from tensorflow.python.client.session import SessionInterface

from final_ops_callback._plan import Plan
from final_ops_callback._plans import Plans
from final_ops_callback._resources import Resources
from final_ops_callback._trace import traced_into
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import StepTensorError
from final_ops_callback.errors import UnsupportedOpError

_NO_CONTEXT = contextlib.nullcontext()


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
        if target:
            raise ArgumentError(
                "there is no other process to connect to",
                f"target={target!r}",
                "Leave the target empty.",
            )
        if graph is not None and not isinstance(graph, tf.Graph):
            raise TypeError(
                f"Argument `graph` must be a tf.Graph, but got "
                f"{type(graph).__name__!r}"
            )
        self._graph = graph or tf.compat.v1.get_default_graph()
        self._config = config
        self._resources = Resources(self._graph)
        # As a v1 session, one that nobody closed frees what is its own when
        # it is gone; not at the end of the process, which frees all.
        weakref.finalize(self, self._resources.free).atexit = False
        self._plans = Plans(self._graph, self._resources)
        self._lock = threading.RLock()
        self._closed = False
        self._contexts: contextlib.ExitStack | None = None

    @property
    def graph(self) -> tf.Graph:
        """The graph that this session runs."""
        return self._graph

    @property
    def graph_def(self) -> Any:
        """The graph as a `GraphDef`."""
        return self._graph.as_graph_def()

    @property
    def sess_str(self) -> str:
        """The target that a v1 session would connect to."""
        return ""

    def as_default(self) -> contextlib.AbstractContextManager[EagerSession]:
        """Makes this the session of `Tensor.eval` and `Operation.run`.

        As in v1, leaving the context does not close the session, and the
        default graph stays what it was.
        """
        # The method of v1 needs nothing of its own class.
        return tf.compat.v1.Session.as_default(self)

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
                self._plans.clear()
                self._resources.free()

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
            options: A `tf.compat.v1.RunOptions` or `None`. Only its
                `trace_level` has an effect.
            run_metadata: A `tf.compat.v1.RunMetadata` or `None`. Filled with
                the kernels of the run if `FULL_TRACE` is asked for.

        Returns:
            The values in the structure of `fetches`, as NumPy; `None` for an
            operation.

        Raises:
            RuntimeError: The session is closed.
            TypeError: A fetch or a key of the feeds is of another kind.
            ValueError: A fetch or feed does not fit the graph.
            StepTensorError: A fetch needs a value of a training step.
        """
        plan, fed = self.prepare(fetches, feed_dict)
        if plan.step_names:
            raise StepTensorError(
                f"{plan.step_names[0]!r} has a value only during a step",
                "session.run",
                "Ask for it in before_run: "
                f"SessionRunArgs({plan.step_names[0] + ':0'!r}).",
            )
        wants_trace = (
            options is not None
            and run_metadata is not None
            and options.trace_level == tf.compat.v1.RunOptions.FULL_TRACE
        )
        with traced_into(run_metadata) if wants_trace else _NO_CONTEXT:
            return plan.results(plan.before(fed))

    def make_callable(
        self,
        fetches: Any,
        feed_list: Sequence[Any] | None = None,
        accept_options: bool = False,
    ) -> Callable[..., Any]:
        """Returns a function that runs the fetches, as v1's does.

        Args:
            fetches: As in `run`.
            feed_list: Sequence of tensors or names: what the arguments of
                the function are fed to. Defaults to `None`.
            accept_options: Boolean. Whether the function takes `options` and
                `run_metadata`. Defaults to `False`.
        """
        keys = list(feed_list or ())

        def run(*values: Any, **options: Any) -> Any:
            if options and not accept_options:
                raise TypeError(f"unexpected arguments {sorted(options)}")
            feeds = dict(zip(keys, values, strict=True))
            return self.run(fetches, feeds, **options)

        return run

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
        feeds = dict(self._feeds(feed_dict)) if feed_dict else {}
        ordered = sorted(feeds, key=lambda tensor: tensor.name)
        plan = self._plans.plan(fetches, ordered)
        return plan, [feeds[tensor] for tensor in ordered]

    def _feeds(
        self, feed_dict: Mapping[Any, Any]
    ) -> Iterator[tuple[tf.Tensor, Any]]:
        # A feed asks the model for nothing: it makes no step tensor.
        find = getattr(
            self._graph, "existing_element", self._graph.as_graph_element
        )
        for key, value in _flat_items(feed_dict):
            for part, part_value in _parts(key, value):
                try:
                    tensor = find(
                        part, allow_tensor=True, allow_operation=False
                    )
                except Exception as error:
                    raise TypeError(
                        f"Cannot interpret feed_dict key as Tensor: "
                        f"{error.args[0]}"
                    ) from error
                yield tensor, _fed_array(self._graph, tensor, part_value)


def _flat_items(feed_dict: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in feed_dict.items():
        if isinstance(key, list | tuple) and not hasattr(key, "graph"):
            tf.nest.assert_same_structure(key, value, check_types=False)
            yield from zip(
                tf.nest.flatten(key), tf.nest.flatten(value), strict=True
            )
        else:
            yield key, value


def _parts(key: Any, value: Any) -> Any:
    for kind, _, feed, _ in _REGISTERED_EXPANSIONS:
        if isinstance(key, kind) and feed is not None:
            return feed(key, value)
    raise TypeError(
        f"{key} in argument `feed_dict` has invalid type {type(key).__name__!r}"
    )


def _fed_array(graph: tf.Graph, tensor: tf.Tensor, value: Any) -> np.ndarray:
    if isinstance(value, tf.Tensor):
        raise TypeError(
            "The value of a feed cannot be a tf.Tensor object. Acceptable "
            "feed values include Python scalars, strings, lists and numpy "
            f"ndarrays. The tensor was {value}, fed to {tensor.name}."
        )
    dtype = tensor.dtype.as_numpy_dtype
    if isinstance(value, int) and np.asarray(value).astype(dtype) != value:
        raise TypeError(
            f"Type of feed value {value} with type {type(value)} is not "
            f"compatible with Tensor type {dtype}. Try explicitly setting the "
            "type of the feed tensor to a larger type (e.g. int64)."
        )
    array = np.asarray(value, dtype)
    if not tensor.shape.is_compatible_with(array.shape):
        raise ValueError(
            f"Cannot feed value of shape {array.shape} for Tensor "
            f"{tensor.name}, which has shape {tensor.shape}"
        )
    if not graph.is_feedable(tensor):
        raise ValueError(f"Tensor {tensor.name} may not be fed.")
    return array
