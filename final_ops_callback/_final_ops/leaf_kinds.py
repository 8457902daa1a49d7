# SPDX-License-Identifier: Apache-2.0
"""The kinds of leaf that `final_ops` can have.

A leaf is of the first of the `KINDS` that accepts it. To add a kind, write a
subclass of `LeafKind` and put it into the tuple before the kinds that would
accept its leaves too.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

import tensorflow as tf

from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import Moment
from final_ops_callback._final_ops.leaf_kind import Where
from final_ops_callback._final_ops.leaf_kind import graph_tensor_error
from final_ops_callback._final_ops.leaf_kind import on_host
from final_ops_callback._final_ops.leaf_kind import sources
from final_ops_callback._final_ops.name_leaf import Name
from final_ops_callback._final_ops.signature import call_signature
from final_ops_callback._final_ops.signature import is_concrete_function
from final_ops_callback._final_ops.to_host import to_host
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
    """A tensor, operation or variable of a v1 graph: refused."""

    def accepts(self, leaf: Any) -> bool:
        return compat.is_graph_element(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        raise graph_tensor_error(leaf, where)


class _Metric(LeafKind):
    """A metric object: its result."""

    def accepts(self, leaf: Any) -> bool:
        return compat.is_metric(leaf) or compat.is_metric_class(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        if compat.is_metric_class(leaf):
            raise LeafError(
                f"{leaf.__name__} is the class of a metric, not a metric",
                where(),
                "Give the object that you gave to compile(metrics=[...]).",
            )
        return []

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        if id(leaf) not in moment.own_metrics and is_as_new(leaf):
            logger.warning(_NEVER_UPDATED, where(), leaf.name)
        return on_host(leaf.result(), where)


class _TensorLike(LeafKind):
    """A variable or a concrete tensor, dense or not: a copy of its value."""

    def accepts(self, leaf: Any) -> bool:
        composite = tf.SparseTensor | tf.RaggedTensor | tf.IndexedSlices
        return (
            isinstance(leaf, composite)
            or compat.is_variable(leaf)
            or compat.is_backend_tensor(leaf)
        )

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        return to_host(leaf)


class _Symbolic(LeafKind):
    """A symbolic Keras tensor: the model evaluated up to it."""

    def accepts(self, leaf: Any) -> bool:
        return compat.is_symbolic(leaf)

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        needed = sources(leaf, feeds)
        for source in needed:
            if not feeds.has_tensor(source):
                raise FeedError(
                    f"nothing feeds the symbolic input {source.name!r}",
                    where(),
                    f"Add it: final_ops_feed_dict={{{source.name!r}: batch}}.",
                )
        try:
            symbolic.model_of([leaf], needed)
        except ValueError as error:
            raise LeafError(
                f"no Keras model can hold what {leaf.name!r} is computed from "
                f"({error})",
                where(),
                "Give each of its layers a name of its own, or a function that "
                "computes it.",
            ) from error
        return needed

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
        return on_host(leaf(*args, **kwargs), where)


class _PythonValue(LeafKind):
    """Anything else: itself, a NumPy array as a copy."""

    def accepts(self, leaf: Any) -> bool:
        return True

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        return to_host(leaf)


# In the order that they are asked: a metric and a variable of some
# generations can be called, too.
KINDS: tuple[LeafKind, ...] = (
    _GraphElement(),
    _Metric(),
    _Symbolic(),
    _TensorLike(),
    _Callable(),
    Name(),
    _PythonValue(),
)


def kind_of(leaf: Any) -> LeafKind:
    """Returns the kind of a leaf: the first of `KINDS` that accepts it."""
    return next(kind for kind in KINDS if kind.accepts(leaf))


def _parameters(function: Any) -> list[inspect.Parameter]:
    signature = call_signature(function)
    if signature is None:
        return []
    star = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in signature.parameters.values() if p.kind not in star]
