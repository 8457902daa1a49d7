# SPDX-License-Identifier: Apache-2.0
"""Collects the private names of TensorFlow that this package uses.

No other file of the package imports from `tensorflow.python` or
`tensorflow.core`, or reads an attribute of TensorFlow that begins with an
underscore (`tests/test_architecture.py` checks this). Each name is listed with
the reason why no public name can replace it. `tests/test_private_api.py` has a
test for each, which fails first when TensorFlow changes it.
"""

from __future__ import annotations

import weakref
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.client import session as _session
from tensorflow.python.client.session import SessionInterface
from tensorflow.python.eager import context as _context
from tensorflow.python.eager import execute as _execute
from tensorflow.python.framework.error_interpolation import interpolate_graph
from tensorflow.python.framework.indexed_slices import IndexedSlicesValue
from tensorflow.python.training import evaluation as _evaluation
from tensorflow.python.training.basic_session_run_hooks import (
    get_or_create_steps_per_run_variable,
)
from tensorflow.python.training.saving import saveable_object_util as _saveables
from tensorflow.python.training.training_util import GLOBAL_STEP_READ_KEY

try:
    from tensorflow.python.data.ops.iterator_ops import OwnedIterator
    from tensorflow.python.eager.polymorphic_function import atomic_function
except ImportError:  # steps are then called as Keras calls them
    OwnedIterator = atomic_function = None

try:
    # TensorFlow has moved the message once already.
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace
except ImportError:  # TensorFlow 2.16 and later
    from tensorflow.core.profiler.protobuf.xplane_pb2 import XSpace

__all__ = [
    "EVALUATION_SETTER",
    "FEED_EXPANSIONS",
    "GLOBAL_STEP_READ_KEY",
    "LOG_AT_END",
    "FetchMapper",
    "FlatFunction",
    "FunctionDef",
    "HookTimer",
    "IndexedSlicesValue",
    "SessionInterface",
    "XSpace",
    "call_attributes",
    "eager_context",
    "enter_eager_mode",
    "execute",
    "get_or_create_eval_step",
    "get_or_create_steps_per_run_variable",
    "interpolate_graph",
    "is_iterator",
    "latest_eval_step",
    "saved_by_name",
    "unfinalize",
]

# The mapper of v1's own session. No public function returns the tensors and
# operations that a structure of fetches refers to, with the conversions that
# other packages have registered.
FetchMapper = _session._FetchHandler

# The rules for feeding composite tensors, with the conversions that other
# packages have registered.
FEED_EXPANSIONS = _session._REGISTERED_EXPANSIONS

# The base class of the timers in stock hooks, which hold times of a run.
HookTimer = tf.compat.v1.train.SecondOrStepTimer.__mro__[1]

# The method by which TensorFlow's hooks (and copies of them in other packages)
# are given the tensor that counts the evaluations.
EVALUATION_SETTER = "_set_evals_completed_tensor"

# The attribute of LoggingTensorHook that holds whether `end` fetches.
LOG_AT_END = "_log_at_end"


def eager_context() -> Any:
    """Returns the eager runtime of this process.

    Functions can be added to it by their definitions, and removed. There is no
    public way, because TensorFlow adds only functions that it has traced.
    """
    return _context.context()


def execute(name: str, outputs: int, inputs: list[Any], attrs: Any) -> Any:
    """Runs an operation or a function of the eager runtime by its name.

    `tf.raw_ops` has operations only, not functions.

    Args:
        name: String. The name of the operation or function.
        outputs: Integer. The number of its outputs.
        inputs: List of eager tensors.
        attrs: Tuple of attribute names and values, flat; `None` for none.

    Returns:
        List of eager tensors.
    """
    return _execute.execute(name, outputs, inputs, attrs, _context.context())


def call_attributes() -> tuple[str, ...]:
    """Returns the attributes with which the eager runtime calls a function."""
    options = _context.context().function_call_options
    return (
        "executor_type",
        "",
        "config_proto",
        options.config_proto_serialized,
    )


def enter_eager_mode() -> Any:
    """Returns a context in which operations run immediately.

    `tf.init_scope` would not leave a plain graph that is the default graph.
    """
    return tf.__internal__.eager_context.eager_mode()


def unfinalize(graph: tf.Graph) -> None:
    """Makes a finalized graph accept new operations again."""
    graph._unsafe_unfinalize()


def get_or_create_eval_step() -> Any:
    """Returns the variable with which v1 counted the runs of an evaluation."""
    return _evaluation._get_or_create_eval_step()


def saved_by_name(saved: list[Any]) -> dict[str, Any]:
    """Returns what a saver saves by the names that it gives in a checkpoint.

    No public function tells these names: the parts of a divided variable have
    one in common.

    Args:
        saved: List of variables and saveable objects of a graph.

    Returns:
        Dict that a saver takes, as it takes the list.
    """
    names: dict[str, Any] = _saveables.op_list_to_dict(
        saved, convert_variable_to_tensor=False
    )
    return names


def latest_eval_step(updates: list[Any]) -> Any:
    """Returns the count of evaluations after some updates have run."""
    return _evaluation._get_latest_eval_step_value(updates)


def is_iterator(data: Any) -> bool:
    """Returns whether an object is an iterator whose handle is known.

    A subclass, or the iterator of a distribution strategy, is not.
    """
    return type(data) is OwnedIterator


class FlatFunction:
    """A concrete function of one argument, which is called in a short way.

    A call of a concrete function checks its arguments and asks whether a
    gradient is recorded, and an optional is opened by several calls. Both take
    longer than the kernels of a small step.

    Args:
        function: A concrete function.
        opens: Boolean. Whether its output is an optional, to be opened.
            Defaults to `False`.
        traced: The `FlatFunction` that the function calls by `trace`, or
            `None`. The control dependencies of that call are removed. Defaults
            to `None`.
    """

    def __init__(
        self,
        function: Any,
        opens: bool = False,
        traced: FlatFunction | None = None,
    ) -> None:
        # The function has to stay, or its graph is freed.
        self._function = function
        self._name = function.function_def.signature.name
        if traced is not None:
            self._name = _without_waiting(function.function_def, traced.name)
            known = _context.context()
            gone = weakref.finalize(self, known.remove_function, self._name)
            gone.atexit = False
        self._count = len(function.outputs)
        self._captured = list(function.captured_inputs)
        self._attributes = call_attributes()
        self._opens = opens
        self._pack = function.function_type.pack_output
        self._structure = function.structured_outputs
        if opens:
            self._structure = self._structure.element_spec
        specs = tf.nest.flatten(self._structure)
        self._is_dense = all(
            isinstance(one, tf.Tensor | tf.TensorSpec) for one in specs
        )
        if self._is_dense:
            self._types = [one.dtype for one in specs]
            self._shapes = [one.shape for one in specs]

    @property
    def name(self) -> str:
        """The name by which the runtime knows the function."""
        return self._name

    @property
    def inputs(self) -> int:
        """How many tensors it takes beside its argument."""
        return len(self._captured)

    def explain(self, error: tf.errors.OpError, called: str) -> None:
        """Adds to an error what a call of the concrete function adds.

        Args:
            error: The error, whose message is changed.
            called: String. The name of the function that was called: it calls
                this function, or is this function.
        """
        error._message = error.message.replace(called, self._name)
        of_this = atomic_function.InterpolateRuntimeError(
            self._function._inference_function
        )
        of_this.__exit__(type(error), error, None)

    def __call__(self, data: Any) -> Any:
        """Calls it, and returns its outputs in their structure.

        Args:
            data: An iterator, or a structure of tensors.

        Raises:
            StopIteration: The optional is empty.
        """
        values = execute(
            self._name,
            self._count,
            [*_tensors_of(data), *self._captured],
            self._attributes,
        )
        if self._opens:
            if not tf.raw_ops.OptionalHasValue(optional=values[0]):
                raise StopIteration
            if not self._is_dense:
                return self._pack(values).get_value()
            values = tf.raw_ops.OptionalGetValue(
                optional=values[0],
                output_types=self._types,
                output_shapes=self._shapes,
            )
        if self._is_dense:
            return tf.nest.pack_sequence_as(self._structure, values)
        return self._pack(values)

    def trace(self, data: Any) -> Any:
        """Adds a call that touches no state before all that is in the graph.

        A control dependency of the call would become one of each constant in
        the function. TensorFlow would then fuse its operations in another way,
        and compute other last bits. So what waits are the handles of the
        iterator and of the variables. What needs no handle does not wait.
        `FlatFunction(..., traced=self)` removes the control dependencies that
        TensorFlow adds.

        Args:
            data: A symbolic iterator, or a structure of symbolic tensors.

        Returns:
            The outputs in their structure, in symbolic form.
        """
        graph = tf.compat.v1.get_default_graph()
        with tf.control_dependencies(graph.get_operations()):
            so_far = tf.no_op()
        inputs = [*_tensors_of(data), *self._captured]
        with tf.control_dependencies([so_far]):
            inputs = [
                tf.raw_ops.Identity(input=one)
                if one.dtype == tf.resource
                else one
                for one in inputs
            ]
        called = tf.raw_ops.StatefulPartitionedCall(
            args=inputs,
            Tout=[output.dtype for output in self._function.outputs],
            f=self._name,
        )
        # A call without outputs is the operation itself.
        values = list(called) if self._function.outputs else []
        for value, output in zip(values, self._function.outputs, strict=True):
            value.set_shape(output.shape)
        outputs = self._pack(values)
        return outputs.get_value() if self._opens else outputs


def _tensors_of(data: Any) -> list[Any]:
    if isinstance(data, list | tuple | dict):
        return tf.nest.flatten(data)
    return [data._iterator_resource]


def _without_waiting(definition: Any, called: str) -> str:
    """Adds a copy of a function whose calls of another one don't wait.

    Args:
        definition: A `FunctionDef`.
        called: String. The name of the other function.

    Returns:
        The name of the copy.
    """
    changed = FunctionDef()
    changed.CopyFrom(definition)
    changed.signature.name += "_without_waiting"
    for node in changed.node_def:
        if "f" in node.attr and node.attr["f"].func.name == called:
            inputs = [name for name in node.input if not name.startswith("^")]
            node.input[:] = inputs
    _context.context().add_function_def(changed)
    return changed.signature.name
