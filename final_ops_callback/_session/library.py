# SPDX-License-Identifier: Apache-2.0
"""Copies the functions that a graph calls into the eager runtime.

The eager runtime has one set of functions for the whole process, in which a
name stands for one body. Each v1 graph has its own set. So a function is copied
under a name that has a hash of its body in it.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import UnsupportedOpError

_GRADIENT = "SymbolicGradient"
_NO_INLINE = "_noinline"
# Attributes that name a function as a string.
_NAMING = ("forward_function_name", "backward_function_name")
_known: weakref.WeakKeyDictionary[tf.Graph, Written] = (
    weakref.WeakKeyDictionary()
)


class Library:
    """The library of functions of a graph.

    Args:
        definition: A `FunctionDefLibrary`.

    Attributes:
        functions: Dict from a name to its `FunctionDef`.
    """

    def __init__(self, definition: Any) -> None:
        self.functions = {
            function.signature.name: function
            for function in definition.function
        }
        self._gradients = {
            gradient.function_name: gradient.gradient_func
            for gradient in definition.gradient
        }
        self._used: dict[str, set[str]] = {}

    def called(self, node: Any) -> set[str]:
        """Returns the names of the functions that a node calls."""
        return called_functions(node) & self.functions.keys()

    def needed(self, nodes: Iterable[Any]) -> set[str]:
        """Returns the names of functions that nodes call, also indirectly."""
        found: set[str] = set()
        stack = [name for node in nodes for name in self.called(node)]
        while stack:
            name = stack.pop()
            if name in found:
                continue
            found.add(name)
            stack += self._directly(name)
        return found

    def take_along(self, definition: Any) -> None:
        """Copies the functions that the nodes of a `GraphDef` call into it.

        Args:
            definition: A `GraphDef`. Its nodes are changed to call the
                functions by their new names.

        Raises:
            UnsupportedOpError: A function calls another that has a gradient of
                its own, which the runtime would not find.
        """
        needed = self.needed(definition.node)
        if not needed:
            return
        taken = {name: type(self.functions[name])() for name in sorted(needed)}
        for name, function in taken.items():
            function.CopyFrom(self.functions[name])
            self._call_gradients(function.node_def)
        self._call_gradients(definition.node)
        self._let_inline(definition.node, taken)
        content = hashlib.sha256()
        for function in taken.values():
            content.update(function.SerializeToString(deterministic=True))
        suffix = content.hexdigest()[:16]
        names = {name: f"{name}_{suffix}" for name in taken}
        for function in taken.values():
            function.signature.name = names[function.signature.name]
            _rename(function.node_def, names)
        _rename(definition.node, names)
        definition.library.function.extend(taken.values())

    def _directly(self, name: str) -> set[str]:
        if name not in self._used:
            used = set()
            for node in self.functions[name].node_def:
                used |= self.called(node)
            if name in self._gradients:
                used.add(self._gradients[name])
            self._used[name] = used & self.functions.keys()
        return self._used[name]

    def _let_inline(
        self, nodes: Iterable[Any], taken: Mapping[str, Any]
    ) -> None:
        """Lets functions be inlined whose gradient is taken.

        The eager runtime does not find the gradient of other functions.
        """
        everywhere = (nodes, *(f.node_def for f in taken.values()))
        gradients = [
            node for some in everywhere for node in some if node.op == _GRADIENT
        ]
        for name in self.needed(gradients):
            taken[name].attr.pop(_NO_INLINE, None)
            for node in taken[name].node_def:
                node.attr.pop(_NO_INLINE, None)
        for node in gradients:
            node.attr.pop(_NO_INLINE, None)

    def _call_gradients(self, nodes: Iterable[Any]) -> None:
        """Makes nodes call the gradients that were defined by hand.

        The eager runtime can't register them; it would derive its own.
        """
        if not self._gradients:
            return
        for node in nodes:
            if node.op != _GRADIENT:
                continue
            function = node.attr["f"].func
            if function.name in self._gradients:
                node.op = self._gradients[function.name]
                node.attr.clear()
                for key, value in function.attr.items():
                    node.attr[key].CopyFrom(value)
                continue
            inside = self.needed([node]) & self._gradients.keys()
            if inside:
                raise UnsupportedOpError(
                    f"{function.name!r} calls functions with gradients of "
                    f"their own, {sorted(inside)}, which are not found in its "
                    "gradient",
                    f"operation {node.name!r} of type {node.op}",
                    f"Give {function.name!r} a gradient, too: "
                    "Defun(..., grad_func=...).",
                )


class Written:
    """Caches the serialized nodes of a graph, because writing them takes long.

    Args:
        graph: The graph. The cache is valid until an operation is added.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self.version = graph.version
        self._nodes: dict[str, Any] = {}
        self._may_call: dict[str, bool] = {}
        # Indices, because tensors would keep the graph alive.
        self._handles: dict[str, list[int]] = {}
        self.places: dict[str, str] = {}
        self.library: Library | None = None

    def node(self, op: tf.Operation) -> Any:
        """Returns the `NodeDef` of an operation, which must not be changed."""
        node = self._nodes.get(op.name)
        if node is None:
            node = self._nodes[op.name] = op.node_def
        return node

    def handles(self, op: tf.Operation) -> list[tf.Tensor]:
        """Returns the inputs of an operation that are handles."""
        indices = self._handles.get(op.name)
        if indices is None:
            indices = self._handles[op.name] = [
                index
                for index, tensor in enumerate(op.inputs)
                if tensor.dtype == tf.resource
            ]
        return [op.inputs[index] for index in indices]

    def may_call(self, op: tf.Operation) -> bool:
        """Returns whether an operation calls a function of the library."""
        may = self._may_call.get(op.name)
        if may is None:
            may = self._may_call[op.name] = calls_a_function(self.node(op))
        return may


def written(graph: tf.Graph) -> Written:
    """Returns the cache of the serialized nodes of a graph."""
    known = _known.get(graph)
    if known is None or known.version != graph.version:
        known = _known[graph] = Written(graph)
    return known


def library_of(graph: tf.Graph) -> Library:
    """Returns the functions of a graph."""
    known = written(graph)
    if known.library is None:
        known.library = Library(graph.as_graph_def().library)
    return known.library


def calls_a_function(node: Any) -> bool:
    """Returns whether a node calls a function of the graph's library."""
    return (
        any(
            value.HasField("func") or value.list.func
            for value in node.attr.values()
        )
        # The type of a node may be the name of a function.
        or not hasattr(tf.raw_ops, node.op)
    )


def called_functions(node: Any) -> set[str]:
    """Returns all names in a node that may be those of called functions.

    Args:
        node: A `NodeDef`. Its type may be the name of a function.
    """
    names = {node.op}
    for value in node.attr.values():
        names.add(value.func.name)
        names.update(function.name for function in value.list.func)
    return names - {""}


def _rename(nodes: Iterable[Any], names: dict[str, str]) -> None:
    for node in nodes:
        node.op = names.get(node.op, node.op)
        for key, value in node.attr.items():
            if value.HasField("func"):
                value.func.name = names.get(value.func.name, value.func.name)
            for function in value.list.func:
                function.name = names.get(function.name, function.name)
            if key in _NAMING:
                name = value.s.decode()
                value.s = names.get(name, name).encode()


def operation_of(graph: tf.Graph, name: str) -> tf.Operation:
    """Returns the operation that has a name.

    A hook graph would find a step tensor under some names, even if a hook has
    made an operation of that name.

    Args:
        graph: A graph of any kind.
        name: String. The name as it stands in the nodes of the graph.

    Raises:
        KeyError: There is no operation of this name.
    """
    return tf.Graph.as_graph_element(graph, name, allow_tensor=False)
