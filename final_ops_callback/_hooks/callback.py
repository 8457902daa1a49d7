# SPDX-License-Identifier: Apache-2.0
"""Runs v1 hooks under `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks.as_made import AsMade
from final_ops_callback._hooks.calls import Hooks
from final_ops_callback._hooks.calls import checked_hooks
from final_ops_callback._hooks.calls import hook_objects
from final_ops_callback._hooks.hook_run import HookRun
from final_ops_callback._hooks.hook_state import HookAttributes
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from final_ops_callback._keras.phases import checked_phases
from final_ops_callback._keras.workers import is_multi_worker
from final_ops_callback._keras.workers import refuse_servers
from final_ops_callback._names import checked_specs
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.step_function import StepFunction
from final_ops_callback._step.step_function import expected_evaluate
from final_ops_callback.errors import BackendError

_PHASES = ("train", "test", "predict")
# The attributes that are not copied.
_OF_RUNS = (
    "_aside",
    "_as_made",
    "_began",
    "_expected",
    "_hook_objects",
    "_instrumented",
    "_outer_runs",
    "_runs",
)


class SessionRunHookCallback(callback_base.Callback):
    """Runs v1 `SessionRunHook`s, unmodified, under a Keras model.

    A hook finds what it found under `tf.compat.v1.train.MonitoredSession`: a
    graph in which it may build, a session, a global step, the variables of
    the live model (a write through the graph is a write to the model), and
    the same values at the same moments. `HookRunner` documents the order. In
    terms of Keras's callback methods:

        on_train_begin                  # begin(), after_create_session()
        on_train_batch_begin            # of all callbacks in the list
            before_run() of all hooks
            the step of Keras
            after_run() of all hooks
        on_train_batch_end              # of all callbacks in the list
        on_train_end                    # end(), unless an exception came

    The same holds for `on_test_...` and `on_predict_...`. If the model has no
    variables yet, its hooks begin in the first step.

    Args:
        hooks: A hook, a list of hooks, or a function without arguments that
            returns them. The function is called inside the hook graph: hooks
            that take tensors, variables or a `FileWriter` are made there.
        on: A phase or an iterable of phases: `"train"`, `"test"` (evaluate,
            including the one inside fit), `"predict"`. Defaults to `None`: the
            call that the callback is passed to; in fit, without its
            validation.
        scaffold: A `tf.compat.v1.train.Scaffold`, a function that returns
            one (called inside the hook graph), or `None` for a default one.
            Defaults to `None`.
        chief_only: Boolean. Whether the hooks run on the chief worker alone.
            Defaults to `False`.
        variable_names: Mapping from the path of a Keras variable to the name
            that its twin gets in the graph, for example its name in an old
            checkpoint. Defaults to `None`: each twin is named by its path.
        step_tensors: Mapping from the name of a step tensor to its
            `tf.TensorSpec`, for tensors whose shape and dtype the model does
            not determine (labels, the layers of a model whose class overrides
            `call`), and for metrics that the default (a float of unknown
            shape) does not fit:
            `{"labels": tf.TensorSpec([None, 1], "float32")}`. Defaults to
            `None`.

    Raises:
        NotAHookError: One of the hooks is not a `SessionRunHook`.
        ArgumentError: A phase is unknown, or `step_tensors` has a wrong name
            or specification.
        UnknownNameError: A hook looks up a name that is not in the graph.
        StepTensorError: A hook looks up a step tensor that has to be
            declared, or that the step does not deliver.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from final_ops_callback import SessionRunHookCallback
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stop = tf.compat.v1.train.StopAtStepHook(last_step=3)
    >>> _ = model.fit(
    ...     np.zeros((8, 2)),
    ...     np.zeros(8),
    ...     batch_size=1,
    ...     verbose=0,
    ...     callbacks=[SessionRunHookCallback(stop)],
    ... )
    >>> int(model.optimizer.iterations.numpy())
    3
    """

    # The folder whose latest checkpoint a run restores when it begins.
    _checkpoint_dir: str | None = None

    def __init__(
        self,
        hooks: Hooks,
        *,
        on: str | Iterable[str] | None = None,
        scaffold: Any = None,
        chief_only: bool = False,
        variable_names: Mapping[str, str] | None = None,
        step_tensors: Mapping[str, tf.TensorSpec] | None = None,
    ) -> None:
        super().__init__()
        checked_hooks(hooks)
        self._hooks = hooks
        self._on = None if on is None else checked_phases(on, _PHASES)
        self._scaffold = scaffold
        self._chief_only = chief_only
        self._variable_names = dict(variable_names or {})
        self._step_tensors = checked_specs(step_tensors or {})
        self._as_made = AsMade()
        self._forget_runs()

    def _forget_runs(self) -> None:
        self._runs: dict[str, HookRun] = {}
        self._outer_runs: dict[str, HookRun] = {}
        self._instrumented: dict[str, InstrumentedStep] = {}
        self._expected: StepFunction | None = None
        # Of the runs that are nested in one another, the outermost first.
        self._hook_objects = hook_objects(self._hooks)
        self._began: list[HookAttributes] = []
        self._aside: list[HookAttributes] = []
        # Keras does not notify a callback when another callback fails. Then
        # the hooks' threads and session last until this callback is used again
        # or collected. Nothing is done at the exit of the process, which frees
        # everything.
        for runs in (self._runs, self._outer_runs):
            weakref.finalize(self, _give_up, runs).atexit = False

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to copy or pickle, with hooks as they were made.

        It does not contain what a hook keeps of a run (tensors, writers). A
        hook that still can't be copied or pickled raises Python's error.
        """
        state = super().__getstate__()
        for name in _OF_RUNS:
            del state[name]
        state["_hooks"] = self._as_made.copies(self._hooks)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._as_made = AsMade()
        self._forget_runs()

    def set_model(self, model: Any) -> None:
        """Takes the model; Keras calls this when a separate run begins.

        The run may be nested in another run (an evaluate with this callback
        during fit), which then continues when this one has ended.

        Raises:
            StrategyError: The model's variables are on parameter servers.
            BackendError: The model does not run on TensorFlow.
        """
        _refuse_other_backends(model)
        refuse_servers(model)
        super().set_model(model)
        _give_up(self._outer_runs)
        self._outer_runs.update(self._runs)
        self._runs.clear()
        self._expect_no_evaluate()
        if self._concerns("test"):
            self._expect_evaluate()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Prepares for the evaluate inside fit."""
        super().on_epoch_begin(epoch, logs)
        if "train" in self._runs:
            self._runs["train"].check_stands()
        if self._concerns("validation"):
            self._expect_evaluate()

    def _begin_phase(self, phase: callback_base.Phase) -> None:
        if phase == "train":
            _give_up(self._outer_runs)  # a fit is never nested in another run
        try:
            if self._concerns(phase):
                self._begin_run(phase)
        finally:
            self._expect_no_evaluate()

    def _begin_run(self, phase: callback_base.Phase) -> None:
        mode = "test" if phase == "validation" else phase
        self._as_made.note(self._given_hooks())
        hooks, scaffold = self._hooks_and_scaffold()
        run = HookRun(
            self.model,
            mode,
            hooks,
            scaffold,
            self._variable_names,
            self._step_tensors,
            # Keras gives callbacks the number of steps, if it is known.
            steps=(self.params or {}).get("steps"),
            instrumented=self._instrumented_step(mode),
            is_alone=self._chief_only and is_multi_worker(self.model),
            on_step=_of(weakref.ref(self), "_resume", mode),
            on_failure=_of(weakref.ref(self), "_give_up_run", mode),
            checkpoint_dir=self._checkpoint_dir,
        )
        self._set_hooks_aside()
        try:
            run.begin()
        except BaseException:
            self._return_hooks()
            raise
        self._runs[mode] = run

    def _end_phase(self, phase: callback_base.Phase, logs: Any) -> None:
        mode = "test" if phase == "validation" else phase
        self._resume(mode)
        run = self._runs.pop(mode, None)
        self._expect_no_evaluate()
        if phase in ("test", "predict"):
            self._runs.update(self._outer_runs)
            self._outer_runs.clear()
        if run is not None:
            try:
                run.end(logs)
            finally:
                self._return_hooks()

    def _set_hooks_aside(self) -> None:
        """Gives hooks of a nested run the attributes the outer run began with.

        Hooks that a function makes are different objects in each run.
        """
        if not self._hook_objects:
            return
        now = HookAttributes(self._hook_objects)
        if self._runs or self._outer_runs:
            self._aside.append(now)
            self._began[-1].put_back()
        else:
            self._aside.clear()
            self._began.clear()
        self._began.append(HookAttributes(self._hook_objects))

    def _return_hooks(self) -> None:
        """Gives the hooks their attributes in the outer run again."""
        if self._began:
            self._began.pop()
        if self._aside and self._began:
            self._aside.pop().return_to(self._began[-1])

    def _instrumented_step(self, mode: str) -> InstrumentedStep:
        """Returns the step of a mode, kept so that a second fit reuses it."""
        found = self._instrumented.get(mode)
        if found is None or found.model is not self.model:
            found = self._instrumented[mode] = InstrumentedStep(
                self.model, mode
            )
        return found

    def _given_hooks(self) -> Any:
        """Returns all hooks that were passed to the constructor."""
        return self._hooks

    def _hooks_and_scaffold(self) -> tuple[Hooks, Any]:
        """Returns the hooks and the scaffold of a run that begins."""
        if not self._has_hooks():
            # The other workers run without hooks, to agree on a stop.
            return (), None
        return self._hooks, self._scaffold

    def _has_hooks(self) -> bool:
        return not self._chief_only or compat.is_chief(self.model)

    def _concerns(self, phase: callback_base.Phase) -> bool:
        if not self._has_hooks() and not is_multi_worker(self.model):
            return False
        if self._on is None:
            return phase != "validation"
        return phase in self._on or (
            phase == "validation" and "test" in self._on
        )

    def _resume(self, mode: str) -> None:
        """Continues the outer run, if the run inside it has failed.

        Its exception was caught, and Keras does not report its end.
        """
        if mode in self._runs or mode not in self._outer_runs:
            return
        _give_up(self._runs)
        self._return_hooks()
        self._runs.update(self._outer_runs)
        self._outer_runs.clear()

    def _give_up_run(self, mode: str) -> None:
        """Drops a run in which a hook has failed."""
        self._runs.pop(mode, None)
        self._return_hooks()

    def _expect_evaluate(self) -> None:
        self._expect_no_evaluate()
        self._expected = expected_evaluate(self.model, self)

    def _expect_no_evaluate(self) -> None:
        expected, self._expected = self._expected, None
        if expected is not None:
            expected.expect_no_more(self)


def _of(
    callback: weakref.ref[SessionRunHookCallback], method: str, *args: Any
) -> Callable[[], None]:
    """Returns a function that calls a callback's method, if it still exists."""

    def call() -> None:
        found = callback()
        if found is not None:
            getattr(found, method)(*args)

    return call


def _refuse_other_backends(model: Any) -> None:
    backend = compat.backend_of(model)
    if backend != "tensorflow":
        raise BackendError(
            f"the model runs on {backend}, but a v1 hook needs the graph and "
            "session of TensorFlow",
            "SessionRunHookCallback",
            "Set KERAS_BACKEND=tensorflow before Keras is imported, or use "
            "FinalOpsCallback, which runs on every backend.",
        )


def _give_up(runs: dict[str, HookRun]) -> None:
    """Closes the sessions of runs that Keras did not end."""
    while runs:
        _, run = runs.popitem()
        run.abort(RuntimeError("the run was given up"))
