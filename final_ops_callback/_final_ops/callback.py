# SPDX-License-Identifier: Apache-2.0
"""FinalOpsCallback: `FinalOpsHook` as a Keras callback."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.training_metrics import TrainingMetrics
from final_ops_callback._final_ops.values import FinalOps
from final_ops_callback._final_ops.writers import make_writers
from final_ops_callback._keras import callback_base
from final_ops_callback._keras import compat
from final_ops_callback._keras.phases import checked_phases
from final_ops_callback._keras.step_count import step_of
from final_ops_callback.errors import ArgumentError

logger = logging.getLogger("final_ops_callback")

_INPUT_ADVICE = (
    "An %s was raised by a final op. Most likely the op still depends on the "
    "input of the run, which has ended: a final op should only read state "
    "(the result of a metric, a variable), never take another batch."
)


class FinalOpsCallback(callback_base.Callback):
    """Evaluates ops once, at the end of `fit`, `evaluate` or `predict`.

    It does what `tf.estimator.FinalOpsHook` (`tf.compat.v1.train.FinalOpsHook`)
    did at the end of a session. Put it last in the list of callbacks: a
    callback after it may still change the model (`EarlyStopping` restores the
    best weights in its own `on_train_end`).

    Values have the types that `Session.run` returned: arrays and NumPy scalars,
    `SparseTensorValue`, `RaggedTensorValue`; bfloat16 keeps its dtype, strings
    are bytes. A feed that nothing uses, a parameter that
    nothing feeds, or a value that does not fit its symbolic input is an error
    that names it, before training starts.

    If a `fit` does not validate, a `"val_loss"` is found to be wrong at its
    end: the values of the other leaves are kept, with `None` in its place, and
    then the error is raised. Logs that another callback adds at the end of an
    epoch are not in the logs of the end: use `lambda model:
    model.history.history["f1"][-1]`.

    Traps that it handles:

    - After validation, the model's metric objects hold *validation* values. At
      the end of `fit` you get the training values, even if another callback
      evaluates after the validation. One case is not handled: in a `fit`
      without validation data, a callback that evaluates in its own
      `on_epoch_end` leaves its values.
    - Keras calls `on_test_end` inside `fit`, too. Final ops run once, at the
      end, unless you ask for `"validation"`.
    - A new run clears the old values, so a run that fails never leaves stale
      ones.
    - The values are copies: later updates and `clear_session` don't change
      them, and they can be pickled.
    - Nothing is added to `logs`: the progress bar would average a matrix,
      `History` would collect it.
    - No batch method is defined: one would cost Keras 3 its asynchronous
      dispatch.
    - `OutOfRangeError` and `StopIteration` from a leaf are logged with the
      advice that v1 gave. Every exception keeps its type and gets a note that
      names the leaf.
    - A writer that fails never loses the values: they are set first.

    Where the values go, besides the attribute:

    - `verbose=1` prints one aligned line per value.
    - `log_dir` writes TensorBoard summaries, in a folder for each phase:
      scalars, histograms for vectors and above, a serialized `Summary`
      unchanged.
    - `filepath` ends in `.json` or `.npz` and may contain `{phase}` and
      `{step}` (with leading zeros: `{step:06d}`; double any other brace). The
      file is written whole or not at all, without pickle.

    With several workers, every worker evaluates and only the chief writes
    files.

    Args:
        final_ops: One leaf, or any nesting of lists, tuples, named tuples and
            dicts of leaves. If it is `None`, nothing is evaluated. A leaf is
            - a metric object: its `result()`;
            - a `tf.function` or any callable: called once, with arguments
              from the feed dict by parameter name; `model` and `logs` are
              always there;
            - a variable or an eager tensor: a copy of its value;
            - a symbolic Keras tensor, as `layer.output`: the model evaluated
              up to it, in inference mode, its inputs from the feed dict;
            - a string: the log of that name (`"val_loss"`), else the model's
              metric of that name, else what the last step computed under it
              (`"predictions"`, a layer's name, `"loss:0"`), as in
              `SessionRunHookCallback`. The name refers to this run: predict
              does not update metrics, so a metric's name is an error there;
            - any other Python or NumPy value: itself.
        final_ops_feed_dict: Dict or `None`. Values for parameters of
            callables (by name) and for symbolic inputs (by name, in Keras 3
            by the tensor itself, in Keras 2 by its `.ref()`). Defaults to
            `None`.
        on: A phase or an iterable of phases: `"train"` (the end of fit),
            `"test"` (a stand-alone evaluate), `"validation"` (the evaluate
            inside fit), `"predict"`. Defaults to all but `"validation"`,
            because final ops often have side effects and should run once.
        log_dir: String, path or `None`. Where summaries for TensorBoard go,
            into a folder for each phase. Defaults to `None`.
        filepath: String, path or `None`. A `.json` or `.npz` file for the
            values. It may hold `{phase}`, `{step}` and `{step:06d}`. Defaults
            to `None`.
        verbose: 0 or 1. 1 prints one line for each value. Defaults to 0.

    Raises:
        GraphTensorError: A leaf is a tensor or operation of a v1 graph.
        FeedError: No leaf uses a feed, or nothing feeds an input.
        LeafError: A leaf can never have a value. A name that nothing in a run
            has is reported when the run begins. Where that can't be known
            before the first step (`"val_loss"` of a fit that does not
            validate), the error is raised at the end; the values of the other
            leaves are kept, with `None` in the place of that one.
        ArgumentError: A phase is unknown, or `filepath`, `log_dir` or
            `verbose` is of the wrong kind.
        WriterError: `log_dir` or `filepath` can't be written.

    Attributes:
        final_ops_values: The values of the last run that finished, in the
            structure of `final_ops`, as NumPy arrays and scalars. `None`
            before the first run has ended and after one that failed.
        final_ops_values_by_phase: Dict from a phase to its latest values.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> from final_ops_callback import FinalOpsCallback
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> accuracy = keras.metrics.BinaryAccuracy()
    >>> model.compile("sgd", "mse", metrics=[accuracy])
    >>> final = FinalOpsCallback({"accuracy": accuracy, "loss": "loss"})
    >>> _ = model.evaluate(
    ...     np.zeros((4, 2)), np.zeros(4), verbose=0, callbacks=[final]
    ... )
    >>> final.final_ops_values["loss"]
    0.0
    """

    def __init__(
        self,
        final_ops: Any,
        final_ops_feed_dict: Mapping[Any, Any] | None = None,
        *,
        on: str | Iterable[str] = ("train", "test", "predict"),
        log_dir: str | os.PathLike[str] | None = None,
        filepath: str | os.PathLike[str] | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        self._on = checked_phases(on, callback_base.PHASES)
        if not isinstance(verbose, int) or verbose not in (0, 1):
            raise ArgumentError(
                f"{verbose!r} is not a verbosity",
                f"verbose={verbose!r}",
                "Use 0 or 1.",
            )
        if final_ops is None:  # as in v1, nothing happens
            self._on, final_ops_feed_dict = (), None
        self._ops = FinalOps(final_ops, final_ops_feed_dict)
        self._writers = make_writers(self._on, log_dir, filepath, verbose)
        self._training_metrics = TrainingMetrics()
        self._last_steps = self._new_last_steps()
        self._final_ops_values: Any = None
        # Whether a run was announced whose phase has not begun yet. The run
        # may fail before that, in the begin method of another callback.
        self._announced = False
        self._values_by_phase: dict[str, Any] = {}

    @property
    def final_ops_values(self) -> Any:
        """The values of the last run that finished, or `None`."""
        return None if self._announced else self._final_ops_values

    @property
    def final_ops_values_by_phase(self) -> dict[str, Any]:
        """The latest values of each phase that finished, in a new dict."""
        return dict(self._values_by_phase)

    def on_final_ops_values(self, values: Any, phase: str, step: int) -> None:
        """Receives the values once they are set; meant to be overridden.

        Args:
            values: The values, in the structure of `final_ops`.
            phase: String. The phase that has ended.
            step: Integer. The number of updates that the model has seen
                (`optimizer.iterations`).
        """

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state to pickle: with the values, without a run."""
        state = super().__getstate__()
        del state["_last_steps"], state["_training_metrics"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._training_metrics = TrainingMetrics()
        self._last_steps = self._new_last_steps()

    def __deepcopy__(self, memo: dict[int, Any]) -> FinalOpsCallback:
        """Copies the callback, but not the objects that it watches.

        The leaves stay the same objects, because a copy of a metric or a
        variable would never be updated, and so do the model and the writers.
        A tuner that copies its callbacks for each trial gets a callback that
        has its own values and its own attributes of a subclass.
        """
        duplicate = object.__new__(type(self))
        memo[id(self)] = duplicate
        # Objects in the memo are not copied, wherever they are found: an
        # attribute of a subclass may be a leaf, too. Keras has two names for
        # the model.
        names = ("_ops", "_writers", "model", "_model", "_model_of_fit")
        kept = [vars(self).get(name) for name in names] + self._ops.leaves()
        inner = memo | {id(one): one for one in kept}
        inner[id(self._training_metrics)] = TrainingMetrics()
        inner[id(self._last_steps)] = self._new_last_steps()
        duplicate.__dict__.update(copy.deepcopy(vars(self), inner))
        return duplicate

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Forgets the metrics of the previous epoch."""
        super().on_epoch_begin(epoch, logs)
        self._training_metrics.forget()
        if "validation" in self._last_steps:
            self._last_steps["validation"].catch_evaluate(self.model)

    def set_model(self, model: Any) -> None:
        """Takes the model; Keras calls it when a run of its own begins."""
        super().set_model(model)
        self._announced = True
        if "test" in self._last_steps:
            self._last_steps["test"].catch_evaluate(model)

    def _begin_phase(self, phase: callback_base.Phase) -> None:
        self._announced = False
        try:
            self._begin_run(phase)
        finally:
            self._expect_no_evaluate()

    def _expect_no_evaluate(self) -> None:
        for run in self._last_steps.values():
            run.expect_no_evaluate()

    def _begin_run(self, phase: callback_base.Phase) -> None:
        if phase == "validation" and "train" in self._on:
            self._training_metrics.take(
                compat.metrics_of(self.model), self._ops.metrics()
            )
        elif phase == "train":
            self._training_metrics.forget()
        if phase in self._on:
            self._final_ops_values = None
            self._values_by_phase.pop(phase, None)
            run = self._last_steps.get(phase)
            if run is None:
                return
            run.begin(self.model)
            # A custom training loop logs what it wants. Only Keras's own loop
            # sets parameters.
            if self.params:
                try:
                    self._ops.check_names(self.model, run)
                except BaseException:
                    run.end()
                    raise

    def _end_phase(self, phase: callback_base.Phase, logs: Any) -> None:
        self._expect_no_evaluate()
        if phase == "validation":
            self._training_metrics.note_validation()
        if phase not in self._on:
            return
        # A leaf may start a run of another model with this callback.
        model = self.model
        try:
            if phase == "train":
                with self._training_metrics.in_place():
                    values, unknown = self._evaluate(model, phase, logs)
                self._training_metrics.forget()
            else:
                values, unknown = self._evaluate(model, phase, logs)
        finally:
            if phase in self._last_steps:
                self._last_steps[phase].end()
        self._final_ops_values = values
        # A run inside this one may have failed before it began.
        self._announced = False
        self._values_by_phase[phase] = values
        self._hand_out(model, values, phase, unknown)

    def _new_last_steps(self) -> dict[str, LastStep]:
        """Returns what keeps the last step of each phase, if names ask for it.

        All other leaves need nothing of a step.
        """
        names = self._ops.names()
        return {phase: LastStep(names, phase) for phase in self._on if names}

    def _evaluate(
        self, model: Any, phase: str, logs: Any
    ) -> tuple[Any, list[Any]]:
        last_step = self._last_steps.get(phase)
        try:
            return self._ops.evaluate(model, logs, last_step)
        except (tf.errors.OutOfRangeError, StopIteration) as error:
            logger.warning(_INPUT_ADVICE, type(error).__name__)
            raise

    def _hand_out(
        self, model: Any, values: Any, phase: str, unknown: list[Any]
    ) -> None:
        """Hands the values to every writer, even if one of them fails."""
        receivers: list[Callable[..., None]] = [
            writer.write
            for writer in self._writers
            if not writer.writes_files or compat.is_chief(model)
        ]
        given = getattr(self.on_final_ops_values, "__func__", None)
        if given is not _RECEIVES_NOTHING:
            receivers.append(self.on_final_ops_values)
        failures: list[Exception] = list(unknown)
        # To read the step waits for the device: only if somebody wants it.
        step = step_of(model) if receivers else 0
        for receive in receivers:
            try:
                receive(values, phase, step)
            except Exception as error:
                failures.append(error)
        if failures:
            first, *others = failures
            for other in others:
                first.add_note(f"and then: {type(other).__name__}: {other}")
            raise first


# The method as it is here: a subclass, an instance or a patch may replace it.
_RECEIVES_NOTHING = FinalOpsCallback.on_final_ops_values
