# SPDX-License-Identifier: Apache-2.0
"""Makes the first training step in Keras 2 the same as one without hooks."""

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

# The attribute of a model that remembers, until its first step of training,
# that slots were made early.
_EARLY = "_final_ops_callback_early_slots"


class FirstTrace:
    """Restores the double trace of the first step in Keras 2.

    Without hooks, the first step makes the slots of the optimizer, and
    TensorFlow traces a function that makes variables twice. With hooks, the
    slots exist already, because a hook expects them when it begins, so the
    step would be traced only once. Keras 2 draws the seeds of its layers in
    each trace, and its Nadam counts the traces, so the training would differ.
    Therefore the first trace makes a variable that nothing uses.

    A moving average starts from the value that its weight has when the average
    is made. If a hook or a callback has set the weight since then, the average
    is set to the new value of the weight.

    Args:
        model: A model of Keras 2.
        averages: Iterable of triples: a moving average, its weight, and the
            value that the average was made with.
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
        # Keras 3 makes no variables in a trace. Replicas trace in separate
        # threads, and a variable that one of them makes, all have to make.
        is_keras_2 = compat.is_keras_2(model)
        if is_keras_2 and model_info.replicas(model) == 1:
            vars(model)[_EARLY] = [
                (average, weight, average.read_value())
                for average, weight in optimizers.averages_of(model)
            ]

    @classmethod
    def needed(cls, model: Any) -> FirstTrace | None:
        """Returns a `FirstTrace` if a model's slots were made early, or `None`.

        It is needed once, in the first training after the slots were made.
        """
        averages = vars(model).pop(_EARLY, None)
        return None if averages is None else cls(model, averages)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps the step of the model during its first call."""
        while self._averages:
            average, weight, made = self._averages.pop()
            # An average that was restored since then differs, and is kept.
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
            with tf.init_scope():  # as Keras makes its variables
                self._made.append(tf.Variable(0.0, trainable=False))
