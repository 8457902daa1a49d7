# SPDX-License-Identifier: Apache-2.0
"""Compiles a part of a v1 graph into one function that runs eagerly."""

from __future__ import annotations

import functools
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._random_ops import draws
from final_ops_callback._session.control_flow import ControlFlow
from final_ops_callback._session.function_def import Function
from final_ops_callback._session.library import operation_of
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.op_errors import of_the_graph
from final_ops_callback._session.resources import ONE_SHOT
from final_ops_callback._session.resources import Resources
from final_ops_callback._session.split import has_effects
from final_ops_callback._session.subgraph import definition_of
from final_ops_callback._session.subgraph import needed_operations

# Operations that write a variable.
_WRITES = ("Assign", "ResourceScatter")


class Program:
    """A compiled function of the operations that some fetches need.

    The subgraph becomes the definition of a function, to which no control
    dependencies are added: operations that v1 left unordered stay unordered.
    The handle of a twin is replaced by the handle of its live variable, so that
    reads and writes go to the model itself. Resources that a hook made
    (variables, tables, iterators) live in a container of the session.

    Args:
        graph: The graph.
        fetches: Sequence of tensors of the graph, whose values are returned.
        targets: Sequence of operations that run for their side effects.
        inputs: Sequence of tensors whose values are the arguments of a call.
        done: Collection of operations that have run already, so that control
            dependencies on them are satisfied.
        resources: The `Resources` of the session.
        links: The `ModelLinks` of the graph.
        shadows: Mapping from the name of a twin to a handle that is read
            instead of the live variable. Defaults to none.

    Attributes:
        is_pure: Boolean. Whether calling it again has no side effects.

    Raises:
        UnsupportedOpError: An operation can run only in a v1 session.
    """

    def __init__(
        self,
        graph: tf.Graph,
        fetches: Sequence[tf.Tensor],
        targets: Sequence[tf.Operation],
        inputs: Sequence[tf.Tensor],
        done: Collection[tf.Operation],
        resources: Resources,
        links: ModelLinks,
        shadows: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._graph = graph
        given = {tensor.ref() for tensor in inputs}
        needed = needed_operations(fetches, targets, given, done)
        for op in needed:
            if op.type in ONE_SHOT and not (
                op.outputs and op.outputs[0] in fetches
            ):
                # Its kernel is in a separate program, which all others share.
                make = functools.partial(
                    Program, graph, op.outputs, [], [], (), resources, links
                )
                resources.keep_one_shot(op, make)
        operations = [op for op in needed if resources.handle(op) is None]
        definition = definition_of(
            graph, operations, resources.claim, links, given
        )
        self._gathered, self._spread = resources.replicated(
            graph,
            [  # without the initializers of twins, which are skipped
                op
                for op, node in zip(operations, definition.node, strict=True)
                if op.type == node.op
            ],
        )
        handles = _used_handles(definition, graph, resources)
        handles |= {f"{name}:0": handle for name, handle in shadows.items()}
        self.is_pure = not any(map(has_effects, needed))
        self._is_calm = not draws(definition) and _is_calm(needed, definition)
        flow = ControlFlow(needed)
        self._may_be_dead = [
            index
            for index, tensor in enumerate(fetches)
            if tensor.ref() not in given and flow.may_be_dead(tensor)
        ]

        self._dtypes = [tensor.dtype.base_dtype for tensor in inputs]
        self._handles = list(handles.values())
        given_dtypes = dict(
            zip([tensor.name for tensor in inputs], self._dtypes, strict=True)
        )
        with eager_mode():
            self._function = Function(
                graph,
                definition,
                given_dtypes | dict.fromkeys(handles, tf.resource),
                fetches,
                [op.name for op in targets],
                self._may_be_dead,
            )

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Calls the compiled function.

        Args:
            values: Sequence of tensors or arrays, one for each input.

        Returns:
            List of eager tensors, one for each fetch.
        """
        with eager_mode():
            tensors = [
                value
                if isinstance(value, tf.Tensor)
                else tf.convert_to_tensor(value, dtype)
                for value, dtype in zip(values, self._dtypes, strict=True)
            ]
            for live in self._gathered:
                live.gather()
            try:
                results = self._function([*tensors, *self._handles])
                if self._may_be_dead:
                    results = self._all_alive(results)
            except tf.errors.OpError as error:
                raise of_the_graph(error, self._graph) from None
            for live in self._spread:
                live.spread()
            return results

    @property
    def can_be_traced(self) -> bool:
        """Whether another function can call this one, and all is the same.

        It is not if something has to be done around the call, or if the state
        of random operations is in kernels, which would be others. Nor must the
        call end the run of the hooks, as an iterator, a queue or Python does:
        then the step, which has run, would have no outputs.
        """
        around = self._gathered or self._spread or self._may_be_dead
        return not around and self._is_calm

    def trace(self, values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Adds a call to the graph that is being traced.

        Args:
            values: Sequence of symbolic tensors, one for each input.

        Returns:
            List of symbolic tensors, one for each fetch.
        """
        return self._function.trace([*values, *self._handles])

    def own_error(self, error: tf.errors.OpError) -> Exception | None:
        """Returns the error that a call would have raised, or `None`.

        Args:
            error: The error of a function that calls this program. `None` is
                returned if no operation of this program has caused it.
        """
        if self._function.names_itself_in(error):
            return of_the_graph(error, self._graph)
        return None

    @property
    def graph_def(self) -> Any:
        """The `GraphDef` of the function, before the runtime optimizes it."""
        return self._function.graph_def

    def _all_alive(self, results: list[Any]) -> list[Any]:
        """Raises an error for a fetch without a value; removes the flags."""
        count = len(results) - len(self._may_be_dead)
        for index, ran in zip(self._may_be_dead, results[count:], strict=True):
            if ran.shape.rank != 0:
                raise tf.errors.InvalidArgumentError(
                    None, None, f"Retval[{index}] does not have value"
                )
        return results[:count]


def _is_calm(operations: Sequence[tf.Operation], definition: Any) -> bool:
    """Returns whether operations only compute, read and write variables."""
    called = definition.library.function
    types = {op.type for op in operations}
    types |= {node.op for function in called for node in function.node_def}
    return (
        not any("PyFunc" in one for one in types)
        and not any(function.signature.is_stateful for function in called)
        and not any(
            has_effects(op) and not op.type.startswith(_WRITES)
            for op in operations
        )
    )


def _used_handles(
    definition: Any, graph: tf.Graph, resources: Resources
) -> dict[str, Any]:
    there = {node.name for node in definition.node}
    used = {name.partition(":")[0] for n in definition.node for name in n.input}
    handles = {
        f"{name}:0": resources.handle(operation_of(graph, name))
        for name in used - there
        if not name.startswith("^")
    }
    return {name: h for name, h in handles.items() if h is not None}
