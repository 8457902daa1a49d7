# SPDX-License-Identifier: Apache-2.0
"""Part of a v1 graph as one function that runs eagerly."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import UnsupportedOpError

# Their state belongs to one kernel. Each set of fetches is a function with
# kernels of its own, so what one puts in, another would never see.
_PRIVATE_TO_A_KERNEL = (
    "Queue",
    "QueueV2",
    "Barrier",
    "StackV2",
    "Stack",
    "Reader",
    "ReaderV2",
    "ConditionalAccumulator",
    "TemporaryVariable",
    "RecordInput",
    "StagingArea",
    "Stage",
    "MapStage",
)
_READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")
_WRITES = ("Assign", "ResourceApply", "ResourceSparseApply", "ResourceScatter")
# An iterator that no name can share.
_ONE_SHOT = ("OneShotIterator",)
_REFERENCE_VARIABLES = ("Variable", "VariableV2")


def eager_mode() -> Any:
    """Returns a context in which operations run at once.

    Unlike `tf.init_scope`, it leaves a plain graph that is the default one.
    """
    return tf.__internal__.eager_context.eager_mode()


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
        definition = _definition(self._graph, list(own.values()), self)
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
        definition = _definition(graph, operations, resources, given)
        _read_first(operations, definition)
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
                tf.convert_to_tensor(value, dtype)
                for value, dtype in zip(values, self._dtypes, strict=True)
            ]
            return list(self._function(*tensors))[:-1]


def needed_operations(
    fetches: Iterable[tf.Tensor],
    targets: Iterable[tf.Operation],
    given: Collection[Any],
    done: Collection[tf.Operation] = (),
) -> list[tf.Operation]:
    """Returns the operations that must run, inputs before their consumers.

    Args:
        fetches: Iterable of tensors.
        targets: Iterable of operations.
        given: Collection of references of tensors whose values are known.
        done: Collection of operations that have run already.

    Returns:
        List of operations in an order in which they can run.
    """
    order: dict[tf.Operation, None] = {}
    roots = [t.op for t in fetches if t.ref() not in given] + list(targets)
    # Depth first without recursion, because graphs are deep: an operation is
    # pushed a second time to be noted after its inputs.
    stack = [(op, False) for op in reversed(roots)]
    visited: set[tf.Operation] = set()
    while stack:
        op, inputs_noted = stack.pop()
        if inputs_noted:
            order[op] = None
            continue
        if op in visited:
            continue
        visited.add(op)
        stack.append((op, True))
        stack += [
            (before, False)
            for before in predecessors(op, given, done)
            if before not in visited
        ]
    return list(order)


def predecessors(
    op: tf.Operation, given: Collection[Any], done: Collection[tf.Operation]
) -> Iterator[tf.Operation]:
    """Yields the operations that an operation has to wait for."""
    for tensor in op.inputs:
        if tensor.ref() not in given:
            yield tensor.op
    for before in op.control_inputs:
        if before not in done and not _is_given(before, given):
            yield before


def _is_given(op: tf.Operation, given: Collection[Any]) -> bool:
    return bool(op.outputs) and all(t.ref() in given for t in op.outputs)


def _definition(
    graph: tf.Graph,
    operations: list[tf.Operation],
    resources: Resources,
    given: Collection[Any] = (),
) -> Any:
    skipped = getattr(graph, "twin_initializers", ())
    definition = tf.compat.v1.GraphDef()
    definition.versions.CopyFrom(graph.graph_def_versions)
    names = {op.name for op in operations}
    for op in operations:
        _check(op)
        node = definition.node.add()
        node.CopyFrom(op.node_def)
        # Colocation names operations that may be left out here.
        node.attr.pop("_class", None)
        kept = [
            name
            for name in node.input
            if not name.startswith("^") or name[1:] in names
        ]
        if op.name in skipped and op.inputs[1].ref() not in given:
            # Keras owns the initial values of its variables: initializing a
            # twin does nothing, unless it is fed (Variable.load).
            node.op = "NoOp"
            node.attr.clear()
            kept = [name for name in kept if name.startswith("^")]
        node.input[:] = kept
        resources.claim(op, node)
    if any(_calls_a_function(node) for node in definition.node):
        definition.library.CopyFrom(graph.as_graph_def().library)
    return definition


def _read_first(operations: list[tf.Operation], definition: Any) -> None:
    """Lets a run read a variable before it writes it.

    v1 left the order of the two open, and in practice the read came first,
    because it waits for nothing. Here it always does, unless it waits for a
    write itself.
    """
    after_a_write: set[tf.Operation] = set()
    reads: dict[Any, list[str]] = {}
    for op in operations:
        if writes(op) or any(
            before in after_a_write for before in predecessors(op, (), ())
        ):
            after_a_write.add(op)
        elif op.type in _READS:
            reads.setdefault(op.inputs[0].ref(), []).append(op.name)
    for op, node in zip(operations, definition.node, strict=True):
        if node.op != "NoOp" and writes(op):
            node.input.extend(
                f"^{name}" for name in reads.get(op.inputs[0].ref(), ())
            )


def writes(op: tf.Operation) -> bool:
    """Says whether an operation writes the variable that it is given."""
    return (
        len(op.inputs) > 0
        and op.inputs[0].dtype == tf.resource
        and op.type.startswith(_WRITES)
    )


def writes_inside(graph: tf.Graph, op: tf.Operation) -> bool:
    """Says whether a function that an operation calls writes a variable."""
    called = _called_functions(op.node_def)
    if not called:
        return False
    library = {
        f.signature.name: f for f in graph.as_graph_def().library.function
    }
    seen: set[str] = set()
    while called:
        name = called.pop()
        if name in seen or name not in library:
            continue
        seen.add(name)
        for node in library[name].node_def:
            if node.op.startswith(_WRITES):
                return True
            called |= _called_functions(node)
    return False


def _called_functions(node: Any) -> set[str]:
    names = {node.op}
    for value in node.attr.values():
        names.add(value.func.name)
        names.update(function.name for function in value.list.func)
    return names - {""}


def _check(op: tf.Operation) -> None:
    if op.type in _REFERENCE_VARIABLES:
        raise UnsupportedOpError(
            f"{op.name!r} is a reference variable, which only a v1 session has",
            f"operation {op.name!r} of type {op.type}",
            "Make it a resource variable: use_resource=True.",
        )
    if op.type.endswith(_PRIVATE_TO_A_KERNEL):
        raise UnsupportedOpError(
            f"{op.name!r} keeps its state in a kernel of a v1 session",
            f"operation {op.name!r} of type {op.type}",
            "Feed the values, use a tf.data iterator, or keep them in a "
            "variable or table.",
        )


def _calls_a_function(node: Any) -> bool:
    return node.op in ("PartitionedCall", "SymbolicGradient") or any(
        value.HasField("func") or value.list.func
        for value in node.attr.values()
    )


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
