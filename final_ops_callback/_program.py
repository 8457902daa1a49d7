# SPDX-License-Identifier: Apache-2.0
"""Part of a v1 graph as one function that runs eagerly."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from final_ops_callback._eager import eager_mode
from final_ops_callback._live import LiveVariable
from final_ops_callback._subgraph import definition_of
from final_ops_callback._subgraph import needed_operations
from final_ops_callback._writes import written_handles

# An iterator that no name can share.
_ONE_SHOT = ("OneShotIterator",)


class Resources:
    """The resources of one session: variables, tables, iterators.

    Those that a hook made live in a container of the session. They persist
    from run to run, and are freed with the session.

    Args:
        graph: The graph of the session. The twins of a `HookGraph` have the
            handles of live variables.
    """

    def __init__(self, graph: tf.Graph) -> None:
        self._graph = graph
        self._twins = getattr(graph, "twins", {})
        # Dashes, because a container takes no underscores.
        self._container = f"eager-session-{uuid.uuid4().hex}"
        self._own: dict[str, tf.Operation] = {}
        self._one_shot: dict[str, tuple[Program, Any]] = {}

    def handle(self, op: tf.Operation) -> Any:
        """Returns the handle that stands for an operation, or `None`.

        Args:
            op: An operation. Only one that makes a handle can have another
                in its stead.
        """
        if op.name in self._twins:
            return self._twins[op.name].handle
        if op.name in self._one_shot:
            return self._one_shot[op.name][1]
        return None

    def replicated(
        self, graph: tf.Graph, operations: Sequence[tf.Operation]
    ) -> tuple[list[LiveVariable], list[LiveVariable]]:
        """Returns the live variables of replicas that operations take.

        Args:
            graph: The graph.
            operations: Sequence of its operations.

        Returns:
            Pair of those that have to be gathered before, and those that have
            to be spread after the operations have run.

        Raises:
            UnsupportedOpError: A variable is written that must not be.
        """
        written = written_handles(graph, operations) & set(self._twins)
        for name in written:
            self._twins[name].check_write()
        used = {t.op.name for op in operations for t in op.inputs}
        several = {
            name: live
            for name, live in self._twins.items()
            if name in used and not live.is_plain
        }
        return list(several.values()), [
            live for name, live in several.items() if name in written
        ]

    def claim(self, op: tf.Operation, node: Any) -> None:
        """Gives a resource that an operation makes to this session.

        Args:
            op: An operation of the graph.
            node: Its `NodeDef`, which is changed.
        """
        if op.type in _ONE_SHOT:
            return
        if "shared_name" in node.attr and "container" in node.attr:
            node.attr["container"].s = self._container.encode()
            node.attr["shared_name"].s = (
                node.attr["shared_name"].s or op.name.encode()
            )
            self._own[op.name] = op

    def make_one_shot(self, op: tf.Operation) -> None:
        """Makes the handle of a resource that belongs to one kernel.

        Its kernel is in a program of its own, kept as long as the session,
        so that all programs share it.
        """
        if op.name not in self._one_shot:
            program = Program(self._graph, op.outputs, [], [], (), self)
            self._one_shot[op.name] = (program, program([])[0])

    def free(self) -> None:
        """Destroys the resources that hooks made."""
        own, self._own = self._own, {}
        self._one_shot.clear()
        if not own:
            return
        operations = needed_operations((), own.values(), ())
        definition = definition_of(self._graph, operations, self.claim)
        self._own = {}

        def destroy() -> tf.Tensor:
            handles = tf.import_graph_def(
                definition,
                return_elements=[f"{name}:0" for name in own],
                name="hook",
            )
            with tf.control_dependencies(
                [
                    tf.raw_ops.DestroyResourceOp(
                        resource=handle, ignore_lookup_error=True
                    )
                    for handle in handles
                    if handle.dtype == tf.resource
                ]
            ):
                return tf.constant(0, name="done")

        with eager_mode():
            tf.compat.v1.wrap_function(destroy, [])()


class Program:
    """The operations that some fetches need, as one compiled function.

    The subgraph is imported under `wrap_function`, which adds no control
    dependencies: what v1 left unordered stays unordered. The handle of a
    twin is replaced by that of its live variable, so reads and writes go to
    the model by reference. Resources that a hook made (variables, tables,
    iterators) live in a container of the session.

    Args:
        graph: The graph.
        fetches: Sequence of its tensors. The values to return.
        targets: Sequence of its operations, run for their effect.
        inputs: Sequence of its tensors whose values are given in a call.
        done: Collection of operations that have run already: a control
            dependency on them holds.
        resources: The `Resources` of the session.
        shadows: Mapping from the name of a twin to the handle to read it
            from, instead of the live variable. Defaults to none.

    Raises:
        UnsupportedOpError: An operation can't run outside of a v1 session.
    """

    def __init__(
        self,
        graph: tf.Graph,
        fetches: Sequence[tf.Tensor],
        targets: Sequence[tf.Operation],
        inputs: Sequence[tf.Tensor],
        done: Collection[tf.Operation],
        resources: Resources,
        shadows: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        given = {tensor.ref() for tensor in inputs}
        needed = needed_operations(fetches, targets, given, done)
        for op in needed:
            if op.type in _ONE_SHOT and not (
                op.outputs and op.outputs[0] in fetches
            ):
                resources.make_one_shot(op)
        operations = [op for op in needed if resources.handle(op) is None]
        definition = definition_of(graph, operations, resources.claim, given)
        self._gathered, self._spread = resources.replicated(
            graph,
            [  # less the initializers, which are skipped
                op
                for op, node in zip(operations, definition.node, strict=True)
                if op.type == node.op
            ],
        )
        handles = _used_handles(definition, graph, resources)
        handles |= {f"{name}:0": handle for name, handle in shadows.items()}
        target_names = [op.name for op in targets]
        fetch_names = [tensor.name for tensor in fetches]

        def run(*values: tf.Tensor) -> list[tf.Tensor]:
            capture = tf.compat.v1.get_default_graph().capture
            mapped = {
                tensor.name: value
                for tensor, value in zip(inputs, values, strict=True)
            }
            mapped |= {name: capture(h) for name, h in handles.items()}
            elements = tf.import_graph_def(
                definition,
                input_map=_only_used(mapped, definition),
                return_elements=fetch_names + target_names,
                name="hook",
            )
            results = elements[: len(fetch_names)]
            with tf.control_dependencies(elements[len(fetch_names) :]):
                # The targets need an output to hang on.
                return [*results, tf.constant(0, name="done")]

        self._dtypes = [tensor.dtype for tensor in inputs]
        with eager_mode():
            self._function = tf.compat.v1.wrap_function(
                run,
                [tf.TensorSpec(t.shape, t.dtype) for t in inputs],
            )

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Runs the function.

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
            results = list(self._function(*tensors))[:-1]
            for live in self._spread:
                live.spread()
            return results


def _used_handles(
    definition: Any, graph: tf.Graph, resources: Resources
) -> dict[str, Any]:
    used = {name.partition(":")[0] for n in definition.node for name in n.input}
    handles = {
        f"{name}:0": resources.handle(graph.get_operation_by_name(name))
        for name in used
        if not name.startswith("^")
    }
    return {name: h for name, h in handles.items() if h is not None}


def _only_used(mapped: dict[str, Any], definition: Any) -> dict[str, Any]:
    # Importing refuses to map what nobody consumes.
    used = {
        name if ":" in name else f"{name}:0"
        for node in definition.node
        for name in node.input
    }
    return {name: value for name, value in mapped.items() if name in used}
