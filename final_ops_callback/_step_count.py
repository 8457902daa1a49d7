# SPDX-License-Identifier: Apache-2.0
"""Counting the steps of a model whose compiled optimizer does not."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow as tf

from final_ops_callback import _model
from final_ops_callback import _optimizer_stack
from final_ops_callback import _optimizers
from final_ops_callback import _stack
from final_ops_callback._resource import value_now

logger = logging.getLogger("final_ops_callback")


class StepCount:
    """Finds out in the first step who counts the steps of a training.

    Nearly always it is `optimizer.iterations` of the optimizer that `compile`
    was given. A `train_step` of the user's own may train with others; then a
    counter that is kept with the model takes over.

    Args:
        model: A Keras model of any generation.
        stride: Integer. How many steps one call of its step function makes.
    """

    def __init__(self, model: Any, stride: int) -> None:
        self._model = model
        self._stride = stride
        self._is_known = False
        self._before: Any = None

    def before_step(self) -> None:
        """Notes the count of `compile`'s optimizer before the first step."""
        if not self._is_known:
            self._before = self._own_count()

    def after_step(self) -> Any:
        """Counts a step that ran.

        Returns:
            The variable that counts from now on, if it is another one than
            before the first step; else `None`.
        """
        counter = _model.kept_counter(self._model)
        if self._is_known:
            if counter is not None:
                counter.assign_add(self._stride)
            return None
        self._is_known = True
        before, after = self._before, self._own_count()
        if before is not None and before != after:
            _model.keep_counter(self._model, None)
            return None if counter is None else self._own()
        if counter is not None:
            counter.assign_add(self._stride)
            return None
        if before is not None and self._may_have_skipped():
            return None
        self._say_so()
        counter = tf.Variable(
            (before or 0) + self._stride, dtype=tf.int64, trainable=False
        )
        _model.keep_counter(self._model, counter)
        return counter

    def _own(self) -> Any:
        return _stack.components(_model.step_counter(self._model))[0]

    def _own_count(self) -> int | None:
        if getattr(self._model, "optimizer", None) is None:
            return None
        return int(value_now(self._own()))

    def _may_have_skipped(self) -> bool:
        """Returns whether a loss scale may have left the update out."""
        optimizer = self._model.optimizer
        others = len(_optimizers.optimizers_of(self._model)) > 1
        return (
            not others and _optimizer_stack.inner_of(optimizer) is not optimizer
        )

    def _say_so(self) -> None:
        names = list(_optimizers.optimizers_of(self._model))
        logger.warning(
            "The first step of %r did not move the step of the optimizer that "
            "compile was given: global_step counts the steps that ran, and "
            "learning_rate:0 trains nothing. Its optimizers are %s.",
            self._model.name,
            names,
        )
