# SPDX-License-Identifier: Apache-2.0
"""Plans what to run for some fetches, before a training step and after it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from final_ops_callback._eager_mode import NO_CONTEXT
from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._eager_mode import value_now
from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.program import Program
from final_ops_callback._session.reads import plain_read
from final_ops_callback._session.reads import readable
from final_ops_callback._session.reads import shadows
from final_ops_callback._session.resources import Resources
from final_ops_callback._session.split import dependent_on
from final_ops_callback._session.split import frontier_of
from final_ops_callback._session.split import touched_by_effects
from final_ops_callback._session.subgraph import needed_operations
from final_ops_callback._tf_private import FetchMapper
from final_ops_callback._to_host import to_host
from final_ops_callback.errors import StepTensorError


class Plan:
    """What to run for one structure of fetches with one set of feeds.

    v1 ran fetches together with the train op, so they saw the variables from
    before the update and the loss of the forward pass. Therefore, everything
    that does not depend on a step tensor is computed before the step. The
    rest is computed after it, from the step tensors and from the frontier: the
    values that were computed before the step and that the later part uses.

    Args:
        graph: The graph.
        fetches: The structure, as `Session.run` takes it.
        feeds: Sequence of the tensors that are fed.
        resources: The `Resources` of the session.
        links: The `ModelLinks` of the graph.

    Attributes:
        step_names: List of the names of the step tensors that are needed.
        feed_names: List of the names of the fed tensors.
        used_feeds: Set of the names of the fed tensors that a fetch needs.
        is_pure: Boolean. Whether running `before` again has no side effects.
        can_join: Boolean. Whether what `before` runs can be a part of another
            function instead, by `trace_before`: it is pure, and nothing has to
            be checked around it.
    """

    def __init__(
        self,
        graph: tf.Graph,
        fetches: Any,
        feeds: Sequence[tf.Tensor],
        resources: Resources,
        links: ModelLinks,
    ) -> None:
        self._graph = graph
        self._links = links
        self._resources = resources
        self._feeds = list(feeds)
        self.feed_names = [tensor.name for tensor in feeds]
        self._handler = FetchMapper(graph, fetches, {})
        self._has_plain_keys = _has_plain_keys(fetches)
        self._tensors = [
            readable(graph, tensor) for tensor in self._handler.fetches()
        ]
        self._names = [tensor.name for tensor in self._tensors]
        targets = [
            op for op in self._handler.targets() if op.name not in links.twins
        ]
        # What `again` runs, once it has been called.
        self._unaffected: _Unaffected | None = None
        self._split(targets)

    def before(self, fed: Sequence[np.ndarray]) -> dict[str, Any]:
        """Runs the part that does not depend on the step.

        Args:
            fed: Sequence of arrays: the values of the feeds.

        Returns:
            Dict from the name of a tensor to its value, which is an eager
            tensor or the array that was fed. It has the feeds, the fetches
            and the frontier.
        """
        known = dict(zip(self.feed_names, fed, strict=True))
        if not (self._reads or self._shadows or self._before):
            return known
        with eager_mode():
            known |= {name: v.read() for name, v in self._reads.items()}
            for live, shadow in self._shadows.values():
                shadow.assign(live.read())
            return self._run(self._before, known)

    def again(self, known: dict[str, Any]) -> dict[str, Any]:
        """Runs that part of `before` a second time which has no effects.

        Args:
            known: What `before` returned, with the same feeds.

        Returns:
            What `before` returned, with new values. A value that comes from an
            effect, or from a variable that was written, is the one from then.
        """
        if self._unaffected is None:
            self._unaffected = self._without_effects()
        reads, shadows, part = self._unaffected
        with eager_mode():
            known = known | {name: live.read() for name, live in reads.items()}
            for live, shadow in shadows:
                shadow.assign(live.read())
            return self._run(part, known)

    def _without_effects(self) -> _Unaffected:
        touched, written = touched_by_effects(
            self._graph, self._early_operations
        )
        twins = self._links.twins
        kept = {id(twins[name]) for name in written & twins.keys()}
        part = _part(
            self._graph,
            [t for t in self._early_tensors if t.op not in touched],
            [],
            self._feeds,
            (),
            self._resources,
            self._links,
        )
        reads = self._reads.items()
        shadows = self._shadows.values()
        return _Unaffected(
            {name: live for name, live in reads if id(live) not in kept},
            [pair for pair in shadows if id(pair[0]) not in kept],
            part,
        )

    def trace_before(self) -> dict[str, tf.Tensor]:
        """Adds what `before` runs to the graph that is being traced.

        Returns:
            What `before` returns, with symbolic tensors.
        """
        for live, shadow in self._shadows.values():
            tf.raw_ops.AssignVariableOp(
                resource=shadow.handle, value=value_now(live.variable)
            )
        known = {
            name: value_now(live.variable) for name, live in self._reads.items()
        }
        return known | (self._before.trace(known) if self._before else {})

    def trace_after(
        self, known: dict[str, tf.Tensor], step_values: Mapping[str, Any]
    ) -> dict[str, tf.Tensor] | None:
        """Adds what `results` runs to the graph that is being traced.

        Args:
            known: What `trace_before` returned.
            step_values: Mapping from the names of step tensors to symbolic
                values.

        Returns:
            Dict from the names of the fetches that depend on the step to
            symbolic tensors, for `results`; `None` if the values of the step
            have to be converted or checked first.
        """
        if self._after is None or not self._after.can_be_traced:
            return None
        for name, tensor in zip(self.step_names, self._steps, strict=True):
            if not _is_as_declared(step_values.get(name), tensor):
                return None
            known = {**known, tensor.name: step_values[name]}
        return self._after.trace(known)

    def own_error(self, error: tf.errors.OpError) -> Exception | None:
        """Returns the error that `before` or `results` would have raised.

        Args:
            error: The error of a function that runs this plan, too.

        Returns:
            The error; `None` if nothing of this plan has caused it.
        """
        found = (p.own_error(error) for p in (self._before, self._after) if p)
        return next(filter(None, found), None)

    def results(
        self,
        known: dict[str, Any],
        step_values: Mapping[str, Any] = MappingProxyType({}),
        is_read: bool = True,
        late: Mapping[str, Any] | None = None,
    ) -> Any:
        """Runs the part that depends on the step, and returns all values.

        Args:
            known: What `before` returned.
            step_values: Mapping from the names of the step tensors to their
                values. Defaults to none, for a plan without `step_names`.
            is_read: Boolean. Whether somebody reads the values. If not, they
                stay on the device. Defaults to `True`.
            late: Mapping with the values of `trace_after`, if another function
                has computed them. Defaults to `None`.

        Returns:
            The values in the structure of the fetches, as NumPy; `None` if
            nobody reads them.
        """
        if self._steps:
            names = zip(self.step_names, self._steps, strict=True)
            steps = {
                tensor.name: _as_declared(name, step_values[name], tensor)
                for name, tensor in names
            }
            known = known | steps
            known = {**known, **late} if late else self._run(self._after, known)
        if not is_read:
            return None
        values = [_as_host(known[name]) for name in self._names]
        # A variable can be the key of a dict only while its graph is the
        # default one.
        with NO_CONTEXT if self._has_plain_keys else self._graph.as_default():
            return self._handler.build_results(None, values)

    def graphs(self) -> list[Any]:
        """Returns the `GraphDef`s of the parts that the plan runs."""
        parts = (self._before, self._after)
        return [part.graph_def for part in parts if part is not None]

    @staticmethod
    def _run(program: _Part | None, known: dict[str, Any]) -> dict[str, Any]:
        if program is None:
            return known
        return known | program(known)

    def _split(self, targets: list[tf.Operation]) -> None:
        fed = {tensor.ref() for tensor in self._feeds}
        steps = {
            name: tensor
            for name, tensor in self._links.step_tensors.items()
            if tensor.ref() not in fed
        }
        step_ops = {tensor.op for tensor in steps.values()}
        targets = [op for op in targets if op not in step_ops]
        given = fed | {tensor.ref() for tensor in steps.values()}
        needed = needed_operations(self._tensors, targets, given, step_ops)
        consumed = {t.ref() for op in needed for t in op.inputs}
        consumed |= {tensor.ref() for tensor in self._tensors}
        waited_for = {b for op in needed for b in op.control_inputs}
        consumed |= {t.ref() for t in steps.values() if t.op in waited_for}
        self.used_feeds = {t.name for t in self._feeds if t.ref() in consumed}
        wanted = {
            name: tensor
            for name, tensor in steps.items()
            if tensor.ref() in consumed
        }
        self.step_names = list(wanted)
        self._steps = list(wanted.values())

        flow = ControlFlow(needed)
        dependent = dependent_on(flow, step_ops)
        independent = {op for op in needed if op not in dependent}
        frontier, remade = frontier_of(dependent, given, flow)
        fetched = [t for t in self._tensors if t.ref() not in given]
        early = [t for t in fetched if t.op not in dependent]
        # A fetch that only reads a live variable does not need a function.
        reads = {t.name: plain_read(self._graph, self._links, t) for t in early}
        self._reads = {name: r for name, r in reads.items() if r is not None}
        early = [t for t in early if t.name not in self._reads]
        known = {t.ref(): t for t in (*early, *frontier)}
        self._shadows = shadows(self._graph, self._links, dependent | remade)
        # For `again`, which is seldom called.
        self._early_operations = [op for op in needed if op in independent]
        self._early_tensors = list(known.values())
        self._before = _part(
            self._graph,
            self._early_tensors,
            [op for op in targets if op not in dependent]
            + [
                before
                for op in dependent | remade
                for before in op.control_inputs
                if before in independent and before not in remade
            ],
            self._feeds,
            (),
            self._resources,
            self._links,
        )
        self._after = _part(
            self._graph,
            [t for t in fetched if t.op in dependent],
            [op for op in targets if op in dependent],
            [*self._feeds, *self._steps, *frontier],
            (independent | step_ops) - remade,
            self._resources,
            self._links,
            {
                name: shadow.handle
                for name, (_, shadow) in self._shadows.items()
            },
        )
        before = self._before
        self.is_pure = before is None or before.is_pure
        after = self._after
        self.can_join = (
            self.is_pure
            and bool(self._reads or before or (after and after.can_be_traced))
            and not self._feeds
            and all(
                live.is_plain
                for live in (
                    *self._reads.values(),
                    *(live for live, _ in self._shadows.values()),
                )
            )
            and (before is None or before.can_be_traced)
        )


class _Part:
    """A program whose inputs and outputs are dicts by the names of tensors."""

    def __init__(
        self,
        program: Program,
        inputs: Sequence[tf.Tensor],
        outputs: Sequence[tf.Tensor],
    ) -> None:
        self._program = program
        self._inputs = [tensor.name for tensor in inputs]
        self.outputs = [tensor.name for tensor in outputs]

    @property
    def graph_def(self) -> Any:
        return self._program.graph_def

    def __call__(self, known: Mapping[str, Any]) -> dict[str, Any]:
        values = self._program([known[name] for name in self._inputs])
        return dict(zip(self.outputs, values, strict=True))

    @property
    def is_pure(self) -> bool:
        return self._program.is_pure

    @property
    def can_be_traced(self) -> bool:
        return bool(self.outputs) and self._program.can_be_traced

    def own_error(self, error: tf.errors.OpError) -> Exception | None:
        return self._program.own_error(error)

    def trace(self, known: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        values = self._program.trace([known[name] for name in self._inputs])
        return dict(zip(self.outputs, values, strict=True))


class _Unaffected(NamedTuple):
    """That part of what runs before a step which has no effects.

    Attributes:
        reads: Dict from the name of a tensor to the variable whose value it is.
        shadows: List of pairs of a variable and its copy for the later part.
        part: The rest; `None` if there is none.
    """

    reads: dict[str, LiveVariable]
    shadows: list[tuple[LiveVariable, tf.Variable]]
    part: _Part | None


def _part(
    graph: tf.Graph,
    fetches: list[tf.Tensor],
    targets: list[tf.Operation],
    inputs: list[tf.Tensor],
    done: Any,
    resources: Resources,
    links: ModelLinks,
    shadows: Mapping[str, Any] = MappingProxyType({}),
) -> _Part | None:
    if not fetches and not targets:
        return None
    program = Program(
        graph, fetches, targets, inputs, done, resources, links, shadows
    )
    return _Part(program, inputs, fetches)


def _as_declared(name: str, value: Any, declared: tf.Tensor) -> tf.Tensor:
    """Converts a value of the step to the dtype that the graph expects."""
    given = value
    if not isinstance(value, tf.Tensor):
        with eager_mode():
            given = tf.convert_to_tensor(value)
    fits = declared.shape.is_compatible_with(given.shape)
    if fits and given.dtype == declared.dtype:
        return given
    # A float is not converted to an integer; other conversions are made if
    # they keep the value.
    numbers = tf.string not in (given.dtype, declared.dtype)
    loses = given.dtype.is_floating and not declared.dtype.is_floating
    if fits and numbers and not loses:
        with eager_mode():
            cast = tf.cast(given, declared.dtype)
            if _keeps_values(given, cast):
                return cast
    shape, dtype = given.shape.as_list(), given.dtype.name
    raise StepTensorError(
        f"the step delivers {dtype}{shape} instead of "
        f"{declared.dtype.name}{declared.shape}",
        f"step tensor '{name}:0'",
        "Declare what it delivers: SessionRunHookCallback(hooks, "
        f'step_tensors={{"{name}": tf.TensorSpec('
        f'{[None, *shape[1:]] if shape else []}, "{dtype}")}}).',
    )


def _is_as_declared(value: Any, declared: tf.Tensor) -> bool:
    """Returns whether a symbolic value needs no conversion and no check."""
    return (
        isinstance(value, tf.Tensor)
        and value.dtype == declared.dtype
        and value.shape.is_subtype_of(declared.shape)
    )


def _keeps_values(given: tf.Tensor, cast: tf.Tensor) -> bool:
    """Returns whether a cast to the declared dtype kept the values."""
    both_are_fractions = given.dtype.is_floating and cast.dtype.is_floating
    if both_are_fractions and cast.dtype.size >= given.dtype.size:
        return True
    if given.dtype.is_floating:  # precision may be lost, but not the range
        is_same = tf.math.is_finite(cast) | ~tf.math.is_finite(given)
    else:
        # A negative number survives the way to an unsigned dtype and back, so
        # the signs are compared, too.
        is_same = tf.cast(cast, given.dtype) == given
        if given.dtype.is_integer and cast.dtype.is_integer:
            is_same &= (cast < 0) == (given < 0)
    return bool(tf.reduce_all(is_same))


def _has_plain_keys(fetches: Any) -> bool:
    """Returns whether all dicts in a structure of fetches have plain keys."""
    if isinstance(fetches, list | tuple):
        return all(map(_has_plain_keys, fetches))
    if isinstance(fetches, dict):
        return all(isinstance(key, str | int) for key in fetches) and all(
            map(_has_plain_keys, fetches.values())
        )
    return isinstance(fetches, str | tf.Tensor | tf.Operation | tf.Variable)


def _as_host(value: Any) -> Any:
    # Nearly all values are dense tensors, which are the fast case.
    return value.numpy() if isinstance(value, tf.Tensor) else to_host(value)
