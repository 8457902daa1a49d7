# SPDX-License-Identifier: Apache-2.0
"""Restores the latest checkpoint of a folder, and explains failed restores.

TensorFlow names only one missing key, but a checkpoint of TensorFlow 1 often
lacks all slots of an optimizer. A restore that a hook or a scaffold runs is
explained after it has failed; the restore at the beginning of a run is checked
before it writes a variable.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import CheckpointError

logger = logging.getLogger("final_ops_callback")

# The most names that an error lists.
_LONGEST = 20
# The file that names the checkpoints of a folder.
_STATE = "checkpoint"
# A number that Keras appends: dense_1/kernel, adam/dense_1_kernel_momentum.
_NUMBER = re.compile(r"_\d+(?=[/_]|$)")
_WHERE = "the restore of the latest checkpoint"


def restore_latest(saver: Any, session: Any, folder: str | None) -> bool:
    """Restores the latest checkpoint of a folder, if it has one.

    As in v1, the saver then counts the older checkpoints of the folder among
    those of which it keeps the newest. No variable is written before the whole
    checkpoint is found to fit.

    Args:
        saver: The `Saver` of the scaffold, whose graph is the default graph.
        session: The session.
        folder: String. The folder, or `None`.

    Returns:
        Boolean. Whether a checkpoint was restored.

    Raises:
        CheckpointError: The folder or the checkpoint can't be read, it lacks
            variables, or a variable has another shape or dtype in it.
    """
    if not folder or not saver:
        return False
    state = _state_of(folder)
    if state is None or not state.model_checkpoint_path:
        return False
    path = state.model_checkpoint_path
    try:
        if isinstance(saver, tf.compat.v1.train.Saver):
            _check(saver, path)
        saver.restore(session, path)
    except CheckpointError:
        raise
    except (tf.errors.OpError, ValueError, OSError) as error:
        raise _unreadable(path, folder, error) from error
    saver.recover_last_checkpoints(state.all_model_checkpoint_paths)
    return True


def explain(error: BaseException, where: str) -> None:
    """Raises a better error, if a saver did not find all its variables.

    Args:
        error: The exception, with its traceback.
        where: String. The hook and its method.

    Raises:
        CheckpointError: The checkpoint lacks variables.
    """
    if not isinstance(error, tf.errors.NotFoundError):
        return
    for saver, path in _restores(error):
        there = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        try:
            _refuse_missing(_restored_names(saver), there, path, where)
        except CheckpointError as better:
            raise better from error


def _refuse_missing(
    wanted: Collection[str], there: Collection[str], path: str, where: str
) -> None:
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise CheckpointError(
            f"the checkpoint {path!r} lacks {len(missing)} of the "
            f"{len(wanted)} variables that the saver restores: "
            f"{_listed(missing)}",
            where,
            "Leave them out, with a saver of those that it has: "
            "scaffold=lambda: tf.compat.v1.train.Scaffold(saver="
            "tf.compat.v1.train.Saver([v for v in "
            "tf.compat.v1.global_variables() if v.op.name in names])), "
            "where names are those of tf.train.list_variables. If it has "
            "some under other names, map them with variable_names. For the "
            "checkpoint of a v1 program, call final_ops_callback.restore_v1("
            "model, path) before fit, which finds its names and slots."
            + _advice_on_numbers(missing, there),
        )


def _advice_on_numbers(missing: list[str], there: Collection[str]) -> str:
    """Returns advice, if only the numbers that Keras gives are different."""
    unnumbered = {_NUMBER.sub("", name) for name in there}
    if not all(_NUMBER.sub("", name) in unnumbered for name in missing):
        return ""
    return (
        " Only the numbers in the names are different: Keras numbers models "
        "and layers without a name, so give them names."
    )


def _state_of(folder: str) -> Any:
    """Returns the state of the checkpoints of a folder, or `None`.

    TensorFlow takes a state that it can't read for none, and the training
    would start anew in silence.
    """
    file = os.path.join(folder, _STATE)
    try:
        state = tf.train.get_checkpoint_state(folder)
        unread = state is None and tf.io.gfile.exists(file)
    except (ValueError, tf.errors.OpError) as error:
        raise _unreadable(file, folder, error) from error
    if unread:
        raise _unreadable(file, folder, ValueError("it is not the state"))
    if state is None:
        lost = tf.io.gfile.glob(os.path.join(folder, "*.index"))
        if lost:
            logger.warning(
                "%s has checkpoints (%s), but no file %r that names the "
                "latest: the training starts anew.",
                folder,
                _listed(sorted(map(os.path.basename, lost))),
                _STATE,
            )
    return state


def _check(saver: Any, path: str) -> None:
    """Raises an error if a saver can't restore all of a checkpoint."""
    reader = tf.train.load_checkpoint(path)
    there = reader.get_variable_to_shape_map()
    _refuse_missing(_restored_names(saver), there, path, _WHERE)
    wrong = [
        f"{key!r} has the shape {there[key]} there, and {list(shape)} here"
        for key, shape in sorted(_restored_shapes(saver).items())
        if not shape.is_compatible_with(there[key])
    ]
    dtypes = reader.get_variable_to_dtype_map()
    wrong += [
        f"{key!r} is {dtypes[key].name} there, and {dtype.name} here"
        for key, dtype in sorted(_restored_dtypes(saver).items())
        if dtypes[key] != dtype
    ]
    if wrong:
        raise CheckpointError(
            f"the checkpoint {path!r} is of another model: "
            f"{'; '.join(wrong[:_LONGEST])}",
            _WHERE,
            "Give another checkpoint_dir, or make the model of the checkpoint.",
        )


def _restored_dtypes(saver: Any) -> dict[str, tf.DType]:
    """Returns the dtypes of the tensors that a saver reads."""
    return {
        key.decode(): output.dtype.base_dtype
        for op in _restore_ops(saver)
        for key, output in zip(
            tf.get_static_value(op.inputs[1]), op.outputs, strict=True
        )
    }


def _restored_shapes(saver: Any) -> dict[str, tf.TensorShape]:
    """Returns the shapes of the variables that a saver restores as they are.

    Slices of a variable, and those that the saver reshapes, are left out: the
    operation itself checks them before it writes.
    """
    graph = tf.compat.v1.get_default_graph()
    shapes = {
        variable.op.name: variable.shape
        for key in graph.collections
        for variable in graph.get_collection(key)
        if isinstance(variable, tf.Variable)
    }
    found = {}
    for op in _restore_ops(saver):
        keys, slices = (tf.get_static_value(op.inputs[i]) for i in (1, 2))
        for key, part, output in zip(keys, slices, op.outputs, strict=True):
            for assign in _assigns(output):
                name = assign.inputs[0].op.name
                if not part and name in shapes:
                    found[key.decode()] = shapes[name]
    return found


def _assigns(tensor: Any) -> Iterator[Any]:
    """Yields the operations that assign a restored tensor as it is."""
    for op in tensor.consumers():
        if op.type == "Identity":
            yield from _assigns(op.outputs[0])
        elif op.type == "AssignVariableOp" or (
            op.type == "Assign" and op.get_attr("validate_shape")
        ):
            yield op


def _reason(path: str, error: BaseException) -> str:
    """Returns why a checkpoint can't be read, in one line.

    The message of an operation that failed in a graph begins with the lines of
    code that built it. Reading the tensors one by one gives the cause alone.
    """
    if os.path.basename(path) != _STATE:
        if not tf.io.gfile.glob(f"{path}.data-*"):
            return "its file of data is not there"
        try:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
        except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as one:
            error = one
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)


def _unreadable(
    path: str, folder: str, error: BaseException
) -> CheckpointError:
    return CheckpointError(
        f"{path!r} can't be read: {_reason(path, error)}",
        _WHERE,
        f"Restore the file, or let {os.path.join(folder, _STATE)!r} name "
        "another checkpoint, or give another checkpoint_dir.",
    )


def _restores(error: BaseException) -> Iterator[tuple[Any, str]]:
    """Yields the savers that were restoring, the innermost last."""
    traceback = error.__traceback__
    while traceback is not None:
        local = traceback.tb_frame.f_locals
        saver, path = local.get("self"), local.get("save_path")
        if isinstance(saver, tf.compat.v1.train.Saver) and path:
            yield saver, str(path)
        traceback = traceback.tb_next


def _restored_names(saver: Any) -> set[str]:
    """Returns the names that a saver looks up in a checkpoint."""
    return {
        key.decode()
        for op in _restore_ops(saver)
        for key in tf.get_static_value(op.inputs[1])
    }


def _restore_ops(saver: Any) -> Iterator[tf.Operation]:
    """Yields the operations of a saver that read a checkpoint."""
    graph = tf.compat.v1.get_default_graph()
    try:
        name = saver.saver_def.restore_op_name
        stack = [graph.get_operation_by_name(name)]
    except KeyError:  # a saver of another graph
        return
    seen: set[str] = set()
    while stack:
        op = stack.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if op.type == "RestoreV2":
            yield op
        stack += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_LONGEST]))
    more = len(names) - _LONGEST
    return shown if more <= 0 else f"{shown} and {more} more"
