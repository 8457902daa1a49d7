# SPDX-License-Identifier: Apache-2.0
"""The step function: stands in the place of Keras's own while a run lasts.

Keras calls `model.train_function` (or `test_function`, `predict_function`)
for each step. While somebody watches the steps of a run, a `StepFunction`
stands in that attribute: each watcher says what it wants of the step that
comes, Keras's own function runs, and each watcher gets what it delivered.
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

from final_ops_callback._keras import step_functions
from final_ops_callback._profile import traced_into
from final_ops_callback._step.instrumented import END_OF_DATA
from final_ops_callback._step.instrumented import InstrumentedStep
from final_ops_callback._step.kind import TakenTensor

NO_CONTEXT = contextlib.nullcontext()
# A model whose method nobody has replaced.
_CLASS_HAS_IT = object()


@dataclasses.dataclass(frozen=True)
class StepRequest:
    """What one subscriber wants of the step that comes.

    Attributes:
        tensors: Mapping from names to the step tensors to take.
        optional: Collection of those names that the step may not deliver.
        around: Context in which the step runs.
        trace: A `tf.compat.v1.RunMetadata` for the trace of the step, or
            `None`.
        instead: Function of the data that takes the place of the step, or
            `None`. Then no subscriber is told of a step.
    """

    tensors: Mapping[str, TakenTensor] = dataclasses.field(default_factory=dict)
    optional: Collection[str] = ()
    around: contextlib.AbstractContextManager[Any] = NO_CONTEXT
    trace: Any = None
    instead: Callable[[Any], Any] | None = None


class Subscriber(Protocol):
    """Who watches the steps of a run."""

    instrumented: InstrumentedStep

    def before_step(self, data: Any) -> StepRequest:
        """Returns what it wants of the step that comes.

        Args:
            data: What Keras gives to its step function: mostly an iterator.
        """

    def after_step(self, outputs: Any, values: Mapping[str, Any]) -> None:
        """Takes what the step delivered.

        Args:
            outputs: What Keras's own function returned: logs, predictions.
            values: Mapping from the names that any subscriber wanted of this
                step to their values.
        """

    def no_data(self) -> None:
        """Learns that there was no data for the step."""

    def step_failed(self, error: BaseException) -> None:
        """Learns that the step, or another subscriber, has failed."""


class StepFunction:
    """Stands for the step function of a model while somebody watches it.

    A call of Keras inside of the run (`evaluate` in an `evaluate`,
    `train_on_batch` in a callback) is not of the run: it finds the model's
    own function. For that, the model's methods are wrapped for as long as
    this stands.

    Args:
        model: A Keras model of any version.
        phase: String. `"train"`, `"test"` or `"predict"`.

    Attributes:
        function: The step function that Keras has made, or `None` if it has
            made none yet.
    """

    def __init__(self, model: Any, phase: str) -> None:
        self._model = weakref.ref(model)
        # Not by setattr, because Keras tracks what is set on a model.
        self._own = vars(model)
        self._phase = phase
        self._name = step_functions.attribute_of(phase)
        self.function: Callable[..., Any] | None = self._own.get(self._name)
        self._make = step_functions.maker_of(phase)
        self._subscribers: list[weakref.ref[Subscriber]] = []
        self._expected_by: list[weakref.ref[Any]] = []
        # From the name of a method to what wraps it, and what stood there.
        self._wrappers: dict[str, tuple[Any, Any]] = {}
        self._is_running = False

    @classmethod
    def of(cls, model: Any, phase: str) -> StepFunction:
        """Returns the one that stands in a model, or one that may.

        Args:
            model: A Keras model of any version.
            phase: String. `"train"`, `"test"` or `"predict"`.
        """
        found = vars(model).get(step_functions.attribute_of(phase))
        return found if isinstance(found, cls) else cls(model, phase)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Lets somebody watch the steps of a run that begins.

        Args:
            subscriber: Who watches. It is held weakly: when it is gone, it
                watches no more.
        """
        self._subscribers.append(weakref.ref(subscriber, self._forget_the_dead))
        self._place()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Lets somebody watch no more; the last puts Keras's function back."""
        self._subscribers = [
            ref for ref in self._subscribers if ref() is not subscriber
        ]
        self._forget_the_dead()

    def expect(self, owner: Any) -> None:
        """Stands ready for an evaluate that takes its function early.

        Keras 2 takes the function of `evaluate` before any callback begins.

        Args:
            owner: Who expects it, held weakly: the evaluate may never come,
                because another callback failed.
        """
        self._expected_by.append(weakref.ref(owner, self._forget_the_dead))
        self._place()

    def expect_no_more(self, owner: Any) -> None:
        """Takes back what `expect` did for an owner."""
        self._expected_by = [
            ref for ref in self._expected_by if ref() is not owner
        ]
        self._forget_the_dead()

    @property
    def stands(self) -> bool:
        """Whether Keras still calls this; it does not after a new compile."""
        return self._own.get(self._name) is self

    def __call__(self, data: Any) -> Any:
        """Runs one step, for Keras and for all who watch it."""
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
        requests = [one.before_step(data) for one in subscribers]
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
        if len(requests) == 1:
            [request] = requests
            wanted, optional = request.tensors, request.optional
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
                return function(data), {}
            # Whoever takes something in every step has its function traced.
            first = next(
                one
                for one, request in zip(subscribers, requests, strict=True)
                if request.tensors
            )
            return first.instrumented.call(function, data, wanted, optional)

    def _new_function(self) -> Callable[..., Any]:
        self._remove()
        getattr(self._model(), self._make)()
        self._place()
        if self.function is None:
            raise RuntimeError(f"{self._make} made no function")
        return self.function

    def _place(self) -> None:
        if not self.stands:
            self.function = self._own.get(self._name)
            self._own[self._name] = self
        model = self._model()
        for name in step_functions.CALLERS[self._phase]:
            if hasattr(model, name):
                self._wrap(name, self._call_inside)
        self._wrap(self._make, self._make_and_stand)

    def _wrap(self, name: str, call: Callable[..., Any]) -> None:
        # A partial and not a function: a model that holds functions of a
        # user is taken for one that may draw random numbers by them.
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

    def _remove(self) -> None:
        for name, (wrapper, before) in self._wrappers.items():
            if self._own.get(name) is not wrapper:
                continue  # somebody has set another one since
            if before is _CLASS_HAS_IT:
                del self._own[name]
            else:
                self._own[name] = before
        self._wrappers.clear()
        if self.stands:
            self._own[self._name] = self.function

    def _make_and_stand(self, name: str, force: bool = False) -> Any:
        """Stands in the place of what the model makes anew."""
        if self._is_running:  # and makes one with extra outputs
            return self._unwrapped(name)(force=force)
        self._remove()
        made = getattr(self._model(), name)(force=force)
        if made is not None:  # Keras 2 sets what this returns
            self._own[self._name] = made
        self._place()
        return self

    def _call_inside(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Runs a call of Keras that is not of the run that this stands for."""
        self._remove()
        model = self._model()
        method = getattr(model, name)
        inner = StepFunction.of(model, self._phase)
        if self._expected_by:
            inner.expect(self)
        try:
            return method(*args, **kwargs)
        finally:
            StepFunction.of(model, self._phase)._remove()
            inner._remove()
            self._forget_the_dead()
            if not self._is_idle:
                self._place()

    @property
    def _is_idle(self) -> bool:
        return not (self._subscribers or self._expected_by)

    def _forget_the_dead(self, _: Any = None) -> None:
        self._subscribers = [one for one in self._subscribers if one()]
        self._expected_by = [one for one in self._expected_by if one()]
        if self._is_idle:
            self._remove()


def expected_evaluate(model: Any, owner: Any) -> StepFunction | None:
    """Stands ready for an evaluate, where its function is taken early.

    Args:
        model: A Keras model of any version.
        owner: Who expects the evaluate, held weakly.

    Returns:
        The step function that stands ready, for `expect_no_more`; `None` in
        Keras 3, which looks its function up at each step.
    """
    own = getattr(model, "__dict__", {})
    has_place = step_functions.attribute_of("test") in own
    if not has_place or not step_functions.takes_function_early(model):
        return None
    step_function = StepFunction.of(model, "test")
    step_function.expect(owner)
    return step_function


def _around(
    requests: list[StepRequest],
) -> contextlib.AbstractContextManager[Any]:
    """Returns the context of a step; nearly always, it does nothing."""
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
