# SPDX-License-Identifier: Apache-2.0
"""The kinds of leaf that `final_ops` can have.

The kind of a leaf is the first of `KINDS` that accepts it. To add a kind, write
a subclass of `LeafKind` and insert it into the tuple before every kind that
would accept the same leaves.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

import tensorflow as tf

from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.host_values import to_host
from final_ops_callback._final_ops.leaf_kind import EvaluationContext
from final_ops_callback._final_ops.leaf_kind import Leaf
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import graph_tensor_error
from final_ops_callback._final_ops.leaf_kind import on_host
from final_ops_callback._final_ops.leaf_kind import sources
from final_ops_callback._final_ops.name_leaf import Name
from final_ops_callback._final_ops.training_metrics import is_as_new
from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import LeafError

logger = logging.getLogger("final_ops_callback")

_NEVER_UPDATED = (
    "%s: nothing seems to have updated the metric %r. It is not among the "
    "metrics of the model, and all of its variables are zero. Give the object "
    "that you gave to compile(metrics=[...]), or update it yourself."
)

# A callable may ask for these by parameter name, without a feed.
ALWAYS_FED = ("model", "logs")


class _GraphElement(LeafKind):
    """A tensor, operation or variable of a v1 graph, which is refused."""

    def accepts(self, value: Any) -> bool:
        return compat.is_graph_element(value)

    def needs(self, leaf: Leaf, feeds: Feeds) -> list[Any]:
        raise graph_tensor_error(leaf.value, leaf)


class Metric(LeafKind):
    """A metric object, whose value is its result."""

    def accepts(self, value: Any) -> bool:
        return compat.is_metric(value) or compat.is_metric_class(value)

    def needs(self, leaf: Leaf, feeds: Feeds) -> list[Any]:
        if compat.is_metric_class(leaf.value):
            raise LeafError(
                f"{leaf.value.__name__} is the class of a metric, not a metric",
                leaf.where(),
                "Give the object that you gave to compile(metrics=[...]).",
            )
        return []

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        metric = leaf.value
        if id(metric) not in context.own_metrics and is_as_new(metric):
            logger.warning(_NEVER_UPDATED, leaf.where(), metric.name)
        return on_host(metric.result(), leaf)


class _TensorLike(LeafKind):
    """A variable or a concrete tensor, whose value is copied."""

    def accepts(self, value: Any) -> bool:
        composite = tf.SparseTensor | tf.RaggedTensor | tf.IndexedSlices
        return (
            isinstance(value, composite)
            or compat.is_variable(value)
            or compat.is_backend_tensor(value)
        )

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        return to_host(leaf.value)


class Symbolic(LeafKind):
    """A symbolic Keras tensor, up to which the model is evaluated."""

    def accepts(self, value: Any) -> bool:
        return compat.is_symbolic(value)

    def needs(self, leaf: Leaf, feeds: Feeds) -> list[Any]:
        needed = sources(leaf.value, feeds)
        for source in needed:
            if not feeds.has_tensor(source):
                raise FeedError(
                    f"nothing feeds the symbolic input {source.name!r}",
                    leaf.where(),
                    f"Add it: final_ops_feed_dict={{{source.name!r}: batch}}.",
                )
        try:
            symbolic.model_of([leaf.value], needed)
        except ValueError as error:
            raise LeafError(
                "no Keras model can hold what "
                f"{leaf.value.name!r} is computed from ({error})",
                leaf.where(),
                "Give each of its layers a name of its own, or a function that "
                "computes it.",
            ) from error
        return needed

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        return context.symbolic_value(leaf.value)


class _Callable(LeafKind):
    """A `tf.function` or other callable, which is called once."""

    def accepts(self, value: Any) -> bool:
        return callable(value)

    def needs(self, leaf: Leaf, feeds: Feeds) -> list[Any]:
        used = []
        for parameter in _parameters(leaf.value):
            if feeds.has_name(parameter.name):
                used.append(parameter.name)
            elif (
                parameter.name not in ALWAYS_FED
                and parameter.default is inspect.Parameter.empty
            ):
                raise FeedError(
                    f"nothing feeds the parameter {parameter.name!r}",
                    leaf.where(),
                    f"Add it: final_ops_feed_dict={{{parameter.name!r}: ...}}; "
                    f"{' and '.join(ALWAYS_FED)} are always there.",
                )
        return used

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        fed = {"model": context.model, "logs": context.logs}
        args, kwargs = [], {}
        for parameter in _parameters(leaf.value):
            name = parameter.name
            if context.feeds.has_name(name):
                fed[name] = context.feeds.by_name(name)
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
                # The default is passed, too, so that no later argument takes
                # its place.
                args.append(fed.get(name, parameter.default))
            elif name in fed or _is_concrete_function(leaf.value):
                # A concrete function also needs the arguments that its trace
                # has fixed.
                kwargs[name] = fed.get(name, parameter.default)
        return on_host(leaf.value(*args, **kwargs), leaf)


class _PythonValue(LeafKind):
    """Any other value, which stands for itself; NumPy arrays are copied."""

    def accepts(self, value: Any) -> bool:
        return True

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        return to_host(leaf.value)


# The order matters: the metrics and variables of some Keras versions are
# callable, too.
KINDS: tuple[LeafKind, ...] = (
    _GraphElement(),
    Metric(),
    Symbolic(),
    _TensorLike(),
    _Callable(),
    Name(),
    _PythonValue(),
)


def kind_of(value: Any) -> LeafKind:
    """Returns the kind of a leaf: the first of `KINDS` that accepts it."""
    return next(kind for kind in KINDS if kind.accepts(value))


def _parameters(function: Any) -> list[inspect.Parameter]:
    signature = _call_signature(function)
    if signature is None:
        return []
    star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind not in star]


def _call_signature(function: Any) -> inspect.Signature | None:
    """Returns the signature of a callable, layers and traces included.

    Args:
        function: A callable. A layer has the signature of its `call`. In that
            of a concrete function, arguments that its trace has fixed (such
            as a flag) have defaults.

    Returns:
        The signature, or `None` if Python does not know it, as with some
        built-in functions.
    """
    if _is_concrete_function(function):
        return _concrete_signature(function)
    try:
        return inspect.signature(
            function.call if compat.is_layer(function) else function
        )
    except ValueError:
        return None


def _is_concrete_function(value: Any) -> bool:
    """Returns whether a value is one trace of a `tf.function`."""
    return isinstance(value, tf.types.experimental.ConcreteFunction)


def _concrete_signature(function: Any) -> inspect.Signature:
    """Returns the signature of a trace, with fixed arguments as defaults."""
    parameters = function.function_type.parameters
    args, kwargs = function.structured_input_signature or ((), {})
    specs = dict(zip(parameters, args, strict=False)) | kwargs
    positional = inspect.Parameter.POSITIONAL_ONLY
    keyword = inspect.Parameter.KEYWORD_ONLY
    found = []
    for name, parameter in parameters.items():
        spec = specs.get(name)
        flat = tf.nest.flatten(spec)
        is_tensor = any(isinstance(part, tf.TypeSpec) for part in flat)
        found.append(
            inspect.Parameter(
                name,
                positional if parameter.kind == positional else keyword,
                default=inspect.Parameter.empty if is_tensor else spec,
            )
        )
    return inspect.Signature(found)
