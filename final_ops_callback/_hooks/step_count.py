# SPDX-License-Identifier: Apache-2.0
"""Finding what counts the steps of a training."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow as tf

from final_ops_callback._eager import value_now
from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers

logger = logging.getLogger("final_ops_callback")


class StepCount:
    """Finds out in the first step which variable counts the steps.

    Nearly always it is `optimizer.iterations` of the optimizer that `compile`
    was given. A `train_step` of the user's own may train with others: then it
    is that of the one which moves least, once for each step, as a rule. If
    none moves, a variable is made that counts the steps that run.

    Args:
        model: A Keras model of any generation.
        stride: Integer. How many steps one call of its step function makes.
    """

    def __init__(self, model: Any, stride: int) -> None:
        self._model = model
        self._stride = stride
        self._is_known = False
        self._before: list[int] = []
        # A variable that nobody moves but this.
        self._own_counter: Any = None

    def before_step(self) -> None:
        """Notes all counts before the first step."""
        if not self._is_known:
            self._before = [_now(variable) for variable in self._counts()]

    def after_step(self) -> Any:
        """Counts a step that ran.

        Returns:
            The variable that counts from now on, if it is another one than
            before the first step; else `None`.
        """
        if self._is_known:
            if self._own_counter is not None:
                self._own_counter.assign_add(self._stride)
            return None
        self._is_known = True
        counts = self._counts()
        moved = {
            index: _now(variable) - before
            for index, (variable, before) in enumerate(
                zip(counts, self._before, strict=False)
            )
        }
        if not counts or moved.get(0):
            return None  # what the hooks have for the step counts already
        found = [index for index, steps in moved.items() if steps > 0]
        if found:
            counter = counts[min(found, key=lambda index: moved[index])]
        elif self._may_have_skipped():
            return None
        else:
            counter = self._made_counter(self._before[0])
        self._say_so()
        model_info.keep_counter(self._model, counter)
        return counter

    def _counts(self) -> list[Any]:
        """Returns what may count; the one that the hooks have comes first."""
        kept = model_info.kept_counter(self._model)
        found = [] if kept is None else [kept]
        if getattr(self._model, "optimizer", None) is not None:
            found.append(model_info.step_counter(self._model))
        for optimizer in optimizers.optimizers_of(self._model).values():
            if compat.is_variable(optimizer.iterations):
                found.append(optimizer.iterations)
        backing = [compat.backing(variable) for variable in found]
        return list({id(variable): variable for variable in backing}.values())

    def _made_counter(self, before: int) -> tf.Variable:
        """Returns a counter of our own, that of an earlier fit if it is one."""
        kept = model_info.kept_counter(self._model)
        if kept is None or not model_info.is_made_counter(kept):
            kept = model_info.made_counter(before)
        kept.assign(before + self._stride)
        self._own_counter = kept
        return kept

    def _may_have_skipped(self) -> bool:
        """Returns whether a loss scale may have left the update out."""
        optimizer = self._model.optimizer
        others = len(optimizers.optimizers_of(self._model)) > 1
        is_scaled = optimizer_compat.inner_of(optimizer) is not optimizer
        return is_scaled and not others

    def _say_so(self) -> None:
        if model_info.kept_counter(self._model) is None:
            logger.warning(
                "The first step of %r did not move the step of the optimizer "
                "that compile was given: global_step counts the steps that "
                "ran, and learning_rate:0 trains nothing. Its optimizers are "
                "%s.",
                self._model.name,
                list(optimizers.optimizers_of(self._model)),
            )


def _now(variable: Any) -> int:
    return int(value_now(compat.components(variable)[0]))
