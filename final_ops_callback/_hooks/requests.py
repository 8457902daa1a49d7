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

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._hooks import foreign
from final_ops_callback._hooks.calls import name_of
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
        step_names: List of the names of the step tensors that the step has to
            deliver.
        feeds_the_step: Boolean. Whether `during_step` sets anything.
        wants_trace: Boolean. Whether a hook asked for a trace of the step.
        is_pending: Boolean. Whether `before` has still to be called.
    """

    def __init__(self, session: EagerSession, links: ModelLinks) -> None:
        self.options = tf.compat.v1.RunOptions()
        self.run_metadata = tf.compat.v1.RunMetadata()
        self._session = session
        self._links = links
        self._fetches: dict[int, Any] = {}
        self._feeds: dict[Any, Any] = {}
        self._fed_by: dict[Any, str] = {}
        self._hooks: dict[int, Any] = {}
        self.step_names: list[str] = []
        self.feeds_the_step = False
        self.wants_trace = False
        self.is_pending = False
        self._plan: Plan | None = None
        self._fed: list[Any] = []
        self._known: dict[str, Any] = {}
        self._late: Mapping[str, Any] | None = None

    def add(self, index: int, hook: Any, request: Any) -> None:
        """Adds what one hook returned from `before_run`.

        Args:
            index: Integer. The place of the hook in the list.
            hook: The hook, for errors.
            request: A `SessionRunArgs`.

        Raises:
            FeedConflictError: Another hook already feeds the same tensor.
        """
        self._hooks[index] = hook
        if request.fetches is not None:
            self._fetches[index] = request.fetches
        for key, value in (request.feed_dict or {}).items():
            if key in self._feeds:
                raise FeedConflictError(
                    f"Same tensor is fed by two hooks. Conflict(s): {[key]}",
                    f"before_run of {self._fed_by[key]} and {name_of(hook)}",
                    "Let one of them feed it.",
                )
            self._feeds[key] = value
            self._fed_by[key] = name_of(hook)
        if request.options:
            _merge_options(self.options, request.options)
            no_trace = tf.compat.v1.RunOptions.NO_TRACE
            self.wants_trace = self.options.trace_level > no_trace

    def prepare(self, warned: set[str], may_join: bool = False) -> None:
        """Runs the fetches that do not depend on the step, or lets them wait.

        All fetches and feeds are mapped before anything runs. The graph has
        to be the default graph: only then can a variable be the key of a dict.
        `add` needs it, too.

        Args:
            warned: Set of names of the feeds that a warning was logged for;
                more are added here.
            may_join: Boolean. Whether the call of the step may run them.
                Defaults to `False`.
        """
        if not self._fetches and not self._feeds:
            return
        try:
            plan, fed = self._session.prepare(self._fetches, self._feeds)
        except Exception as error:
            self._name_the_hook(error)
            raise
        if plan.feed_names:
            inputs = self._step_inputs(plan)
            for _, live in inputs:
                live.check_write()
            self.feeds_the_step = bool(inputs)
        self._plan, self._fed = plan, fed
        self.step_names = plan.step_names
        if self.options.output_partition_graphs:
            self.run_metadata.partition_graphs.extend(plan.graphs())
        self._run_or_wait(plan, may_join)
        if plan.feed_names:
            self._warn_of_unused(plan, warned)

    def before(self) -> None:
        """Runs the fetches that do not depend on the step, if any wait."""
        if self._plan is not None and self.is_pending:
            self._known = self._noted(self._plan.before, self._fed)
            self.is_pending = False

    def again(self, may_join: bool = False) -> None:
        """Runs these fetches again, if the step comes later than expected.

        Nothing has its effect twice: what has effects keeps its value.

        Args:
            may_join: As in `prepare`.
        """
        plan = self._plan
        if plan is None:
            return
        if plan.is_pure or self.is_pending:
            self._run_or_wait(plan, may_join)
        else:
            self._known = self._noted(plan.again, self._known)

    def _run_or_wait(self, plan: Plan, may_join: bool) -> None:
        self.is_pending = True
        if not (may_join and plan.can_join) or self.wants_trace:
            self.before()

    @property
    def plan(self) -> Plan | None:
        """The `Plan` of the fetches; `None` if there are none."""
        return self._plan

    def receive(
        self, known: dict[str, Any], late: Mapping[str, Any] | None
    ) -> None:
        """Takes the values of fetches that the call of the step has run.

        Args:
            known: What `Plan.before` returns.
            late: Mapping with the values of the fetches that depend on the
                step, or `None` if they were not run.
        """
        self._known, self._late = known, late
        self.is_pending = False

    def raise_own(self, error: tf.errors.OpError) -> None:
        """Raises the error of a fetch, if one has made the step's call fail.

        Args:
            error: The error that the call of the step has raised.
        """

        def fail() -> None:
            own = self._plan.own_error(error) if self._plan else None
            if own is not None:
                raise own from None

        self._noted(fail)

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

    def results(
        self, step_values: Mapping[str, Any], is_read: bool = True
    ) -> dict[int, Any]:
        """Runs the fetches that depend on the step, and returns all values.

        Args:
            step_values: Mapping from the names of step tensors to values.
            is_read: Boolean. Whether a hook has an `after_run` that reads the
                values. Defaults to `True`.

        Returns:
            Dict from the indices of the hooks to the values of their fetches;
            an empty one if nobody reads them.

        Raises:
            StepTensorError: `step_values` lacks a step tensor that is needed.
        """
        if self._plan is None:
            return {}
        for name in self.step_names:
            if name not in step_values:
                known = self._links.step_specs.known()
                raise StepTensorError(
                    f"the step delivers nothing called {name!r}",
                    f"fetch {name + ':0'!r} of {self._asking_for(name)}",
                    nearest(name, {*step_values, *known}),
                )
        found = self._noted(
            self._plan.results, self._known, step_values, is_read, self._late
        )
        return found or {}

    def _step_inputs(self, plan: Plan | None) -> list[tuple[str, LiveVariable]]:
        if plan is None:
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
            names = sorted(set(map(name_of, self._hooks.values())))
            error.add_note(f"raised by the fetches or feeds of {names}")
            raise

    def _name_the_hook(self, error: Exception) -> None:
        """Adds to an error which hook's fetches can't be mapped."""
        graph = self._session.graph
        for index, fetches in self._fetches.items():
            try:
                self._session.prepare(fetches, None)
            except Exception:
                name = name_of(self._hooks[index])
                where = f"before_run of {name}"
                foreign.explain(error, where, fetches, graph)
                error.add_note(
                    f"raised by the fetches that {name} returned from "
                    f"before_run: {fetches!r}"
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
                    return name_of(self._hooks[index])
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
