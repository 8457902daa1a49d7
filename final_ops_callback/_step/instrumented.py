# SPDX-License-Identifier: Apache-2.0
"""A step function of Keras with extra outputs: the values that were asked for.

They leave the step as outputs of the compiled function: Keras makes its
function anew while a collector wraps what the values pass through, and they
are taken off again before Keras sees its own outputs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._step.collect import COLLECTED
from final_ops_callback._step.collect import OUTPUTS
from final_ops_callback._step.collect import Collector
from final_ops_callback._step.names import Source
from final_ops_callback._step.names import StepNames

# What was made from a function of the model is kept with it, so that the next
# callback needs no trace of its own: TensorFlow never frees all of one.
_MADE, _MOST_MADE = "_final_ops_callback_made", 8
_MANY_TRACES = 4

# What ends the data is not a failure.
END_OF_DATA = (StopIteration, tf.errors.OutOfRangeError)

logger = logging.getLogger("final_ops_callback")


class InstrumentedStep:
    """Makes and calls step functions of a model that have extra outputs.

    What was taken in an earlier step is taken again, so that a hook that asks
    now and then costs no new trace.

    Args:
        model: The Keras model.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Attributes:
        model: The Keras model.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self.model = model
        self._phase = phase
        self._function_name = f"{phase}_function"
        self._traces = 0
        self._collector: Collector | None = None
        self._made: Callable[..., Any] | None = None
        self._made_from: Any = None
        self._taken: dict[str, Source] = {}

    @staticmethod
    def was_compiled_without(function: Any) -> bool:
        """Returns whether a step function was only compiled as Keras has it.

        Args:
            function: A step function that Keras has made, or `None`.
        """
        return compat.was_traced(function) and not _made_from(function)

    def call(
        self,
        function: Callable[..., Any],
        data: Any,
        sources: Mapping[str, Source],
        optional: Collection[str] = (),
    ) -> tuple[Any, dict[str, Any]]:
        """Runs one step, and takes values out of it.

        Args:
            function: The step function that Keras has made.
            data: What it is called with.
            sources: Mapping from a name to where its value is taken.
            optional: Collection of the names of those that may be missing.
                Defaults to none.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.

        Raises:
            StepTensorError: The step does not deliver one of them.
        """
        if self._made_from is not function:
            self._made, self._taken = None, {}
        if self._made is None or sources.items() - self._taken.items():
            self._find_or_make(sources, optional, function)
        collector, made = self._collector, self._made
        if collector is None or made is None:
            raise RuntimeError("_find_or_make makes them")
        collector.check(sources.keys() - set(optional))
        try:
            with collector.installed():
                outputs = made(data)
        except END_OF_DATA:
            raise
        except BaseException:
            # What the step can't deliver is not asked for a second time.
            _made_from(function).pop(frozenset(self._taken.items()), None)
            self._made, self._taken = None, {}
            raise
        return outputs[OUTPUTS], outputs[COLLECTED]

    def _find_or_make(
        self,
        sources: Mapping[str, Source],
        optional: Collection[str],
        function: Any,
    ) -> None:
        taken = {**self._taken, **sources}
        made, key = _made_from(function), frozenset(taken.items())
        if key not in made:
            while len(made) >= _MOST_MADE:
                made.pop(next(iter(made)))
            made[key] = self._make(taken, optional)
            self._traces += 1
            if self._traces == _MANY_TRACES:
                logger.warning(
                    "The %s step of %r was compiled %d times, because hooks "
                    "asked for something new again and again, now for %s. "
                    "Each costs as much as the first step: look the names up "
                    "in begin, or declare them in step_tensors.",
                    self._phase,
                    self.model.name,
                    self._traces,
                    sorted(sources),
                )
        self._made, self._collector = made[key]
        self._made_from, self._taken = function, taken

    def _make(
        self, taken: dict[str, Source], optional: Collection[str]
    ) -> tuple[Any, Collector]:
        collector = Collector(
            self.model,
            self._phase,
            taken,
            StepNames(self.model, self._phase),
            optional,
        )
        before = dict(vars(self.model))
        try:
            with collector.installed():
                getattr(self.model, f"make_{self._phase}_function")(force=True)
            return getattr(self.model, self._function_name), collector
        finally:
            # Keras 2 keeps a second reference beside the function.
            for name in (self._function_name, f"{self._phase}_tf_function"):
                if name in before:
                    vars(self.model)[name] = before[name]


def _made_from(function: Any) -> dict[Any, tuple[Any, Collector]]:
    """Returns the functions with extra outputs that were made of one."""
    return getattr(function, "__dict__", {}).setdefault(_MADE, {})
