# SPDX-License-Identifier: Apache-2.0
"""The first step in Keras 2, made as it is without hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizers
from final_ops_callback._keras.wrapping import Wrappers
from final_ops_callback._keras.wrapping import take_off
from final_ops_callback._keras.wrapping import unconverted

# Kept with a model from an evaluation with hooks to its first training.
_EARLY = "_final_ops_callback_early_slots"


class FirstTrace:
    """Lets Keras 2 begin a training as it does where the step makes the slots.

    Without hooks, the first step makes the slots of the optimizer, and
    TensorFlow traces a function that makes variables twice. With hooks the
    slots are there, because a hook finds them when it begins, and the step
    would be traced once. Keras 2 draws the seeds of its layers in each trace,
    and its Nadam counts them: the training would be another one. So a
    variable that nobody uses is made in the first trace.

    Moving averages begin with what the weights are when they are made. A hook
    or a callback may have set those since, and then the averages follow.

    Args:
        model: A model of Keras 2.
        averages: Iterable of moving averages, each with its weight and with
            what it was when it was made.
    """

    def __init__(
        self, model: Any, averages: Iterable[tuple[Any, Any, tf.Tensor]]
    ) -> None:
        places = [(model, "train_step", self._wrapped)]
        self._wrappers = Wrappers([] if model.run_eagerly else places)
        self._averages = list(averages)
        self._made: list[tf.Variable] = []

    @staticmethod
    def note_early_slots(model: Any) -> None:
        """Notes that slots were made before the first step of a training.

        Args:
            model: A Keras model of any flavor.
        """
        # Keras 3 makes nothing in a trace. Replicas trace in threads of their
        # own, and a variable that one of them makes, all would have to make.
        is_keras_2 = compat.is_keras_2(model)
        if is_keras_2 and model_info.replicas(model) == 1:
            vars(model)[_EARLY] = [
                (average, weight, average.read_value())
                for average, weight in optimizers.averages_of(model)
            ]

    @classmethod
    def needed(cls, model: Any) -> FirstTrace | None:
        """Returns one for the first training of a model with early slots."""
        averages = vars(model).pop(_EARLY, None)
        return None if averages is None else cls(model, averages)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps the step of the model, for the time of its first call."""
        while self._averages:
            average, weight, made = self._averages.pop()
            # What somebody restored is no longer what it was.
            if bool(tf.reduce_all(tf.equal(average, made))):
                average.assign(weight)
        before = self._wrappers.put_on()
        try:
            yield
        finally:
            take_off(before)

    def _wrapped(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def making_step(*args: Any, **kwargs: Any) -> Any:
            self._make()
            return step(*args, **kwargs)

        return making_step

    @unconverted
    def _make(self) -> None:
        if not self._made:
            with tf.init_scope():  # as Keras makes its own
                self._made.append(tf.Variable(0.0, trainable=False))
