# SPDX-License-Identifier: Apache-2.0
"""Explains errors about tensors that don't belong to the hook graph.

TensorFlow says that a tensor "is not an element of this graph". The objects
that the hook holds show which tensor it is, and how to replace it. Nothing
here runs before something has failed.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._session.model_links import is_linked
from final_ops_callback._session.model_links import links_of
from final_ops_callback.errors import ForeignTensorError
from final_ops_callback.errors import HookUsageError

# What TensorFlow says about a tensor of another graph...
_OF_ANOTHER_GRAPH = (
    "is not an element of this graph",
    "should have graph attribute that is equal to",
    "must be from the same graph",
    "Graph is finalized",
)
# ...and about an object that belongs to no graph.
_OF_NO_GRAPH = (
    "should have graph attribute that is equal to",
    "has invalid type",
    "Tensor.graph is undefined",
    "KerasTensor cannot be used as input",
)
_TOO_LATE = (
    "Operations can be added in the constructor (give hooks as a function "
    "that returns them) and in begin, not later."
)
_MAKERS = {
    "hooks": "make the hook in a function that is passed as hooks",
    "scaffold": "make the scaffold in a function that is passed as scaffold",
}
_INSIDE = "it is called inside the hook graph, once for each run"
# The packages whose objects are not searched, and when the search gives up.
_OTHERS = ("final_ops_callback", "keras", "numpy", "tensorflow", "tf_keras")
_MOST_SEEN = 10_000
_GRAPH_KINDS = (
    tf.Tensor,
    tf.Operation,
    tf.Variable,
    tf.SparseTensor,
    tf.IndexedSlices,
    tf.RaggedTensor,
)


def explain(
    error: BaseException,
    where: str,
    held: Any,
    graph: tf.Graph,
    argument: str = "hooks",
) -> None:
    """Raises a better error, if an error is about a tensor of another graph.

    Args:
        error: The exception that TensorFlow raised.
        where: String. The hook and its method.
        held: Object that may hold the tensor: a hook, or fetches and feeds.
        graph: The graph that the tensor should belong to.
        argument: String. The argument through which `held` was passed:
            `"hooks"` or `"scaffold"`. Defaults to `"hooks"`.

    Raises:
        ForeignTensorError: The error is about such a tensor.
        HookUsageError: The error is about an operation added too late.
    """
    message = str(error)
    maker = f"{_MAKERS[argument]}: {_INSIDE}."
    is_finalized = "Graph is finalized" in message
    if any(sign in message for sign in _OF_ANOTHER_GRAPH):
        foreign = [
            value
            for value in _elements(held)
            if (other := _graph_of(value)) not in (None, graph)
            and (other.finalized or not is_finalized)
        ]
        if foreign:
            # TensorFlow names the tensor; for a variable, the operation that
            # reads it.
            quoted = [v for v in foreign if f'"{_base_of(v)}' in message]
            value = (quoted or foreign)[0]
            what, way_out = _of_another_graph(value, graph, maker)
            raise ForeignTensorError(what, where, way_out) from error
    if any(sign in message for sign in _OF_NO_GRAPH):
        for value in _elements(held):
            if _graph_of(value) is None:
                what, way_out = _of_no_graph(value)
                raise ForeignTensorError(what, where, way_out) from error
    if is_finalized:
        raise HookUsageError(message, where, _TOO_LATE) from error
    if any(sign in message for sign in _OF_ANOTHER_GRAPH):
        raise ForeignTensorError(
            message, where, f"Give tensors by their names, or {maker}"
        ) from error


def _of_another_graph(
    value: Any, graph: tf.Graph, maker: str
) -> tuple[str, str]:
    """Returns what is wrong with a tensor, and the way out."""
    name = _name_of(value)
    if is_linked(_graph_of(value)):
        return (
            f"{name!r} belongs to the graph of another run",
            "Each run of hooks has a graph of its own: give a hook to one "
            f"callback alone, and build in begin, each time, or {maker}",
        )
    base = _base_of(value)
    if base in links_of(graph).step_specs.known():
        advice = f"Use '{base}:0' (the name): the step delivers it"
    elif isinstance(value, tf.Variable):
        advice = (
            "Take the twin of the variable from the hook graph "
            "(tf.compat.v1.global_variables() has it)"
        )
    else:
        advice = (
            "Use the name of a value that the step delivers ('loss:0', "
            "'predictions:0', the name of a metric or a layer)"
        )
    return (
        f"{name!r} belongs to a graph that is not the hook graph",
        f"{advice}, or {maker}",
    )


def _of_no_graph(value: Any) -> tuple[str, str]:
    """Returns what is wrong with an object of no graph, and the way out."""
    if _is_symbolic(value):
        return (
            f"the symbolic Keras tensor {value.name!r} belongs to no graph",
            "Use a name: 'predictions:0' is the output of the model, and "
            "a layer's name with ':0' is the output of the layer.",
        )
    if isinstance(value, tf.Tensor):
        return (
            "an eager tensor belongs to no graph",
            "Make a constant of it in begin, or use the name of a value that "
            "the step delivers ('loss:0').",
        )
    return (
        f"the variable {_name_of(value)!r} of the model belongs to no graph",
        "Take its twin from the hook graph: tf.compat.v1.global_variables() "
        "has it under its name.",
    )


def _elements(held: Any) -> Iterator[Any]:
    """Yields the tensors, operations and variables that an object holds."""
    stack: list[Any] = [held]
    # The value is kept, too, so that no other object can get its id.
    seen: dict[int, Any] = {}
    while stack and len(seen) < _MOST_SEEN:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if _is_element(value):
            yield value
        else:
            stack += reversed(_parts_of(value))


def _parts_of(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, types.FunctionType):
        return _used_by(value)
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if _is_users_own(value):
        return list(getattr(value, "__dict__", {}).values())
    return []


def _is_users_own(value: Any) -> bool:
    """Returns whether an object may hold tensors that the user gave to it.

    A graph holds all of its operations, and a model holds its variables: those
    are not mistakes.
    """
    if isinstance(value, tf.Graph | tf.Module | type):
        return False
    root = type(value).__module__.partition(".")[0]
    is_hook = hasattr(value, "before_run")
    scaffold = tf.compat.v1.train.Scaffold
    return root not in _OTHERS or is_hook or isinstance(value, scaffold)


def _used_by(function: types.FunctionType) -> list[Any]:
    try:
        used = inspect.getclosurevars(function)
    except ValueError:  # a variable that has no value yet
        return []
    return [*used.nonlocals.values(), *used.globals.values()]


def _is_element(value: Any) -> bool:
    return (
        isinstance(value, _GRAPH_KINDS)
        or _is_symbolic(value)
        or _is_keras_variable(value)
    )


def _graph_of(value: Any) -> Any:
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    return getattr(value, "graph", None)


def _name_of(value: Any) -> str:
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    if isinstance(value, tf.SparseTensor | tf.IndexedSlices):
        value = value.values
    return str(getattr(value, "path", None) or value.name)


def _base_of(value: Any) -> str:
    return _name_of(value).partition(":")[0]


# By name, because a custom training loop may run without Keras.
def _is_symbolic(value: Any) -> bool:
    return any(k.__name__ == "KerasTensor" for k in type(value).__mro__)


def _is_keras_variable(value: Any) -> bool:
    return any(
        k.__name__ == "KerasVariable" or k.__name__ == "Variable"
        for k in type(value).__mro__
    ) and hasattr(value, "path")
