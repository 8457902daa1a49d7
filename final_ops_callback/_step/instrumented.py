# SPDX-License-Identifier: Apache-2.0
"""Makes step functions of Keras that return more: the values asked for.

The values leave the step as extra outputs of the compiled function. Keras
makes its function again while the methods through which the values pass are
wrapped on the instances: `compute_loss` of the model, `call` of a layer,
`apply` of the optimizer. The extra outputs are removed before Keras sees its
own. The wrappers run only when Keras traces the step (in each step, if it runs
eagerly).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import model_functions
from final_ops_callback._keras.wrapping import Place
from final_ops_callback._keras.wrapping import Wrappers
from final_ops_callback._keras.wrapping import unconverted
from final_ops_callback._step.fusion import StepCaller
from final_ops_callback._step.fusion import StepPart
from final_ops_callback._step.kind import Collected
from final_ops_callback._step.kind import ModelStep
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.replicas import Norm
from final_ops_callback._step.replicas import Share
from final_ops_callback._step.replicas import joined
from final_ops_callback.errors import StepTensorError

# The functions made from a function of the model are kept with it, so that the
# next callback needs no trace of its own: TensorFlow never frees all of one.
_MADE, _MOST_MADE = "_final_ops_callback_made", 8
_MANY_TRACES = 4

# The step returns a dict of its own outputs and of what was collected.
_OUTPUTS, _COLLECTED = "outputs", "final_ops_callback/collected"

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
        self._traces = 0
        self._made: _Made | None = None
        self._made_from: Any = None
        self._taken: dict[str, TakenTensor] = {}
        self._wanted: Mapping[str, TakenTensor] | None = None

    @staticmethod
    def was_compiled_without(function: Any) -> bool:
        """Returns whether a step function was only compiled as Keras has it.

        Args:
            function: A step function that Keras has made, or `None`.
        """
        return model_functions.was_traced(function) and not _made_from(function)

    def call(
        self,
        function: Callable[..., Any],
        data: Any,
        wanted: Mapping[str, TakenTensor],
        optional: Collection[str] = (),
        part: StepPart | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Runs one step, and takes values out of it.

        Args:
            function: The step function that Keras has made.
            data: What it is called with.
            wanted: Mapping from names to the step tensors to take. It must not
                change after it was passed: it is compared by identity.
            optional: Collection of the names of those that may be missing.
                Defaults to none.
            part: What has to be computed with the step. Defaults to `None`:
                nothing.

        Returns:
            Pair of the outputs that Keras knows and the dict of the others.

        Raises:
            StepTensorError: The step does not deliver one of them.
        """
        if self._made_from is not function:
            self._made, self._taken = None, {}
        if wanted is not self._wanted or self._made is None:
            if self._made is None or wanted.items() - self._taken.items():
                self._find_or_make(wanted, optional, function)
            self._wanted = wanted
        if self._made is None:
            raise RuntimeError("_find_or_make makes it")
        if self._made.missing:
            self._made.check(wanted.keys() - set(optional))
        try:
            outputs = self._made(data, part)
        except END_OF_DATA:
            raise
        except BaseException:
            if not self._made.was_traced:
                # What the step can't deliver is not asked for a second time.
                _made_from(function).pop(frozenset(self._taken.items()), None)
                self._made, self._taken = None, {}
            raise
        return outputs[_OUTPUTS], outputs[_COLLECTED]

    def _find_or_make(
        self,
        wanted: Mapping[str, TakenTensor],
        optional: Collection[str],
        function: Any,
    ) -> None:
        taken = {**self._taken, **wanted}
        made, key = _made_from(function), frozenset(taken.items())
        if key not in made:
            while len(made) >= _MOST_MADE:
                made.pop(next(iter(made)))
            made[key] = _Made(self.model, self._phase, taken, optional)
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
                    sorted(wanted),
                )
        self._made, self._made_from, self._taken = made[key], function, taken


class _Made:
    """One step function with extra outputs, and what it needs while traced.

    Args:
        model: The Keras model.
        phase: String. `"train"`, `"test"` or `"predict"`.
        taken: Mapping from names to the step tensors that it returns.
        optional: Collection of the names that a step may not deliver.

    Attributes:
        was_traced: Boolean. Whether a step has run, so that it can.
        missing: Dict from the optional names that a trace has not delivered
            to what an error says of them.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        taken: Mapping[str, TakenTensor],
        optional: Collection[str],
    ) -> None:
        self._step = ModelStep(model, phase)
        self._taken = dict(taken)
        self._optional = frozenset(optional)
        self._wrappers = Wrappers(self._places())
        self._raised: StepTensorError | None = None
        self.was_traced = False
        self.missing: dict[str, tuple[Any, ...]] = {}
        # Replicas trace in threads of their own.
        self._local = threading.local()
        self._function = self._wrapped(
            model_functions.make_another, model, phase
        )
        self._caller = StepCaller(
            self._function, self._call_wrapped, _collected
        )

    def __call__(self, data: Any, part: StepPart | None = None) -> Any:
        """Runs one step.

        Args:
            data: What Keras gives to its step function.
            part: What has to be computed with the step, or `None`.
        """
        return self._caller(data, part)

    def check(self, names: Iterable[str]) -> None:
        """Refuses names that a trace of the step has not delivered.

        Args:
            names: Iterable of the names that are needed now.

        Raises:
            StepTensorError: One of them was optional, and is missing.
        """
        for name in names:
            if name in self.missing:
                raise StepTensorError(*self.missing[name])

    def _call_wrapped(self, data: Any) -> Any:
        outputs = self._wrapped(self._function, data)
        self.was_traced = True
        return outputs

    def _wrapped(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls something while the methods are wrapped.

        Keras may trace the function in any call of it.
        """
        try:
            return self._wrappers.run(call, *args)
        except Exception as error:
            # Autograph of Keras 2 makes another error of what it runs.
            own, self._raised = self._raised, None
            if own is None or own is error:
                raise
            raise own from None
        finally:
            self._local.collected = None

    def _places(self) -> Iterator[Place]:
        """Yields the methods to wrap, and with what; each once."""
        yield self._step.model, f"{self._step.phase}_step", self._noting_step
        seen = set()
        for tensor in self._taken.values():
            for owner, name, wrap in tensor.install(self._step, self._record):
                if (id(owner), name) not in seen:
                    seen.add((id(owner), name))
                    yield owner, name, wrap

    def _record(self) -> Collected | None:
        return getattr(self._local, "collected", None)

    def _noting_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def noting_step(*args: Any) -> Any:
            self._begin()
            outputs = step(*args)
            return self._with_collected(outputs, args[0])

        return noting_step

    @unconverted
    def _begin(self) -> None:
        self._local.collected = Collected.of(self._step)

    @unconverted
    def _with_collected(self, outputs: Any, data: Any) -> dict[str, Any]:
        collected, self._local.collected = self._local.collected, None
        collected.data, collected.result = data, outputs
        shares: dict[str, Share | Norm] = {}
        for name, tensor in self._taken.items():
            try:
                shares[name] = tensor.collect(name, collected)
            except StepTensorError as error:
                if name not in self._optional:
                    self._raised = error
                    raise
                # Not the error, whose frames would keep the callback alive.
                self.missing[name] = error.args
        return {_OUTPUTS: outputs, _COLLECTED: joined(shares)}


def _collected(outputs: Any) -> Any:
    return outputs[_COLLECTED]


def _made_from(function: Any) -> dict[Any, _Made]:
    """Returns the functions with extra outputs that were made of one."""
    return getattr(function, "__dict__", {}).setdefault(_MADE, {})
