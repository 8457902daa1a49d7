# SPDX-License-Identifier: Apache-2.0
"""One run of v1 hooks around the batches of one Keras call."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _model
from final_ops_callback import _stack
from final_ops_callback._graph import LEARNING_RATE
from final_ops_callback._graph import LOSS
from final_ops_callback._model_state import live_variables
from final_ops_callback._offers import Offers
from final_ops_callback._resource import value_now
from final_ops_callback._runner import END_OF_INPUT
from final_ops_callback._runner import HookRunner
from final_ops_callback._stand_in import Wish
from final_ops_callback._step import StepTap
from final_ops_callback._step_names import Source
from final_ops_callback._step_names import StepNames
from final_ops_callback._workers import Workers
from final_ops_callback._workers import refuse_inside
from final_ops_callback._workers import several

_WHY_READ_ONLY = (
    "the hooks run on the chief alone, and the other workers have it, too",
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
        unknown_length: Boolean. Whether only the end of the data ends an
            epoch.
        tap: The tap of the model for this phase.
        is_alone: Boolean. Whether, of several workers, only this one has
            hooks: then they can't write what all have.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        hooks: Any,
        scaffold: Any,
        variable_names: Mapping[str, str],
        step_tensors: Mapping[str, tf.TensorSpec],
        unknown_length: bool,
        tap: StepTap,
        is_alone: bool = False,
    ) -> None:
        self._model = model
        self._workers = Workers(model) if several(model) else None
        self._phase = phase
        self._names = StepNames(model, phase, step_tensors)
        self._runner = HookRunner(
            hooks,
            lambda: live_variables(
                model, variable_names, _WHY_READ_ONLY if is_alone else None
            ),
            # Nothing that leads back to the graph: a cycle through it is
            # never collected.
            step_tensors=Offers(self._names.spec, self._names.known),
            scaffold=scaffold,
            steps_per_run=_model.steps_per_execution(model),
            counts_evaluations=phase == "test",
        )
        has_step = getattr(model, "optimizer", None) is not None
        self._counts_too_many = unknown_length and phase == "train" and has_step
        self._step_before: tf.Tensor | None = None
        self._learning_rate: Any = None
        self._begun = False
        self._is_idle = False
        self._failed: BaseException | None = None
        self._tap = tap
        self._outputs: Any = {}
        self._stopping = False
        # What hooks want seldom changes from step to step.
        self._wanted: tuple[list[str], Mapping[str, Source]] = [], {}

    def begin(self) -> None:
        """Begins the hooks, if the model has its variables.

        If not, they begin in the first step, when the shapes of its inputs
        are known: before anything of the step runs.
        """
        if _model.is_built(self._model):
            self._begin_runner()
            self._begun = True

    def before_batch(self) -> None:
        """Calls `before_run` and prepares the step, or lets it be skipped."""
        if not self._begun and self._failed is None:
            self._tap.begin_with(self._begin_late)
            return
        runner = self._runner
        if self._is_idle:
            return
        if not self._stopping and runner.should_stop():
            self._stop()
        if not self._stopping:
            self._guarded(self._before_run)
        self._agree()
        if self._stopping:
            self._skip()
            return
        self._tap.arm(
            Wish(
                self._sources(),
                runner.during_step(),
                runner.run_metadata if runner.wants_trace else None,
                self.abort,
                self._uncount,
            )
        )

    def _sources(self) -> Mapping[str, Source]:
        """Returns where what the hooks want is taken in the step."""
        names = self._runner.step_names
        if names != self._wanted[0]:
            self._wanted = list(names), self._names.taken(names)
        return self._wanted[1]

    def _before_run(self) -> None:
        runner = self._runner
        # A data set of unknown length ends inside of the step: then the
        # `before_run` of that step is for the first of the next epoch.
        if runner.in_step:
            runner.before_run_again()
        else:
            runner.before_run()
        if self._workers is not None:
            refuse_inside(self._model, self._sources())
        if LEARNING_RATE in runner.step_names:
            self._learning_rate = _model.learning_rate_of(self._model)
        if self._counts_too_many:
            counter = _model.step_counter(self._model)
            self._step_before = value_now(_stack.components(counter)[0])

    def after_batch(self, logs: Mapping[str, Any] | None) -> None:
        """Calls `after_run` with what the step delivered.

        Args:
            logs: Mapping. The logs of the batch.
        """
        if self._is_idle:
            return
        self._outputs = dict(logs or {})
        self._tap.settle()
        if not self._tap.ran or not self._runner.in_step:
            return
        self._guarded(self._after_run)
        if self._runner.should_stop():
            self._stop()
        self._agree()

    def _after_run(self) -> None:
        values: dict[str, Any] = {}
        if self._runner.step_names:
            logs = self._outputs
            values = {f"logs/{name}": value for name, value in logs.items()}
            values |= {name: v for name, v in logs.items() if name != LOSS}
            if self._learning_rate is not None:
                values[LEARNING_RATE] = self._learning_rate
            values |= self._tap.values
        # What a step delivered is large, and may be let go with the step.
        self._tap.values = {}
        self._runner.after_run(values)

    @property
    def ends_the_loop(self) -> bool:
        """Whether Keras has to be stopped by an exception.

        Keras 2 can be asked to stop training only.
        """
        return self._stopping and not hasattr(self._model, _STOP[self._phase])

    def end(self) -> None:
        """Calls `end` of the hooks; the run is over."""
        self._tap.disarm()
        self._outputs, self._tap.values = {}, {}
        if self._failed is not None:
            raise self._failed
        if self._begun:
            self._runner.end()

    def abort(self, error: BaseException) -> None:
        """Leaves the model as it was, after an exception.

        Args:
            error: The exception that ends the call.
        """
        self._tap.disarm()
        self._runner.abort(error)

    def _begin_late(self, data: Any) -> None:
        """Begins in the first step of a model without variables."""
        try:
            spec = _model.data_spec(data)
            _model.build_for(self._model, spec)
            self._names.learn(spec)
            self._wanted = [], {}
            self._begin_runner()
        except BaseException as error:
            self.abort(error)
            if type(error) not in END_OF_INPUT:
                raise
            # Inside of a step Keras takes it for the end of the data.
            self._failed = error
            self._stop()
        else:
            self._begun = True
        self.before_batch()

    def _uncount(self) -> None:
        """Takes back the step that found no data.

        The data set ends inside of the step, and by then Keras may have
        counted it: `optimizer.iterations` is one too high. A checkpoint of
        the end would carry that step.
        """
        if self._step_before is not None:
            _model.step_counter(self._model).assign(self._step_before)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            # As in v1: these types, and no subclass of theirs.
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
        elif not self._counts_too_many:
            self._is_idle = self._runner.is_idle

    def _agree(self) -> None:
        """Stops where another worker does: it would wait for it for good."""
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

    def _skip(self) -> None:
        # Keras has to get outputs from predict; those of one batch more do
        # no harm. A training or test step would.
        if self._phase == "predict":
            self._tap.disarm()
        else:
            self._tap.skip(self._do_nothing)

    def _do_nothing(self, data: Any) -> Any:
        _model.build_metrics(self._model, _model.data_spec(data))
        return self._outputs
