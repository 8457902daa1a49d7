# SPDX-License-Identifier: Apache-2.0
"""Runs v1 hooks around the batches of one Keras call."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._eager_mode import NO_CONTEXT
from final_ops_callback._eager_mode import value_now
from final_ops_callback._hooks.joined_fetches import JoinedFetches
from final_ops_callback._hooks.model_variables import live_variables
from final_ops_callback._hooks.runner import END_OF_INPUT
from final_ops_callback._hooks.runner import HookRunner
from final_ops_callback._hooks.selection import StepSelection
from final_ops_callback._hooks.values_now import ValuesNow
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizers
from final_ops_callback._keras.first_trace import FirstTrace
from final_ops_callback._keras.optimizers import Momentum
from final_ops_callback._keras.step_count import StepCount
from final_ops_callback._keras.step_count import made_counter
from final_ops_callback._keras.step_count import step_of
from final_ops_callback._keras.workers import Workers
from final_ops_callback._keras.workers import is_multi_worker
from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._names import LOSS
from final_ops_callback._names import StepSpecs
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.lookup import StepNames
from final_ops_callback._step.step_function import StepFunction
from final_ops_callback._step.step_function import StepRequest
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import StepTensorError

logger = logging.getLogger("final_ops_callback")

_WHY_READ_ONLY = (
    "the hooks run on the chief alone, but the other workers have it, too",
    "Let the hook run on all workers: chief_only=False.",
)
_STOP = {
    "train": "stop_training",
    "test": "stop_evaluating",
    "predict": "stop_predicting",
}


class HookRun:
    """The hooks of one callback in one call of fit, evaluate or predict.

    Args:
        model: The Keras model, built.
        phase: String. `"train"`, `"test"` or `"predict"`.
        hooks: As in `HookRunner`.
        scaffold: As in `HookRunner`.
        variable_names: Mapping from a variable's path to its twin's name.
        step_tensors: Mapping from the name of a step tensor to its
            `tf.TensorSpec`, where the default does not fit.
        steps: Integer or `None`. How many steps an epoch has; `None` if only
            the end of the data ends it.
        instrumented: The `InstrumentedStep` of the model for this phase.
        is_alone: Boolean. Whether, of several workers, only this one has
            hooks: then they can't write variables that all workers have.
        on_step: Function without arguments that is called first in each step.
            Defaults to a function that does nothing.
        on_failure: Function without arguments that is called when a hook has
            failed in a step. Defaults to a function that does nothing.
        checkpoint_dir: As in `HookRunner`.

    Attributes:
        instrumented: As given.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        hooks: Any,
        scaffold: Any,
        variable_names: Mapping[str, str],
        step_tensors: Mapping[str, tf.TensorSpec],
        steps: int | None,
        instrumented: InstrumentedStep,
        is_alone: bool = False,
        on_step: Callable[[], None] = lambda: None,
        on_failure: Callable[[], None] = lambda: None,
        checkpoint_dir: str | None = None,
    ) -> None:
        self._model = model
        self._workers = Workers(model) if is_multi_worker(model) else None
        self._phase = phase
        self._names = StepNames(model, phase, step_tensors, variable_names)
        self._selection = StepSelection(model, self._names, step_tensors)
        self._values_now = ValuesNow(model, phase, self._names)
        self._steps: StepCount | None = None
        self._steps_per_call = model_info.steps_per_execution(model)
        self._is_counting = True
        if phase == "train":
            self._steps = StepCount(
                model, model_info.steps_per_execution(model), steps
            )
        self._optimizer = getattr(model, "optimizer", None)
        self._variable_names = variable_names
        self._why_read_only = _WHY_READ_ONLY if is_alone else None
        self._first_trace: FirstTrace | None = None
        # The slots that hooks have written since the last step.
        self._written: list[Momentum] = []
        self._runner = HookRunner(
            hooks,
            self._live_variables,
            # These must not refer to the graph: a reference cycle through it
            # is never collected.
            step_tensors=StepSpecs(self._names.spec, self._names.known),
            scaffold=scaffold,
            steps_per_run=self._steps_per_call,
            counts_evaluations=phase == "test",
            values_now=self._values_now,
            original_fetches=self._original_fetches,
            checkpoint_dir=checkpoint_dir,
        )
        self._restores = checkpoint_dir is not None
        has_step = getattr(model, "optimizer", None) is not None
        self._ends_by_data = steps is None
        self._counts_too_many = (
            self._ends_by_data and phase == "train" and has_step
        )
        self._step_before: tf.Tensor | None = None
        self._learning_rate: Any = None
        self._begun = False
        self._is_idle = False
        self._failed: BaseException | None = None
        self.instrumented = instrumented
        self._on_step = on_step
        self._on_failure = on_failure
        self._joined = JoinedFetches(
            functools.partial(self._told, self._guarded)
        )
        self._step_function: StepFunction | None = None
        self._stopping = False
        # Whether Keras has outputs of a step, without which its loop fails.
        self._has_outputs = False
        self._last_values: Mapping[str, Any] = {}

    def begin(self) -> None:
        """Begins the hooks, if the model has its variables.

        If not, they begin in the first step, when the shapes of its inputs
        are known, before any part of the step runs.
        """
        unbuilt = self._phase == "train" and optimizers.unbuilt(self._model)
        if model_info.is_built(self._model) and not unbuilt:
            self._begin_runner()
            self._begun = True
        self._step_function = StepFunction.of(self._model, self._phase)
        self._step_function.subscribe(self)

    def check_stands(self) -> None:
        """Checks that Keras still calls the step that the hooks run in.

        Raises:
            HookUsageError: The model was recompiled.
        """
        if (
            self._step_function is not None
            and not self._step_function.is_installed
        ):
            self._told(self._guarded, self._refuse_other_optimizer)

    def _live_variables(self) -> list[LiveVariable]:
        if self._phase == "train":
            # An evaluation makes no slots, as in v1: until Keras makes them in
            # the first fit, the user may freeze other layers.
            if optimizers.build(self._model):
                FirstTrace.note_early_slots(self._model)
            self._first_trace = FirstTrace.needed(self._model)
        return live_variables(
            self._model,
            self._variable_names,
            self._why_read_only,
            made_counter(self._model),
            self._written,
        )

    def before_step(self, data: Any) -> StepRequest:
        """Calls `before_run`, and returns what the hooks fetch from the step.

        Args:
            data: The argument that Keras passes to its step function.
        """
        self._on_step()
        request = self._told(self._before_step, data)
        if request is None:
            raise StopIteration  # this ends the loop of Keras 2
        return request

    def _before_step(self, data: Any) -> StepRequest | None:
        if not self._begun and self._failed is None:
            self._begin_late(data)
        runner = self._runner
        if getattr(self._model, "optimizer", None) is not self._optimizer:
            self._guarded(self._refuse_other_optimizer)
        if self._steps is not None and not self._steps.is_known:
            self._steps.before_step()
        if self._is_idle:
            chosen = self._selection
            return StepRequest(chosen.to_take, chosen.may_lack, self._around())
        if self._ends_the_loop and self._has_outputs:
            return None
        if not self._stopping and runner.should_stop():
            self._stop()
        if not self._stopping:
            self._guarded(self._ask)
        while self._written:
            self._written.pop().complete()
        self._agree()
        if self._stopping:
            return self._skip()
        requests = runner.requests
        trace = None
        if requests is not None and requests.wants_trace:
            trace = requests.run_metadata
        chosen = self._selection
        part = None
        if requests is not None and requests.is_pending:
            part = self._joined.of(requests)
        return StepRequest(
            chosen.to_take, chosen.may_lack, self._around(), trace, part
        )

    def _told(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls a function, and reports its failure before re-raising it."""
        try:
            return call(*args)
        except BaseException:
            self._on_failure()
            raise

    def _around(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which the next step has to run."""
        first, self._first_trace = self._first_trace, None
        requests = self._runner.requests
        contexts: list[contextlib.AbstractContextManager[None]] = []
        if requests is not None and requests.feeds_the_step:
            contexts.append(requests.during_step())
        if first is not None:
            contexts.append(first.installed())
        return _all_of(contexts) if contexts else NO_CONTEXT

    def _refuse_other_optimizer(self) -> None:
        raise HookUsageError(
            "the model was recompiled while its hooks run: their step, "
            "learning rate and slots are those of the previous optimizer",
            f"{self._phase} of {self._model.name!r}",
            "Compile between two calls of fit, not during one.",
        )

    def _ask(self) -> None:
        """Asks the hooks what they want of the coming step."""
        self._before_run()
        requests = self._runner.requests
        if requests is None or requests.step_names == self._selection.fetched:
            return  # they seldom change from step to step
        self._selection.note_fetches(
            requests.step_names, self._values_now.has_run
        )

    def _before_run(self) -> None:
        runner = self._runner
        # A data set of unknown length ends inside the step: then the
        # `before_run` of that step is used for the next epoch's first step.
        if runner.requests is not None:
            runner.requests.again(self._may_join)
        else:
            runner.ask(self._may_join)
        requests = runner.requests
        if requests is not None and LEARNING_RATE in requests.step_names:
            self._learning_rate = model_info.learning_rate_of(self._model)
        if self._counts_too_many:
            counter = model_info.step_counter(self._model)
            self._step_before = value_now(compat.components(counter)[0])

    def after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        """Calls `after_run` with the values that the step delivered.

        Args:
            outputs: The return value of Keras's own step function.
            values: Mapping from the names of step tensors to their values.
        """
        self._told(self._after_step, outputs, values)

    def _after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        self._has_outputs = True
        if self._phase != "predict":
            # A copy, because other callbacks may change the original.
            is_dict = isinstance(outputs, dict)
            self._values_now.outputs = dict(outputs) if is_dict else {}
        if self._is_idle:
            self._values_now.has_run = True
            self._last_values = values
            self._count()
            return
        if self._runner.requests is None:
            return
        self._guarded(functools.partial(self._after_run, values))
        if self._runner.should_stop():
            self._stop()
        self._agree()

    def no_data(self) -> None:
        """Undoes the count of the step that found no data.

        The data set ends inside the step, and by then Keras may have counted
        the step, so that `optimizer.iterations` is one too high. A checkpoint
        saved at the end would contain that count.
        """
        if self._step_before is not None:
            model_info.step_counter(self._model).assign(self._step_before)

    def step_failed(self, error: BaseException) -> None:
        """Closes the session, because an exception ends the call of Keras.

        Args:
            error: The exception.
        """
        self.abort(error)

    def _after_run(self, taken: Mapping[str, Any]) -> None:
        values = taken
        if not self._selection.all_inside:
            values = {**self._beside_the_step(), **taken}
        self._values_now.has_run = True
        if self._selection.is_asked_later:
            self._values_now.note_step(taken)
        self._count()
        self._runner.after_run(values)

    @property
    def _may_join(self) -> bool:
        """Whether the call of the coming step may run the early fetches.

        Workers agree between them and the step, and the first trace is watched.
        A call that runs several steps may run none, if the data has ended. A
        step that is counted here is counted before the late fetches.
        """
        is_counting = self._steps is not None and self._is_counting
        is_watched = self._workers is not None or self._first_trace is not None
        return self._steps_per_call == 1 and not (is_counting or is_watched)

    def _beside_the_step(self) -> dict[str, Any]:
        """Returns the logs and the learning rate, under all their names."""
        logs = self._values_now.logs
        values = {f"logs/{name}": value for name, value in logs.items()}
        values |= {name: v for name, v in logs.items() if name != LOSS}
        if self._learning_rate is not None:
            values[LEARNING_RATE] = self._learning_rate
        return values

    def _count(self) -> None:
        """Counts a step that ran, if the optimizer of `compile` does not."""
        if self._steps is None or not self._is_counting:
            return
        counter = self._steps.after_step()
        if counter is not None:
            self._runner.count_by(counter)
        # Nearly always the optimizer of `compile` counts, and that is all.
        self._is_counting = self._steps.counts

    @property
    def _ends_the_loop(self) -> bool:
        """Whether Keras has to be stopped by an exception.

        Keras 2 has an attribute for this in training only.
        """
        return self._stopping and not hasattr(self._model, _STOP[self._phase])

    def end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Calls `end` of the hooks, which ends the run.

        Args:
            logs: Mapping or `None`. The logs at the end of the run. In
                training they are those of the last epoch, even if a validation
                has refilled the metrics since then. Defaults to `None`.
        """
        values_now = self._values_now
        if self._is_one_more():
            self._guarded(self._before_run)
            if self._runner.requests is not None:
                self._guarded(self._runner.requests.before)
        if self._last_values:
            values_now.note_step(self._last_values)
        self._leave()
        values_now.add_logs(logs or {})
        try:
            if self._failed is not None:
                raise self._failed
            if self._begun:
                self._runner.end()
        finally:
            values_now.forget()

    def _is_one_more(self) -> bool:
        """Returns whether v1 would begin one more step, which finds no data.

        In `predict`, Keras 3 notices the end of the data before it calls the
        step function.
        """
        may_end_unseen = self._phase == "predict" and self._ends_by_data
        is_going = self._begun and not (self._stopping or self._is_idle)
        return (
            may_end_unseen
            and is_going
            and self._failed is None
            and self._runner.requests is None
        )

    def abort(self, error: BaseException) -> None:
        """Restores the model and closes the session, after an exception.

        Args:
            error: The exception that ends the call.
        """
        self._leave()
        self._values_now.forget()
        self._runner.abort(error)

    def _leave(self) -> None:
        """Stops watching the steps of the model."""
        self._joined.forget()
        if self._steps is not None:
            self._steps.end()
        self._last_values = {}
        step_function, self._step_function = self._step_function, None
        if step_function is not None:
            step_function.unsubscribe(self)

    def _begin_late(self, data: Any) -> None:
        """Begins in the first step of a model without variables."""
        try:
            spec = model_info.data_spec(data)
            model_info.build_for(self._model, self._phase, spec)
            self._names.learn(spec)
            self._begin_runner()
        except BaseException as error:
            self.abort(error)
            if type(error) not in END_OF_INPUT:
                raise
            # Inside a step, Keras would take it for the end of the data.
            self._failed = error
            self._stop()
        else:
            self._begun = True

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            # As in v1: these types, but not their subclasses.
            if type(error) in END_OF_INPUT:
                self._stop()
            else:
                self.abort(error)
                self._tell_of(error, Workers.tell_of_failure)
                raise

    def _begin_runner(self) -> None:
        try:
            self._runner.begin()
        except BaseException as error:
            self._tell_of(error, lambda workers: workers.meet(failed=True))
            raise
        if self._workers is not None:
            self._among_workers(self._workers.meet)
            if self._restores:
                self._among_workers(
                    self._workers.refuse_other_step,
                    step_of(self._model),
                    compat.is_chief(self._model),
                )
            return
        if not self._counts_too_many:
            self._is_idle = self._runner.is_idle
        self._selection.begin(
            self._runner.hooks,
            self._runner.looked_up,
            self._is_idle,
            self.instrumented,
            StepFunction.of(self._model, self._phase).function,
        )

    def _original_fetches(self) -> Any:
        """Returns what v1's loop fetched: the predictions, or an operation."""
        graph = tf.compat.v1.get_default_graph()
        if self._phase == "predict":
            try:
                return self._names.predictions(graph.get_tensor_by_name)
            except (KeyError, StepTensorError):
                logger.debug("the predictions are not known before a step")
        name = "train_op" if self._phase == "train" else "update_op"
        return tf.no_op(name=name)

    def _agree(self) -> None:
        """Stops if another worker stops, or this worker would wait forever."""
        if self._workers is not None and self._among_workers(
            self._workers.anyone_stops, self._stopping
        ):
            self._stop()

    def _among_workers(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except BaseException as error:
            self._workers = None
            self.abort(error)
            raise

    def _tell_of(
        self, error: BaseException, tell: Callable[[Workers], None]
    ) -> None:
        workers, self._workers = self._workers, None
        if workers is not None:
            try:
                tell(workers)
            except Exception as other:
                error.add_note(f"and the other workers don't know: {other!r}")

    def _stop(self) -> None:
        self._stopping = True
        if hasattr(self._model, _STOP[self._phase]):
            setattr(self._model, _STOP[self._phase], True)

    def _skip(self) -> StepRequest:
        # Keras needs outputs in predict, and one more batch does no harm
        # there. In training or evaluation, one more step would.
        self._has_outputs = True
        if self._phase == "predict":
            return StepRequest()
        return StepRequest(instead=self._do_nothing)

    def _do_nothing(self, data: Any) -> Any:
        model_info.build_metrics(self._model, model_info.data_spec(data))
        return self._values_now.logs


@contextlib.contextmanager
def _all_of(
    contexts: list[contextlib.AbstractContextManager[None]],
) -> Iterator[None]:
    with contextlib.ExitStack() as entered:
        for context in contexts:
            entered.enter_context(context)
        yield
