# SPDX-License-Identifier: Apache-2.0
"""The resources of a session, which outlive a run: variables, tables."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.subgraph import definition_of
from final_ops_callback._session.subgraph import needed_operations
from final_ops_callback._session.writes import written_handles

# An iterator that can't be shared by its name.
ONE_SHOT = ("OneShotIterator",)


class Resources:
    """The variables, tables and iterators of one session.

    Resources that a hook made live in a container of the session. They persist
    from run to run, and are freed when the session is closed.

    Args:
        graph: The graph of the session.
        links: The `ModelLinks` of the graph. Twins have the handles of live
            variables.
    """

    def __init__(self, graph: tf.Graph, links: ModelLinks) -> None:
        self._graph = graph
        self._links = links
        self._twins = links.twins
        # The name has dashes, because underscores are not allowed in it.
        self._container = f"eager-session-{uuid.uuid4().hex}"
        self._own: dict[str, tf.Operation] = {}
        self._one_shot: dict[str, tuple[Any, Any]] = {}

    def handle(self, op: tf.Operation) -> Any:
        """Returns the handle that replaces the output of an operation, if any.

        Args:
            op: An operation. `None` is returned unless it makes a handle that
                is replaced.
        """
        if op.name in self._twins:
            return self._twins[op.name].handle
        if op.name in self._one_shot:
            return self._one_shot[op.name][1]
        return None

    def replicated(
        self, graph: tf.Graph, operations: Sequence[tf.Operation]
    ) -> tuple[list[LiveVariable], list[LiveVariable]]:
        """Returns the live variables with replicas that operations use.

        Args:
            graph: The graph.
            operations: Sequence of operations of the graph.

        Returns:
            Pair of the variables to gather before the operations run, and the
            variables to spread after it.

        Raises:
            UnsupportedOpError: A read-only variable is written.
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
        """Puts the resource that an operation makes into the container.

        Args:
            op: An operation of the graph.
            node: The `NodeDef` of the operation, which is changed.
        """
        if op.type in ONE_SHOT:
            return
        if "shared_name" in node.attr and "container" in node.attr:
            node.attr["container"].s = self._container.encode()
            node.attr["shared_name"].s = (
                node.attr["shared_name"].s or op.name.encode()
            )
            self._own[op.name] = op

    def keep_one_shot(
        self, op: tf.Operation, program: Callable[[], Callable[..., Any]]
    ) -> None:
        """Makes the handle of a resource that belongs to one kernel.

        Args:
            op: The operation that makes the resource.
            program: Function without arguments that makes the program with the
                kernel. The program is kept as long as the session.
        """
        if op.name not in self._one_shot:
            made = program()
            self._one_shot[op.name] = made, made([])[0]

    def free(self) -> None:
        """Frees the resources that hooks made."""
        own, self._own = self._own, {}
        self._one_shot.clear()
        if not own:
            return
        operations = needed_operations((), own.values(), ())
        definition = definition_of(
            self._graph, operations, self.claim, self._links
        )
        self._own = {}

        def destroy() -> tf.Tensor:
            handles = tf.import_graph_def(
                definition,
                return_elements=[f"{name}:0" for name in own],
                name="",
            )
            with tf.control_dependencies(
                [_destroyed(handle) for handle in handles]
            ):
                return tf.constant(0, name="done")

        with eager_mode():
            tf.compat.v1.wrap_function(destroy, [])()


def _is_reference(tensor: tf.Tensor) -> bool:
    """Returns whether a tensor refers to a TensorFlow 1 reference variable."""
    return bool(tensor.dtype != tensor.dtype.base_dtype)


def _destroyed(handle: tf.Tensor) -> Any:
    if handle.dtype == tf.resource:
        return tf.raw_ops.DestroyResourceOp(
            resource=handle, ignore_lookup_error=True
        )
    if _is_reference(handle):
        # No operation destroys a reference variable. When it is empty, it uses
        # memory only for its name.
        return tf.raw_ops.Assign(
            ref=handle,
            value=tf.zeros([0], handle.dtype.base_dtype),
            validate_shape=False,
        )
    return tf.no_op()
