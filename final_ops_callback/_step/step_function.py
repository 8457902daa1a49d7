# SPDX-License-Identifier: Apache-2.0
"""Replaces the step function of a Keras model while a run lasts.

Keras calls `model.train_function` (or `test_function`, `predict_function`)
for each step. While a run has subscribers, that attribute holds a
`StepFunction`: it asks each subscriber what it wants of the coming step, runs
Keras's own function, and gives each subscriber what the step delivered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import weakref
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import Protocol

from final_ops_callback._eager_mode import NO_CONTEXT
from final_ops_callback._keras import model_functions
from final_ops_callback._profile import traced_into
from final_ops_callback._step.fusion import StepCaller
from final_ops_callback._step.fusion import StepPart
from final_ops_callback._step.instrumented import END_OF_DATA
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.kind import TakenTensor

# Marks a method that the model has from its class: nobody has replaced it.
_CLASS_HAS_IT = object()


@dataclasses.dataclass(frozen=True)
class StepRequest:
    """What one subscriber wants of the coming step.

    Attributes:
        tensors: Mapping from names to the step tensors to take.
        optional: Collection of those names that the step may not deliver.
        around: Context in which the step runs.
        trace: A `tf.compat.v1.RunMetadata` for the trace of the step, or
            `None`.
        part: The `StepPart` of the subscriber: what has to be computed with
            the step. `None` if there is nothing, or it was computed.
        instead: Function that is called with the data and replaces the step,
            or `None`. No subscriber is told of a step that was replaced.
    """

    tensors: Mapping[str, TakenTensor] = dataclasses.field(default_factory=dict)
    optional: Collection[str] = ()
    around: contextlib.AbstractContextManager[Any] = NO_CONTEXT
    trace: Any = None
    part: StepPart | None = None
    instead: Callable[[Any], Any] | None = None


class Subscriber(Protocol):
    """Interface of an object that watches the steps of a run."""

    instrumented: InstrumentedStep

    def before_step(self, data: Any) -> StepRequest:
        """Returns what the subscriber wants of the coming step.

        Args:
            data: What Keras gives to its step function: usually an iterator.
        """

    def after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        """Receives what the step delivered.

        Args:
            outputs: What Keras's own function returned: logs or predictions.
            values: Mapping from the names that the subscribers wanted of this
                step to their values.
        """

    def no_data(self) -> None:
        """Is called when the data had ended before the step."""

    def step_failed(self, error: BaseException) -> None:
        """Is called when the step, or a subscriber, has raised an error."""


class StepFunction:
    """The object that Keras calls for each step while a run has subscribers.

    A call of Keras inside the run (`evaluate` in an `evaluate`,
    `train_on_batch` in a callback) is not part of the run, so it has to find
    the model's own function. For this purpose, the methods of the model are
    wrapped while the step function is installed.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Attributes:
        function: The step function that Keras has made, or `None` if Keras
            has not made one yet.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self._model = weakref.ref(model)
        # Not by setattr, because Keras tracks what is set on a model.
        self._own = vars(model)
        self._phase = phase
        self._name = model_functions.attribute_of(phase)
        self.function: Callable[..., Any] | None = self._own.get(self._name)
        # How the function is called; made in the first step.
        self._caller: StepCaller | None = None
        self._make = model_functions.maker_of(phase)
        self._subscribers: list[weakref.ref[Subscriber]] = []
        self._expected_by: list[weakref.ref[Any]] = []
        # From the name of a method to what wraps it, and what stood there.
        self._wrappers: dict[str, tuple[Any, Any]] = {}
        self._is_running = False
        # Whether the run began inside a call of Keras, and not in a custom
        # training loop.
        self._is_in_keras = False

    @classmethod
    def of(cls, model: Any, phase: str) -> StepFunction:
        """Returns the step function that is installed in a model, or a new one.

        Args:
            model: A Keras model of any flavor.
            phase: String. `"train"`, `"test"` or `"predict"`.
        """
        found = vars(model).get(model_functions.attribute_of(phase))
        return found if isinstance(found, cls) else cls(model, phase)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Adds a subscriber, when its run begins.

        Args:
            subscriber: The object that watches the steps. It is held weakly:
                once it has been deleted, it is no longer subscribed.
        """
        self._subscribers.append(weakref.ref(subscriber, self._forget_deleted))
        self._is_in_keras = model_functions.is_running(self._model())
        self._install()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Removes a subscriber; the last one restores Keras's function."""
        self._subscribers = [
            ref for ref in self._subscribers if ref() is not subscriber
        ]
        self._forget_deleted()

    def expect(self, owner: Any) -> None:
        """Installs the step function for an evaluate that may follow.

        Keras 2 looks up the function of `evaluate` before any callback begins.

        Args:
            owner: The object that expects the evaluate. It is held weakly: the
                evaluate never comes if another callback raises an error.
        """
        self._expected_by.append(weakref.ref(owner, self._forget_deleted))
        self._install()

    def expect_no_more(self, owner: Any) -> None:
        """Undoes what `expect` did for an owner."""
        self._expected_by = [
            ref for ref in self._expected_by if ref() is not owner
        ]
        self._forget_deleted()

    @property
    def is_installed(self) -> bool:
        """Whether Keras calls this object; `compile` ends that."""
        return self._own.get(self._name) is self

    def __call__(self, data: Any) -> Any:
        """Runs one step, for Keras and for all subscribers."""
        subscribers = [one for ref in self._subscribers if (one := ref())]
        try:
            return self._step(data, subscribers)
        except END_OF_DATA:
            raise
        except BaseException as error:
            for one in subscribers:
                one.step_failed(error)
            raise

    def _step(self, data: Any, subscribers: list[Subscriber]) -> Any:
        requests = []
        for one in subscribers:
            request = one.before_step(data)
            if request.part is not None and len(subscribers) > 1:
                # The next one may change what this one reads.
                request.part.run()
                request = dataclasses.replace(request, part=None)
            requests.append(request)
        for request in requests:
            if request.instead is not None:
                return request.instead(data)
        self._is_running = True
        try:
            outputs, values = self._run(data, subscribers, requests)
        except END_OF_DATA:
            for one in subscribers:
                one.no_data()
            raise
        finally:
            self._is_running = False
        for one in subscribers:
            one.after_step(outputs, values)
        return outputs

    def _run(
        self,
        data: Any,
        subscribers: list[Subscriber],
        requests: list[StepRequest],
    ) -> tuple[Any, dict[str, Any]]:
        function = self.function or self._new_function()
        part = None
        if len(requests) == 1:
            [request] = requests
            wanted, optional = request.tensors, request.optional
            part = request.part
        else:
            wanted = {n: t for one in requests for n, t in one.tensors.items()}
            needed = {
                name
                for one in requests
                for name in one.tensors.keys() - set(one.optional)
            }
            optional = wanted.keys() - needed
        with _around(requests):
            if not wanted:
                if (
                    self._caller is None
                    or self._caller.function is not function
                ):
                    self._caller = StepCaller(function)
                return self._caller(data, part), {}
            # The function is traced for the first subscriber that wants
            # something of the step.
            first = next(
                one
                for one, request in zip(subscribers, requests, strict=True)
                if request.tensors
            )
            return first.instrumented.call(
                function, data, wanted, optional, part
            )

    def _new_function(self) -> Callable[..., Any]:
        self._uninstall()
        getattr(self._model(), self._make)()
        self._install()
        if self.function is None:
            raise RuntimeError(f"{self._make} made no function")
        return self.function

    def _install(self) -> None:
        if not self.is_installed:
            self.function = self._own.get(self._name)
            self._own[self._name] = self
        model = self._model()
        for name in model_functions.CALLERS[self._phase]:
            if hasattr(model, name):
                self._wrap(name, self._call_inside)
        self._wrap(self._make, self._make_and_install)

    def _wrap(self, name: str, call: Callable[..., Any]) -> None:
        # A partial, not a function: a model that holds functions of a user
        # counts as one that may draw random numbers (`_keras.randomness`).
        if name not in self._wrappers:
            wrapper = functools.partial(call, name)
            self._wrappers[name] = wrapper, self._own.get(name, _CLASS_HAS_IT)
            self._own[name] = wrapper

    def _unwrapped(self, name: str) -> Callable[..., Any]:
        _, before = self._wrappers[name]
        if before is not _CLASS_HAS_IT:
            return before
        model = self._model()
        return functools.partial(getattr(type(model), name), model)

    def _uninstall(self) -> None:
        for name, (wrapper, before) in self._wrappers.items():
            if self._own.get(name) is not wrapper:
                continue  # somebody has replaced it since
            if before is _CLASS_HAS_IT:
                del self._own[name]
            else:
                self._own[name] = before
        self._wrappers.clear()
        self._caller = None
        if self.is_installed:
            self._own[self._name] = self.function

    def _make_and_install(self, name: str, force: bool = False) -> Any:
        """Lets the model make its function, and replaces the new one."""
        if self._is_running:  # `InstrumentedStep` makes one of its own
            return self._unwrapped(name)(force=force)
        self._uninstall()
        made = getattr(self._model(), name)(force=force)
        if made is not None:  # Keras 2 sets what this returns
            self._own[self._name] = made
        self._install()
        return self

    def _call_inside(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Runs a call of Keras that is not part of the run."""
        self._uninstall()
        model = self._model()
        if self._is_in_keras and not model_functions.is_running(model):
            # The run is over: another callback has raised an error, and Keras
            # does not tell the others.
            self._subscribers.clear()
            self._expected_by.clear()
        method = getattr(model, name)
        inner = StepFunction.of(model, self._phase)
        if self._expected_by:
            inner.expect(self)
        try:
            return method(*args, **kwargs)
        finally:
            StepFunction.of(model, self._phase)._uninstall()
            inner._uninstall()
            self._forget_deleted()
            if not self._is_idle:
                self._install()

    @property
    def _is_idle(self) -> bool:
        return not (self._subscribers or self._expected_by)

    def _forget_deleted(self, _: Any = None) -> None:
        self._subscribers = [one for one in self._subscribers if one()]
        self._expected_by = [one for one in self._expected_by if one()]
        if self._is_idle:
            self._uninstall()


def expected_evaluate(model: Any, owner: Any) -> StepFunction | None:
    """Installs a step function where evaluate looks up its function early.

    Args:
        model: A Keras model of any flavor.
        owner: The object that expects the evaluate. It is held weakly.

    Returns:
        The step function, for `expect_no_more`; `None` in Keras 3, which looks
        up the function in each step.
    """
    own = getattr(model, "__dict__", {})
    has_place = model_functions.attribute_of("test") in own
    if not has_place or not model_functions.takes_function_early(model):
        return None
    step_function = StepFunction.of(model, "test")
    step_function.expect(owner)
    return step_function


def _around(
    requests: list[StepRequest],
) -> contextlib.AbstractContextManager[Any]:
    """Returns the context in which the step runs; usually an empty one."""
    contexts = [r.around for r in requests if r.around is not NO_CONTEXT]
    traces = [r.trace for r in requests if r.trace is not None]
    if not contexts and not traces:
        return NO_CONTEXT
    if len(contexts) == 1 and not traces:
        return contexts[0]
    return _entering(contexts, traces)


@contextlib.contextmanager
def _entering(contexts: list[Any], traces: list[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as around:
        for context in contexts:
            around.enter_context(context)
        if traces:
            around.enter_context(traced_into(*traces))
        yield
