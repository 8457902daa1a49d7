# SPDX-License-Identifier: Apache-2.0
"""Finds the variable that counts the training steps: the hooks' global step."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback._eager_mode import value_now
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers

logger = logging.getLogger("final_ops_callback")

# The attribute of a model, and the name of the variable.
_COUNTER = "_final_ops_callback_step"


@dataclasses.dataclass
class _MadeCounter:
    """A step counter for a model whose compiled optimizer does not train it.

    Attributes:
        variable: The `tf.Variable` that counts.
        compiled_with: Weak reference to the optimizer of `compile`.
        steps: Integer. The number of steps counted while hooks ran.
        moved: Dict from the id of an optimizer's count to the amount by which
            it increased in these steps.
        marks: Dict from the same ids to the counts after the last such step.
        counted_by: Weak reference to the `StepCount` that counts: the first of
            those that watch the same steps.
    """

    variable: tf.Variable
    compiled_with: weakref.ref[Any]
    steps: int = 0
    moved: dict[int, int] = dataclasses.field(default_factory=dict)
    marks: dict[int, int] = dataclasses.field(default_factory=dict)
    counted_by: Callable[[], StepCount | None] = lambda: None

    def steps_since(self, counts: dict[int, int]) -> int | None:
        """Returns how many steps ran since the last one that was counted.

        The optimizer whose count increased most decides: others may skip steps.

        Args:
            counts: Dict from the ids to the current counts.

        Returns:
            Integer, or `None` if no count increased in a counted step.
        """
        known = [key for key in counts if self.moved.get(key)]
        if not known:
            return None
        most = max(known, key=lambda key: self.moved[key])
        now = counts[most] - self.marks[most]
        return round(now * self.steps / self.moved[most])

    def count(self, steps: int, counts: dict[int, int]) -> None:
        """Counts steps that ran while hooks ran."""
        for key, value in counts.items():
            since = value - self.marks.get(key, value)
            self.moved[key] = self.moved.get(key, 0) + since
        self.marks = counts
        self.steps += steps
        self.variable.assign_add(steps)


def step_of(model: Any) -> int:
    """Returns the number of steps that a model was trained for.

    The batch index is not a step count (it jumps with `steps_per_execution`),
    but `optimizer.iterations` is. A model without an optimizer is at step 0.

    Args:
        model: A Keras model of any flavor.
    """
    made = _made_counter(model) if hasattr(model, "__dict__") else None
    if made is not None:
        return _now(made.variable) + (made.steps_since(_counts(model)) or 0)
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return 0 if iterations is None else int(compat.to_numpy(iterations))


def made_counter(model: Any) -> Any:
    """Returns the variable that counts in place of the compiled optimizer.

    The variable is brought up to date, because steps may have run without
    hooks.

    Args:
        model: A Keras model of any flavor, at the begin of a run with hooks.

    Returns:
        The `tf.Variable`, or `None` if the optimizer of `compile` counts, as
        it nearly always does. This is determined again after another
        `compile`.
    """
    made, counts = _made_counter(model), _counts(model)
    if made is not None:
        made.variable.assign_add(made.steps_since(counts) or 0)
        made.marks = counts
        return made.variable
    # A user-defined `train_step` may have trained with others already.
    others = [count for count in counts.values() if count]
    if not others or compat.is_stock(model, "train_step"):
        return None
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or _now(_iterations(optimizer)):
        return None
    return _keep_new(model, min(others)).variable


class StepCount:
    """Counts the steps of a run, if the compiled optimizer does not.

    The first step shows whether it does: a user-defined `train_step` may train
    with other optimizers, or with none. If it does not, a variable is made
    that counts the steps.

    Args:
        model: A Keras model of any flavor.
        stride: Integer. How many steps one call of its step function runs.
        steps: Integer or `None`. How many steps an epoch has, if that is
            known: the last call of an epoch may run fewer.

    Attributes:
        is_known: Boolean. Whether it is known which variable counts.
    """

    def __init__(self, model: Any, stride: int, steps: int | None) -> None:
        self._model = model
        self._stride = stride
        self._steps = steps
        self._ran = 0
        self.is_known = False
        self._is_over = False
        self._own_before: int | None = None
        self._made: _MadeCounter | None = None

    def before_step(self) -> None:
        """Notes the counts before a step; needed while not `is_known`."""
        optimizer = getattr(self._model, "optimizer", None)
        if optimizer is not None:
            self._own_before = _now(_iterations(optimizer))
        self._made = _made_counter(self._model)
        self._before = _counts(self._model)

    def after_step(self) -> Any:
        """Counts a step that ran.

        Returns:
            The variable that counts from now on, if it is not the same as
            before the first step; otherwise `None`.
        """
        if self.is_known:
            if self._made is not None and self._counts_for_all(self._made):
                self._count(self._made)
            return None
        self.is_known = True
        had_made = self._made is not None
        if self._own_before is None or self._own_moves():
            self._made = None
            vars(self._model).pop(_COUNTER, None)
            if had_made and self._own_before is not None:
                return compat.backing(_iterations(self._model.optimizer))
            return None
        # Another callback may have made a counter in this same step.
        self._made = self._made or _made_counter(self._model)
        if self._made is None:
            if self._may_have_skipped():
                return None
            self._say_so()
            self._made = _keep_new(self._model, self._own_before)
        if self._counts_for_all(self._made):
            # The counts from before the first step show what it changed.
            self._made.marks = self._before
            self._count(self._made)
        return None if had_made else self._made.variable

    @property
    def counts(self) -> bool:
        """Whether the next steps have to be counted."""
        return not self.is_known or self._made is not None

    def end(self) -> None:
        """Ends the counting, because the run is over."""
        self._is_over = True

    def _counts_for_all(self, made: _MadeCounter) -> bool:
        """Returns whether this object counts, and not another callback's."""
        counting = made.counted_by()
        if counting is None or counting._is_over:
            made.counted_by = weakref.ref(self)
            return True
        return counting is self

    def _own_moves(self) -> bool:
        now = _now(_iterations(self._model.optimizer))
        return now != self._own_before

    def _count(self, made: _MadeCounter) -> None:
        counts = _counts(self._model)
        made.count(self._steps_that_ran(made, counts), counts)

    def _steps_that_ran(
        self, made: _MadeCounter, counts: dict[int, int]
    ) -> int:
        """Returns how many steps the last call of the step function ran."""
        steps = self._stride
        if self._steps is not None:
            steps = min(steps, self._steps - self._ran)
            self._ran = (self._ran + steps) % self._steps
        elif steps > 1:
            since = made.steps_since(counts)
            steps = steps if since is None else min(steps, since)
        return steps

    def _may_have_skipped(self) -> bool:
        """Returns whether a loss scale may have skipped the update."""
        optimizer = self._model.optimizer
        others = len(optimizers.optimizers_of(self._model)) > 1
        is_scaled = optimizer_compat.inner_of(optimizer) is not optimizer
        return is_scaled and not others

    def _say_so(self) -> None:
        logger.warning(
            "The first step of %r did not increase the step of the optimizer "
            "that compile was given: global_step counts the steps that run, "
            "and feeding learning_rate:0 has no effect. The model's "
            "optimizers are %s.",
            self._model.name,
            list(optimizers.optimizers_of(self._model)),
        )


def _made_counter(model: Any) -> _MadeCounter | None:
    made = vars(model).get(_COUNTER)
    if made is None or made.compiled_with() is not model.optimizer:
        return None
    return made


def _keep_new(model: Any, value: int) -> _MadeCounter:
    """Makes a counter, and keeps it with the model until another compile.

    It is stored without `setattr`, because Keras would track it then.
    """
    variable = tf.Variable(
        value, dtype=tf.int64, trainable=False, name=_COUNTER
    )
    made = _MadeCounter(variable, weakref.ref(model.optimizer))
    vars(model)[_COUNTER] = made
    return made


def _iterations(optimizer: Any) -> Any:
    return compat.backing(model_info.step_counter_of(optimizer))


def _counts(model: Any) -> dict[int, int]:
    """Returns the counts of all optimizers that are attributes of a model."""
    found = [
        compat.backing(optimizer.iterations)
        for optimizer in optimizers.optimizers_of(model).values()
        if compat.is_variable(optimizer.iterations)
    ]
    return {id(variable): _now(variable) for variable in found}


def _now(variable: Any) -> int:
    return int(value_now(compat.components(variable)[0]))
