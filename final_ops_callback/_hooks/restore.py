# SPDX-License-Identifier: Apache-2.0
"""Explains errors about a checkpoint that lacks variables of a saver.

TensorFlow names only one missing key, but a checkpoint of TensorFlow 1 often
lacks all slots of an optimizer. Nothing here runs before a restore has failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import CheckpointError

# The most names that an error lists.
_LONGEST = 20


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
        wanted = _restored_names(saver)
        there = tf.train.load_checkpoint(path).get_variable_to_shape_map()
        missing = sorted(wanted - there.keys())
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
                "some under other names, map them with variable_names.",
            ) from error


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
    graph = tf.compat.v1.get_default_graph()
    try:
        name = saver.saver_def.restore_op_name
        stack = [graph.get_operation_by_name(name)]
    except KeyError:  # a saver of another graph
        return set()
    seen: set[str] = set()
    names: set[str] = set()
    while stack:
        op = stack.pop()
        if op.name in seen:
            continue
        seen.add(op.name)
        if op.type == "RestoreV2":
            keys = tf.get_static_value(op.inputs[1])
            names |= {key.decode() for key in keys}
        stack += [*op.control_inputs, *(tensor.op for tensor in op.inputs)]
    return names


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_LONGEST]))
    more = len(names) - _LONGEST
    return shown if more <= 0 else f"{shown} and {more} more"
