# SPDX-License-Identifier: Apache-2.0
"""Combines the fetches and feeds of all hooks for one step into one run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._eager import eager_mode
from final_ops_callback._hooks import foreign
from final_ops_callback._names import nearest
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import FeedConflictError
from final_ops_callback.errors import StepTensorError

logger = logging.getLogger("final_ops_callback")


class StepRequests:
    """The fetches, feeds and options of all hooks for one step.

    Args:
        session: The session that runs them.
        links: The `ModelLinks` of its graph.

    Attributes:
        options: The `RunOptions` of all hooks, merged as v1 merged them.
        run_metadata: The `RunMetadata` that the step fills.
    """

    def __init__(self, session: EagerSession, links: ModelLinks) -> None:
        self.options = tf.compat.v1.RunOptions()
        self.run_metadata = tf.compat.v1.RunMetadata()
        self._session = session
        self._links = links
        self._fetches: dict[int, Any] = {}
        self._feeds: dict[Any, Any] = {}
        self._fed_by: dict[Any, str] = {}
        self._names: dict[int, str] = {}
        self._plan: Plan | None = None
        self._fed: list[Any] = []
        self._known: dict[str, Any] = {}

    def add(self, index: int, name: str, request: Any) -> None:
        """Adds what one hook returned from `before_run`.

        Args:
            index: Integer. The place of the hook in the list.
            name: String. The name of the hook, for errors.
            request: A `SessionRunArgs` or `None`.

        Raises:
            FeedConflictError: Another hook already feeds the same tensor.
        """
        if request is None:
            return
        self._names[index] = name
        if request.fetches is not None:
            self._fetches[index] = request.fetches
        for key, value in (request.feed_dict or {}).items():
            if key in self._feeds:
                raise FeedConflictError(
                    f"Same tensor is fed by two hooks. Conflict(s): {[key]}",
                    f"before_run of {self._fed_by[key]} and {name}",
                    "Let one of them feed it.",
                )
            self._feeds[key] = value
            self._fed_by[key] = name
        if request.options:
            _merge_options(self.options, request.options)

    @property
    def step_names(self) -> list[str]:
        """The names of the step tensors that the step has to deliver."""
        return self._plan.step_names if self._plan else []

    @property
    def wants_trace(self) -> bool:
        """Whether a hook asked for a trace of the step."""
        return self.options.trace_level > tf.compat.v1.RunOptions.NO_TRACE

    def prepare(self) -> None:
        """Maps the fetches and feeds of all hooks, before anything runs.

        The graph has to be the default graph: only then can a variable be the
        key of a dict. `add` and `results` need it, too.
        """
        if not self._fetches and not self._feeds:
            return
        try:
            plan, fed = self._session.prepare(self._fetches, self._feeds)
        except Exception as error:
            self._name_the_hook(error)
            raise
        for _, live in self._step_inputs(plan):
            live.check_write()
        self._plan, self._fed = plan, fed
        if self.options.output_partition_graphs:
            self.run_metadata.partition_graphs.extend(plan.graphs())

    def before(self, warned: set[str]) -> None:
        """Runs the fetches that do not depend on the step.

        Args:
            warned: Set of names of the feeds that a warning was logged for;
                more are added here.
        """
        if self._plan is None:
            return
        self._known = self._noted(self._plan.before, self._fed)
        if self._plan.feed_names:
            self._warn_of_unused(self._plan, warned)

    def again(self) -> None:
        """Runs these fetches again, if the step comes later than expected.

        Nothing is written twice: fetches that write keep their values.
        """
        if self._plan is not None and self._plan.is_pure:
            self._known = self._noted(self._plan.before, self._fed)

    @contextlib.contextmanager
    def during_step(self) -> Iterator[None]:
        """Sets the values that are fed to the step itself, during the step."""
        overridden = []
        with eager_mode():
            for name, live in self._step_inputs(self._plan):
                variable = live.variable
                overridden.append((variable, variable.read_value()))
                variable.assign(self._known[name])
        try:
            yield
        finally:
            with eager_mode():
                for variable, value in overridden:
                    variable.assign(value)

    @property
    def feeds_the_step(self) -> bool:
        """Whether `during_step` sets anything."""
        return bool(self._step_inputs(self._plan))

    def after(self, step_values: Mapping[str, Any]) -> None:
        """Runs the fetches that depend on the step.

        Args:
            step_values: Mapping from the names of step tensors to values.

        Raises:
            StepTensorError: `step_values` lacks a step tensor that is needed.
        """
        if self._plan is None:
            return
        known = self._links.step_specs.known
        for name in self._plan.step_names:
            if name not in step_values:
                raise StepTensorError(
                    f"the step delivers nothing called {name!r}",
                    f"fetch {name + ':0'!r} of {self._asking_for(name)}",
                    nearest(name, {*step_values, *known()}),
                )
        self._known = self._noted(self._plan.after, self._known, step_values)

    def results(self) -> dict[int, Any]:
        """Returns the values of the fetches of each hook, by its index.

        The graph has to be the default graph, as in `prepare`.
        """
        return self._plan.results(self._known) if self._plan else {}

    def _step_inputs(self, plan: Plan | None) -> list[tuple[str, LiveVariable]]:
        if not plan or not plan.feed_names:
            return []
        inputs = self._links.step_inputs
        return [
            (name, inputs[name]) for name in plan.feed_names if name in inputs
        ]

    def _warn_of_unused(self, plan: Plan, warned: set[str]) -> None:
        inputs = self._links.step_inputs
        for name in plan.feed_names:
            if name in inputs or name in plan.used_feeds or name in warned:
                continue
            warned.add(name)
            logger.warning(
                "The feed of %r is not used by any fetch. A Keras training "
                "step can't be fed: only its learning_rate:0 can be set.",
                name,
            )

    def _noted(self, run: Callable[..., Any], *args: Any) -> Any:
        """Calls a function; adds to an exception which hooks' fetches ran."""
        try:
            return run(*args)
        except Exception as error:
            names = sorted(set(self._names.values()))
            error.add_note(f"raised by the fetches or feeds of {names}")
            raise

    def _name_the_hook(self, error: Exception) -> None:
        """Adds to an error which hook's fetches can't be mapped."""
        graph = self._session.graph
        for index, fetches in self._fetches.items():
            try:
                self._session.prepare(fetches, None)
            except Exception:
                where = f"before_run of {self._names[index]}"
                foreign.explain(error, where, fetches, graph)
                error.add_note(
                    f"raised by the fetches that {self._names[index]} "
                    f"returned from before_run: {fetches!r}"
                )
                return
        feeding = sorted(self._fed_by.values())
        where = f"feeds from before_run of {' and '.join(set(feeding))}"
        foreign.explain(error, where, list(self._feeds), graph)
        error.add_note(f"raised by the feeds of {feeding}")

    def _asking_for(self, name: str) -> str:
        with self._session.graph.as_default():
            for index, fetches in self._fetches.items():
                plan, _ = self._session.prepare(fetches, None)
                if name in plan.step_names:
                    return self._names[index]
        return "a hook"


def _merge_options(options: Any, incoming: Any) -> None:
    """Merges run options: the larger number, either flag, all watches.

    This is how v1 merged them.
    """
    for field in ("trace_level", "timeout_in_ms", "inter_op_thread_pool"):
        larger = max(getattr(options, field), getattr(incoming, field))
        setattr(options, field, larger)
    for field in (
        "output_partition_graphs",
        "report_tensor_allocations_upon_oom",
    ):
        either = getattr(options, field) or getattr(incoming, field)
        setattr(options, field, either)
    debug = options.debug_options
    debug.debug_tensor_watch_opts.extend(
        incoming.debug_options.debug_tensor_watch_opts
    )
    debug.reset_disk_byte_usage = (
        debug.reset_disk_byte_usage
        or incoming.debug_options.reset_disk_byte_usage
    )
