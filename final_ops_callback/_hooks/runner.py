# SPDX-License-Identifier: Apache-2.0
"""Calls the methods of v1 hooks around the steps of any training loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.begun import Begun
from final_ops_callback._hooks.calls import Hooks
from final_ops_callback._hooks.calls import annotate_hook_error
from final_ops_callback._hooks.calls import call
from final_ops_callback._hooks.calls import checked_hooks
from final_ops_callback._hooks.requests import StepRequests
from final_ops_callback._names import StepSpecs
from final_ops_callback._names import step_specs_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import Variables
from final_ops_callback._session.live_variable import live_variables_of
from final_ops_callback._session.session import EagerSession
from final_ops_callback._session.session import StepValues
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import StepTensorError

# These exceptions end a run without an error, as in v1; their subclasses don't.
END_OF_INPUT = (tf.errors.OutOfRangeError, StopIteration)


class HookRunner:
    """Calls the methods of v1 hooks around the steps of any training loop.

    This happens, in the order of v1's `MonitoredSession`:

        with runner:                      # the hooks are built, begin()
                                          # scaffold and graph are finalized
                                          # variables are initialized, or
                                          # the latest checkpoint is restored
                                          # after_create_session()
            while not runner.should_stop():
                runner.before_run()       # before_run() of all hooks, then the
                                          # fetches independent of the step
                with runner.during_step():
                    loss = my_step(...)
                runner.after_run({"loss": loss})
                                          # the other fetches, after_run()
                                          # end(), unless an exception came

    Args:
        hooks: A v1 `SessionRunHook`, a list of them, or a function without
            arguments that returns them. The function is called inside the
            hook graph, so hooks that need tensors are built there.
        variables: Mapping from a name to a live `tf.Variable`, an iterable
            of `LiveVariable`, or a function that returns one of these when
            the hooks begin. Each variable gets a twin in the graph. Defaults
            to `()`.
        global_step: A live scalar integer `tf.Variable` or `None`. Its twin
            is the global step. Defaults to `None`.
        step_tensors: Mapping from a name to the `tf.TensorSpec` of a value
            that each step delivers. (`SessionRunHookCallback` passes a
            `StepSpecs`.) Defaults to `None`: no step tensors.
        scaffold: A `tf.compat.v1.train.Scaffold`, a function that returns
            one, or `None` for a default one. Defaults to `None`.
        steps_per_run: Integer. How many updates one run makes. Defaults to 1.
        counts_evaluations: Boolean. Whether each run is one evaluation that
            `eval_step` counts. Defaults to `False`.
        values_now: Function from a list of the names of step tensors to a
            mapping with their values, for fetches that a hook runs in its
            session after a step. Defaults to `None`: the values that
            `after_run` got last.
        original_fetches: Function without arguments, called inside the hook
            graph, that returns what the loop itself fetches in each step: a
            hook finds it in `run_context.original_args`. Defaults to `None`:
            an operation that does nothing.
        checkpoint_dir: String or path. The folder whose latest checkpoint is
            restored into all variables before `after_create_session`, if it
            has one. Defaults to `None`: nothing is restored.

    Attributes:
        requests: The `StepRequests` of the hooks for the current step, from
            `before_run` until `after_run`; otherwise `None`.

    Raises:
        NotAHookError: One of the hooks is not a `SessionRunHook`.
        ArgumentError: `step_tensors` has a wrong name or specification.
        CheckpointError: The latest checkpoint can't be restored.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback import HookRunner
    >>> weight = tf.Variable(3.0)
    >>> step = tf.Variable(0, dtype=tf.int64)
    >>> stop = tf.compat.v1.train.StopAtStepHook(last_step=2)
    >>> runner = HookRunner(stop, {"weight": weight}, global_step=step)
    >>> with runner:
    ...     while not runner.should_stop():
    ...         runner.before_run()
    ...         _ = weight.assign_sub(0.5), step.assign_add(1)
    ...         runner.after_run({})
    >>> int(step.numpy()), float(weight.numpy())
    (2, 2.0)
    """

    def __init__(
        self,
        hooks: Hooks,
        variables: Variables | Callable[[], Variables] = (),
        *,
        global_step: Any = None,
        step_tensors: Mapping[str, tf.TensorSpec] | StepSpecs | None = None,
        scaffold: Any = None,
        steps_per_run: int = 1,
        counts_evaluations: bool = False,
        values_now: StepValues | None = None,
        original_fetches: Callable[[], Any] | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._make_hooks = checked_hooks(hooks)
        self._variables = variables
        self._global_step = global_step
        self._step_specs = (
            step_tensors
            if isinstance(step_tensors, StepSpecs)
            else step_specs_of(step_tensors or {})
        )
        self._given_scaffold = scaffold
        self._steps_per_run = steps_per_run
        self._counts_evaluations = counts_evaluations
        self._values_now = values_now or self._values_of_last_step
        self._keeps_last_step = values_now is None
        self._original_fetches = original_fetches
        self._checkpoint_dir = (
            None if checkpoint_dir is None else os.fspath(checkpoint_dir)
        )
        self._last_step: Mapping[str, Any] = {}
        # These belong to one run, from its `begin` until it is over.
        self._run: Begun | None = None
        self._is_over = False
        self._context: Any = None
        self._contexts = contextlib.ExitStack()
        self.requests: StepRequests | None = None
        self._stop_requested = False
        self._warned: set[str] = set()

    def __enter__(self) -> HookRunner:
        self.begin()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        if kind is None or kind in END_OF_INPUT:
            self.end()
            return True
        self.abort(error)
        return False

    @property
    def session(self) -> EagerSession:
        """The session of this run, which exists between `begin` and `end`.

        Raises:
            HookUsageError: The hooks have not begun, or the run is over.
        """
        if self._run is None:
            raise self._misused("session")
        return self._run.session

    @property
    def hooks(self) -> list[Any]:
        """The hooks of this run; an empty list if there is no run."""
        return [] if self._run is None else list(self._run.hooks)

    @property
    def looked_up(self) -> list[str]:
        """The names of the step tensors that hooks have looked up."""
        return (
            []
            if self._run is None
            else list(self._run.graph.links.step_tensors)
        )

    def count_by(self, variable: Any) -> None:
        """Uses another variable for the global step from now on.

        Args:
            variable: A scalar integer `tf.Variable`.

        Raises:
            HookUsageError: The hooks have not begun, or the run is over.
        """
        if self._run is None:
            raise self._misused("count_by")
        step = tf.compat.v1.train.get_global_step(self._run.graph)
        self._run.graph.replace_live(step.handle.op.name, variable)
        self._run.session.forget_plans()

    @property
    def step_names(self) -> list[str]:
        """The names of the step tensors that the hooks need from this step."""
        return self.requests.step_names if self.requests else []

    @property
    def is_idle(self) -> bool:
        """Whether the hooks do nothing in a step: they have only `end`."""
        return self._run is not None and self._run.is_idle

    def should_stop(self) -> bool:
        """Returns whether a hook or the coordinator asked for a stop.

        As in v1, it also returns `True` when the run is over.

        Raises:
            HookUsageError: The hooks have not begun.
        """
        if self._run is None:
            if self._is_over:
                return True
            raise self._misused("should_stop")
        return self._stop_requested or self._run.coordinator.should_stop()

    def begin(self) -> None:
        """Builds the hooks, finalizes the graph and creates the session.

        Raises:
            HookUsageError: The previous run is not over.
        """
        if self._run is not None:
            raise HookUsageError(
                "the hooks have begun already",
                "begin of HookRunner",
                "End that run first, or make a HookRunner for each loop.",
            )
        self._stop_requested = self._is_over = False
        try:
            graph = HookGraph(
                live_variables_of(self._variables, self._global_step),
                self._step_specs,
            )
            self._run = Begun(
                graph,
                self._make_hooks,
                self._given_scaffold,
                self._steps_per_run,
                self._counts_evaluations,
                self._contexts,
                self._values_now,
                self._original_fetches,
                self._checkpoint_dir,
            )
        except BaseException as error:
            self.abort(error)
            raise

    def before_run(self) -> None:
        """Calls `before_run` of all hooks.

        Then it runs the fetches that do not depend on the step.

        Raises:
            HookUsageError: The hooks have not begun, or the run is over.
        """
        self.ask(may_join=False)

    def ask(self, may_join: bool) -> None:
        """Calls `before_run` of all hooks.

        Args:
            may_join: Boolean. Whether the fetches that do not depend on the
                step may wait, because the call of the step may run them.

        Raises:
            HookUsageError: The hooks have not begun, or the run is over.
        """
        run = self._run
        if run is None:
            raise self._misused("before_run")
        # The tensors that the next step delivers have no values yet.
        run.session.values_now = None
        self.requests = requests = StepRequests(run.session, run.graph.links)
        self._context = tf.compat.v1.train.SessionRunContext(
            run.original_args, run.session
        )
        with run.graph.as_default():
            for index, hook in run.asking:
                try:
                    request = hook.before_run(self._context)
                except BaseException as error:
                    annotate_hook_error(error, hook, "before_run", run.graph)
                    raise
                if request is not None:
                    requests.add(index, hook, request)
            requests.prepare(self._warned, may_join)

    def during_step(self) -> contextlib.AbstractContextManager[None]:
        """Returns the context in which the step has to run.

        Inside it, the value that hooks feed to the step itself (its learning
        rate) is set.
        """
        if self.requests is None or not self.requests.feeds_the_step:
            return contextlib.nullcontext()
        return self.requests.during_step()

    def after_run(self, step_values: Mapping[str, Any]) -> None:
        """Runs the fetches that depend on the step, and calls `after_run`.

        Args:
            step_values: Mapping from the name of a step tensor to its value,
                with at least the names in `step_names`.

        Raises:
            StepTensorError: One of `step_names` is missing.
            HookUsageError: `before_run` was not called.
        """
        run, requests = self._run, self.requests
        if run is None:
            raise self._misused("after_run")
        if requests is None:
            raise HookUsageError(
                "there is no step to end", "after_run", "Call before_run first."
            )
        self.requests = None
        if self._keeps_last_step:
            self._last_step = step_values
        results = requests.results(step_values, bool(run.listening))
        if run.listening:
            options, metadata = requests.options, requests.run_metadata
            run.session.values_now = self._values_now
            with run.graph.as_default():
                for index, hook in run.listening:
                    values = tf.compat.v1.train.SessionRunValues(
                        results.get(index), options, metadata
                    )
                    try:
                        hook.after_run(self._context, values)
                    except BaseException as error:
                        annotate_hook_error(error, hook, "after_run", run.graph)
                        raise
        self._stop_requested |= self._context.stop_requested

    def end(self) -> None:
        """Calls `end` of all hooks and closes the session.

        It does nothing if the run is already over.

        Raises:
            HookUsageError: The hooks have not begun.
        """
        run = self._run
        if run is None:
            if self._is_over:
                return
            raise self._misused("end")
        try:
            run.session.values_now = self._values_now
            with run.graph.as_default():
                for hook in run.hooks:
                    call(hook, "end", run.graph, run.session)
        except BaseException as error:
            self.abort(error)
            raise
        self._close()

    def abort(self, error: BaseException) -> None:
        """Closes the session after an exception, without calling `end`.

        Args:
            error: The exception that ended the run. An exception while closing
                is added to it as a note.
        """
        try:
            self._close()
        except Exception as other:
            error.add_note(f"and while closing the session: {other!r}")

    def _values_of_last_step(self, names: Sequence[str]) -> Mapping[str, Any]:
        missing = [name for name in names if name not in self._last_step]
        if missing:
            raise StepTensorError(
                f"no step has delivered {missing[0]!r}",
                "session.run",
                "Pass its value to after_run in each step, or ask for it in "
                f"before_run: SessionRunArgs({missing[0] + ':0'!r}).",
            )
        return {name: self._last_step[name] for name in names}

    def _misused(self, method: str) -> HookUsageError:
        return HookUsageError(
            "the run of the hooks is over"
            if self._is_over
            else "the hooks have not begun",
            f"{method} of HookRunner",
            "Use it inside `with runner:`, or between begin and end.",
        )

    def _close(self) -> None:
        self._is_over = True
        self._run = self.requests = self._context = None
        self._last_step = {}
        contexts, self._contexts = self._contexts, contextlib.ExitStack()
        contexts.close()
