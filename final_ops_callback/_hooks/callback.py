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

    These names are in the graph, with their values in this step:

    - a weight, slot or metric variable has its path: `hidden/kernel:0`; in a
      Sequential model `sequential/hidden/kernel:0`
    - a slot of an unnamed optimizer is named after its class, however many were
      made before: `adam/...`, not `adam_4/...`; a slot of another optimizer on
      the model is named after its attribute: `d_optimizer/...`
    - `optimizer.iterations`: `global_step:0`. To compute with it, take the
      variable from `get_global_step()`: the tensor of a variable's name is its
      handle, which can only be fetched
    - `optimizer.learning_rate`: `learning_rate:0`; it can be fed unless it is
      a schedule
    - the loss of this step: `loss:0`
    - the batch of this step: `features:0`, `labels:0`, `sample_weight:0`; the
      parts of a structure: `features/image:0`, `features/0:0`
    - the output of the model for it: `predictions:0`; parts in the same way
    - the output of a layer in this step's own forward pass: `hidden:0`; inside
      another layer or model: `encoder/hidden:0`
    - a gradient, as the optimizer got it (unscaled, if the loss is scaled),
      dense: `gradients/hidden/kernel:0`; the norm of all:
      `gradients/global_norm:0`
    - a metric, by its name in the logs: `accuracy:0`; a name with a slash:
      `logs/a/b:0`
    - the loss that Keras logs, a mean since the epoch began: `logs/loss:0`

    Hooks may use these names for what they make: a summary `loss` has the tag
    `loss`. If an operation of a hook has the same name as a value that the
    model's step delivers, the name refers to the model's value, as in v1,
    where the model came first; a warning says so, and a feed of such a name is
    an error.

    Shapes and dtypes come from the model. Those that it does not determine
    have to be declared: labels, and, if the class of the model overrides
    `call`, all but the loss, the weights and the gradients. If a declaration
    is missing, the error shows the line.

    `tf.compat.v1.train.init_from_checkpoint` and `warm_start` work in `begin`,
    in the function that returns the hooks, and in the function that returns
    the scaffold: they run once, before the first step, and again in the next
    `fit` if a hook asks again. Slots have v1's meaning: Keras's SGD keeps
    minus the rate times the momentum that v1 kept, and it is converted, with
    the rate of that moment, whenever a graph reads or writes it. A checkpoint
    without slots is restored by a saver that leaves them out:
    `Scaffold(saver=Saver([...]))`; the error lists the missing variables.
    Keras numbers the states of random layers (`seed_generator_2/...`); the
    default saver saves them under their layers (`drop/seed_generator`).

    In `end` (and in `after_run`), `session.run` returns the result of a metric
    (in `fit`, that of training) and the values that the last step delivered.
    In v1 it took a new batch instead. v1's own streaming metrics work, too.

    The values to keep of the last step have to be known before it: names that
    a hook looks up when it begins, that are in its attributes or its code, or
    that `step_tensors` declares. Any other name is an error that shows this
    way out.

    What differs from v1:

    - Of the inside of the model, only the names above are in the graph, not
      every operation: `hidden:0` is, `hidden/Relu:0` is not. An unknown name
      is an error that lists the known ones. Keras makes its metrics in the
      first step, so a name that may be a metric is reported there.
    - If a layer is called more than once in a step, its value is its last
      output. The output of a layer called inside a loop or a branch (the cell
      of an RNN) can't be fetched.
    - A layer whose name is one of the names above is `layers/<its path>:0`.
    - With `steps_per_execution`, values from inside a step are those of the
      last step; in `predict`, they are the batches of the execution,
      concatenated.
    - With the replicas of one process, batches are concatenated in the order
      of the replicas; losses and gradients are summed, as the optimizer does.
    - There are no gradients of `loss:0`: `tf.gradients` and `minimize` raise
      an error. The gradients of the step are `gradients/<path>:0`. Values that
      are computed from the variables alone have gradients.
    - Under `predict` there is no loss, no label and no metric; gradients exist
      only in `fit`.
    - Slots exist from the first `fit` on: an `evaluate` or `predict` before it
      has none.
    - Keras sets the initial values: the initializers of the model's variables
      do nothing. The initializers of variables that a hook makes work.
    - A training step can't be fed. Feeds reach only a hook's own fetches and
      `learning_rate:0`, which is set for that step. Any other feed warns once.
    - A value that a step delivers exists in that step and after it: in
      `before_run`, return it as a fetch instead of calling `session.run`.
    - A step that may draw random numbers (a user-defined layer, loss,
      activation, regularizer, constraint, schedule or model; in Keras 2,
      dropout and the like) is compiled once for all steps of a run, so that
      the same seed gives the same weights with hooks and without. If a hook
      asks for a new name later, the step is recompiled, which starts the
      random operations over: a warning says so. The same holds for a step that
      an earlier `fit` without hooks has compiled; and a `fit` without hooks,
      after one with hooks, compiles a separate function.
    - A fetch inside the step may change the last bit of a weight, as it could
      in v1: TensorFlow's graph optimizer does not fuse a value that is fetched
      with what is computed from it. If
      `tf.config.optimizer.set_experimental_options` turns off
      `arithmetic_optimization` and `remapping`, all bits are the same.
    - With data of unknown length, Keras 3 counts one step too many in each
      epoch, and Keras 2 in the first: the step that found no data. Hooks undo
      this, so that the step is that of v1; what computes with it (Adam, a
      schedule, the accumulation of gradients) then differs from a fit without
      hooks from the second epoch on.
    - `before_run` is called for that step, too, as in v1; what it asked for is
      used for the first step of the next epoch. Values are then read again, but
      an effect (a write, a random number) is not repeated, so that a write to
      the model comes before the validation.
    - Calling `compile` on a model in the middle of a `fit` is an error. A
      model whose step is made again (`make_train_function(force=True)`) keeps
      its hooks.
    - Keras reads Python values (`layer.trainable`, the momentum of an
      optimizer) when it compiles a step. A hook that fetches from inside the
      step, or asks for a new name, makes Keras compile the step again. A change
      of such a value then takes effect, which Keras alone would ignore. So call
      `compile` after a change between two fits, as Keras demands, and
      `make_train_function(force=True)` in the middle of a `fit`.
    - Hooks run around the step itself: after `on_train_batch_begin` and before
      `on_train_batch_end` of every callback, regardless of its place in the
      list.
    - `original_args.fetches` are the predictions in `predict`, and an
      operation in `fit` and `evaluate`.
    - Momentum at a rate of 0 can't be converted to v1's value: a warning says
      so.
    - The value of a metric is what Keras logs. It restarts in each epoch,
      where v1 continued.
    - v1 left open whether a fetched variable has its value from before or
      after the update. Here it has the value from before.
    - Hooks in `fit` don't see its validation; `on="test"` makes a callback for
      it. With `on=("train", "test")`, the same hooks begin again in the
      validation, and continue afterwards in the state that they had in `fit`;
      attributes that only the validation has set stay.
    - With `steps_per_execution`, one run is one execution.
    - A stop in `before_run` of `predict` (`StopIteration`) takes effect after
      the predictions of that batch: Keras needs some.
    - A user-defined `train_step` has to call `compute_loss`, once, or there is
      no `loss:0` and no `predictions:0`; `logs/loss:0` exists if it logs a
      loss. The error comes before the first update; with `run_eagerly`, after
      it.
    - Queues and the like, whose state belongs to one kernel, are an error that
      shows the way out. Reference variables of TensorFlow 1 run as in v1, with
      v1's races: a fetch of one beside its update may return either value.
      Variables that hooks make are resource variables, unless they ask for
      `use_resource=False`.
    - A branch of v1 control flow that needs a step tensor must not write a
      variable; a branch built under `tf.compat.v1.enable_control_flow_v2()`
      may.
    - A tensor of another graph in a hook is an error that names its origin and
      the way out.
    - A seeded random operation starts over for each set of fetches that it is
      part of: its state belongs to one kernel, too.
    - In the methods of a hook its graph is the default graph, as in v1:
      `.numpy()` or `model.predict` belong in a callback.
    - `local_variables()` contains the learning rate and the metrics of the
      model, too.
    - No session connects to another process.

    Hooks run under `MirroredStrategy`: a write of a hook reaches all replicas.
    Under `MultiWorkerMirroredStrategy` (Keras 2 and tf_keras: Keras 3.15 itself
    fails under it) they run on all workers, without values from inside the
    step. Under `ParameterServerStrategy` they are refused before the first
    step.

    With several workers, pass the callback on all of them. They agree in each
    step whether to continue: when a hook of one asks for a stop, all stop at
    that step; when a hook fails, the other workers get a `WorkerError`. Hooks
    that write files run with `SessionRunHookCallback(hooks, chief_only=True)`,
    on the chief alone; they can't write variables or feed the learning rate,
    which the other workers have, too.

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
