# SPDX-License-Identifier: Apache-2.0
"""The kinds of leaf that `final_ops` can have.

A leaf is of the first of the `KINDS` that accepts it. To add a kind, write a
subclass of `LeafKind` and put it into the tuple before the kinds that would
accept its leaves too.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback import _stack
from final_ops_callback import _symbolic
from final_ops_callback._feeds import Feeds
from final_ops_callback._last_step import LastStep
from final_ops_callback._offers import did_you_mean
from final_ops_callback._signature import call_signature
from final_ops_callback._signature import is_concrete_function
from final_ops_callback._structure import map_result
from final_ops_callback._to_host import to_host
from final_ops_callback._training_metrics import is_as_new
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import GraphTensorError
from final_ops_callback.errors import LeafError

logger = logging.getLogger("final_ops_callback")

_NEVER_UPDATED = (
    "%s: nothing seems to have updated the metric %r. It is not among the "
    "metrics of the model, and all of its variables are zero. Give the object "
    "that you gave to compile(metrics=[...]), or update it yourself."
)

# A callable may ask for these by parameter name, without a feed.
ALWAYS_FED = ("model", "logs")

# To write where a leaf stands takes time, and only an error needs it.
Where = Callable[[], str]


@dataclasses.dataclass
class Moment:
    """When the leaves are evaluated: what they can see.

    Attributes:
        model: The Keras model that the run was for.
        logs: Dict. The logs of the run's end, values as NumPy or Python.
        feeds: The feeds of the final ops.
        symbolic: List. All symbolic leaves of the structure, so that one
            forward pass can compute them together.
        last_step: What was taken out of the last step, or `None`.
    """

    model: Any
    logs: dict[str, Any]
    feeds: Feeds
    symbolic: list[Any]
    last_step: LastStep | None = None
    _computed: dict[int, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def own_metrics(self) -> set[int]:
        """The ids of the metrics of the model."""
        return {id(metric) for metric in _stack.metrics_of(self.model)}

    def symbolic_value(self, leaf: Any) -> Any:
        """Returns the value of a symbolic leaf, computed with all others."""
        if id(leaf) not in self._computed:
            self._computed.update(self._forward_pass())
        return self._computed[id(leaf)]

    def _forward_pass(self) -> dict[int, Any]:
        inputs = distinct(
            source
            for leaf in self.symbolic
            for source in _sources(leaf, self.feeds)
        )
        outputs = _symbolic.evaluate_symbolic(
            self.symbolic, [(i, self.feeds.by_tensor(i)) for i in inputs]
        )
        return {
            id(leaf): to_host(output)
            for leaf, output in zip(self.symbolic, outputs, strict=True)
        }


class LeafKind:
    """One kind of leaf: which it is, what it needs, what it is worth."""

    def accepts(self, leaf: Any) -> bool:
        """Says whether a leaf is of this kind."""
        raise NotImplementedError

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        """Checks a leaf before anything runs; returns the feeds it uses.

        Args:
            leaf: A leaf that this kind accepts.
            feeds: The feeds that the user gave.
            where: Function that writes the path of the leaf, for an error.

        Returns:
            List of the names and symbolic tensors whose feeds it uses.

        Raises:
            HookError: The leaf can never have a value.
        """
        return []

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        """Returns what a leaf is worth at a moment."""
        raise NotImplementedError


class _GraphElement(LeafKind):
    """A tensor, operation or variable of a v1 graph: refused."""

    def accepts(self, leaf: Any) -> bool:
        return _stack.is_graph_element(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        raise _graph_tensor_error(leaf, where)


class _Metric(LeafKind):
    """A metric object: its result."""

    def accepts(self, leaf: Any) -> bool:
        return _stack.is_metric(leaf) or _stack.is_metric_class(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        if _stack.is_metric_class(leaf):
            raise LeafError(
                f"{leaf.__name__} is the class of a metric, not a metric",
                where(),
                "Give the object that you gave to compile(metrics=[...]).",
            )
        return []

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        if id(leaf) not in moment.own_metrics and is_as_new(leaf):
            logger.warning(_NEVER_UPDATED, where(), leaf.name)
        return _on_host(leaf.result(), where)


class _TensorLike(LeafKind):
    """A variable or a concrete tensor, dense or not: a copy of its value."""

    def accepts(self, leaf: Any) -> bool:
        composite = tf.SparseTensor | tf.RaggedTensor | tf.IndexedSlices
        return (
            isinstance(leaf, composite)
            or _stack.is_variable(leaf)
            or _stack.is_backend_tensor(leaf)
        )

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        return to_host(leaf)


class _Symbolic(LeafKind):
    """A symbolic Keras tensor: the model evaluated up to it."""

    def accepts(self, leaf: Any) -> bool:
        return _stack.is_symbolic(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        sources = _sources(leaf, feeds)
        for source in sources:
            if not feeds.has_tensor(source):
                raise FeedError(
                    f"nothing feeds the symbolic input {source.name!r}",
                    where(),
                    f"Add it: final_ops_feed_dict={{{source.name!r}: batch}}.",
                )
        return sources

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        return moment.symbolic_value(leaf)


class _Callable(LeafKind):
    """A `tf.function` or any callable: what it returns, called once."""

    def accepts(self, leaf: Any) -> bool:
        return callable(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        used = []
        for parameter in _parameters(leaf):
            if feeds.has_name(parameter.name):
                used.append(parameter.name)
            elif (
                parameter.name not in ALWAYS_FED
                and parameter.default is inspect.Parameter.empty
            ):
                raise FeedError(
                    f"nothing feeds the parameter {parameter.name!r}",
                    where(),
                    f"Add it: final_ops_feed_dict={{{parameter.name!r}: ...}}; "
                    f"{' and '.join(ALWAYS_FED)} are always there.",
                )
        return used

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        fed = {"model": moment.model, "logs": moment.logs}
        args, kwargs = [], {}
        for parameter in _parameters(leaf):
            name = parameter.name
            if moment.feeds.has_name(name):
                fed[name] = moment.feeds.by_name(name)
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                # With the default, because no later one may take its place.
                args.append(fed.get(name, parameter.default))
            elif name in fed or is_concrete_function(leaf):
                # TensorFlow wants even what the trace has fixed.
                kwargs[name] = fed.get(name, parameter.default)
        return _on_host(leaf(*args, **kwargs), where)


class _Name(LeafKind):
    """A string: a log, else a metric of the model, else a step tensor."""

    def accepts(self, leaf: Any) -> bool:
        return isinstance(leaf, str) and not isinstance(leaf, np.generic)

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        if leaf in moment.logs:
            return moment.logs[leaf]
        metrics = {m.name: m for m in _stack.metrics_of(moment.model)}
        if leaf in metrics:
            return _on_host(metrics[leaf].result(), where)
        steps: tuple[str, ...] = ()
        if moment.last_step is not None:
            found = moment.last_step.value(leaf, where)
            if found is not None:
                return to_host(found)
            steps = moment.last_step.known
        meant = did_you_mean(leaf, (*moment.logs, *metrics, *steps))
        raise LeafError(
            f"nothing here is called {leaf!r}",
            where(),
            f"{meant}There are the logs {sorted(moment.logs)}, the metrics "
            f"{sorted(metrics)} and the step tensors {sorted(steps)}.",
        )


class _PythonValue(LeafKind):
    """Anything else: itself, a NumPy array as a copy."""

    def accepts(self, leaf: Any) -> bool:
        return True

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        return to_host(leaf)


def _graph_tensor_error(value: Any, where: Where) -> GraphTensorError:
    return GraphTensorError(
        f"{getattr(value, 'name', value)!r} belongs to a graph and has no "
        "value of its own",
        where(),
        "Give its Keras counterpart (a metric, variable, function or "
        "layer output), or run the v1 hook itself: "
        "SessionRunHookCallback(tf.compat.v1.train.FinalOpsHook(...)).",
    )


def _on_host(result: Any, where: Where) -> Any:
    """Turns what something returned into values."""

    def value_of(value: Any) -> Any:
        if _stack.is_graph_element(value):
            raise _graph_tensor_error(value, where)
        return to_host(value)

    try:
        return map_result(value_of, result)
    except RecursionError as error:
        raise LeafError(
            "the result contains itself, or is nested too deeply",
            where(),
            "Return a nesting that ends.",
        ) from error


# In the order that they are asked: a metric and a variable of some
# generations can be called, too.
KINDS: tuple[LeafKind, ...] = (
    _GraphElement(),
    _Metric(),
    _Symbolic(),
    _TensorLike(),
    _Callable(),
    _Name(),
    _PythonValue(),
)


def kind_of(leaf: Any) -> LeafKind:
    """Returns the kind of a leaf: the first of `KINDS` that accepts it."""
    return next(kind for kind in KINDS if kind.accepts(leaf))


def distinct(items: Iterable[Any]) -> list[Any]:
    """Returns the items without repetitions, told apart by identity."""
    return list({id(item): item for item in items}.values())


def _parameters(function: Any) -> list[inspect.Parameter]:
    signature = call_signature(function)
    if signature is None:
        return []
    star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind not in star]


def _sources(leaf: Any, feeds: Feeds) -> list[Any]:
    # v1 let one feed any tensor, so also the fetched one itself.
    return [leaf] if feeds.has_tensor(leaf) else _symbolic.source_inputs(leaf)
