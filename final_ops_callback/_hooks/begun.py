# SPDX-License-Identifier: Apache-2.0
"""Begins v1 hooks: builds their graph, the session and the threads."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._hooks.calls import call
from final_ops_callback._hooks.calls import checked_hooks
from final_ops_callback._hooks.calls import hooks_within
from final_ops_callback._hooks.calls import only_end
from final_ops_callback._hooks.calls import overriding
from final_ops_callback._hooks.scaffold import finalize
from final_ops_callback._hooks.scaffold import initialize
from final_ops_callback._hooks.scaffold import scaffold_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.session import EagerSession
from final_ops_callback._session.session import StepValues

logger = logging.getLogger("final_ops_callback")

_QUEUE_RUNNERS = tf.compat.v1.GraphKeys.QUEUE_RUNNERS


class Begun:
    """Hooks that have begun, with everything that belongs to one run of them.

    Args:
        graph: The hook graph.
        make_hooks: Function that returns the hooks, called inside the graph.
        scaffold: As in `HookRunner`.
        steps_per_run: As in `HookRunner`.
        counts_evaluations: As in `HookRunner`.
        contexts: Exit stack that is closed when the run is over, even if the
            constructor fails half-way.
        values_now: As in `HookRunner`.
        original_fetches: As in `HookRunner`.
        checkpoint_dir: As in `HookRunner`.

    Attributes:
        graph: The hook graph.
        session: The session.
        coordinator: The coordinator of the threads.
        original_args: The `original_args` of the run context of hooks.
        hooks: List of the hooks.
        asking: List of the hooks that override `before_run`, with their
            indices. The methods of the base class do nothing.
        listening: List of the hooks that override `after_run`, with their
            indices.
        is_idle: Boolean. Whether the hooks do nothing in a step.
    """

    def __init__(
        self,
        graph: HookGraph,
        make_hooks: Callable[[], Any],
        scaffold: Any,
        steps_per_run: int,
        counts_evaluations: bool,
        contexts: contextlib.ExitStack,
        values_now: StepValues,
        original_fetches: Callable[[], Any] | None = None,
        checkpoint_dir: str | None = None,
    ) -> None:
        self.graph = graph
        self._contexts = contexts
        self._original_fetches = original_fetches or _train_op
        with graph.as_default():
            self._build(make_hooks, scaffold, steps_per_run, counts_evaluations)
            self.session = EagerSession(graph=graph)
            contexts.callback(self.session.close)
            self._initialize(steps_per_run, checkpoint_dir)
            self.coordinator = self._start_threads()
            self.session.values_now = values_now
            for hook in self.hooks:
                call(
                    hook,
                    "after_create_session",
                    graph,
                    self.session,
                    self.coordinator,
                )

    def _build(
        self,
        make_hooks: Callable[[], Any],
        scaffold: Any,
        steps_per_run: int,
        counts_evaluations: bool,
    ) -> None:
        with self.graph.step_scope():
            fetches = self._original_fetches()
        self.original_args = tf.compat.v1.train.SessionRunArgs(fetches, None)
        if steps_per_run > 1:
            _tf_private.get_or_create_steps_per_run_variable()
        self.hooks = checked_hooks(make_hooks())()
        warn_of_silent_logs(self.hooks)
        self._scaffold = self._contexts.enter_context(scaffold_of(scaffold))
        if counts_evaluations:
            count_evaluations(self.hooks, steps_per_run)
        for hook in self.hooks:
            call(hook, "begin", self.graph)
        self.asking = overriding(self.hooks, "before_run")
        self.listening = overriding(self.hooks, "after_run")
        # What queues or a scaffold have made has to be closed if a step fails.
        queues = tf.compat.v1.get_collection(_QUEUE_RUNNERS)
        self.is_idle = only_end(self.hooks) and not queues and not scaffold
        finalize(self._scaffold, self.graph)

    def _initialize(
        self, steps_per_run: int, checkpoint_dir: str | None
    ) -> None:
        initialize(self._scaffold, self.session, checkpoint_dir)
        if steps_per_run > 1:
            count = _tf_private.get_or_create_steps_per_run_variable()
            count.load(steps_per_run, self.session)

    def _start_threads(self) -> tf.train.Coordinator:
        coordinator = tf.train.Coordinator(clean_stop_exception_types=[])
        self._contexts.callback(_stop_threads, coordinator)
        if self.graph.get_collection(_QUEUE_RUNNERS):
            tf.compat.v1.train.start_queue_runners(self.session, coordinator)
        return coordinator


_warned_of_silent_logs = False


def warn_of_silent_logs(hooks: list[Any]) -> None:
    """Warns once in a process if a hook logs what TensorFlow does not show.

    TensorFlow 1 programs had set the level, or Estimator had; in TensorFlow 2,
    nothing of level INFO is shown.

    Args:
        hooks: List of hooks.
    """
    global _warned_of_silent_logs
    v1 = tf.compat.v1
    is_shown = v1.logging.get_verbosity() <= v1.logging.INFO
    if is_shown or _warned_of_silent_logs:
        return
    if any(
        isinstance(hook, v1.train.LoggingTensorHook)
        for hook in hooks_within(hooks)
    ):
        _warned_of_silent_logs = True
        logger.warning(
            "LoggingTensorHook logs at the level INFO, which TensorFlow 2 does "
            "not show. To see it, call tf.compat.v1.logging.set_verbosity("
            "tf.compat.v1.logging.INFO)."
        )


def count_evaluations(hooks: list[Any], stride: int) -> None:
    """Counts the runs of an evaluation, as v1's evaluate did.

    Hooks that stop after a number of evaluations are given the tensor to
    fetch: fetching it increases the count. Other packages have copies of
    TensorFlow's hook, so a hook is recognized by the method that takes the
    tensor; it may be inside another hook.

    Args:
        hooks: List of hooks.
        stride: Integer. How many evaluations one run makes.
    """
    name = _tf_private.EVALUATION_SETTER
    setters = [getattr(hook, name, None) for hook in hooks_within(hooks)]
    told = [tell for tell in setters if callable(tell)]
    if not told:
        return
    step = _tf_private.get_or_create_eval_step()
    count = tf.compat.v1.assign_add(step, stride, use_locking=True)
    for tell in told:
        tell(_tf_private.latest_eval_step([count]))


def _train_op() -> tf.Operation:
    return tf.no_op(name="train_op")


def _stop_threads(coordinator: tf.train.Coordinator) -> None:
    coordinator.request_stop()
    coordinator.join(stop_grace_period_secs=120, ignore_live_threads=True)
