# SPDX-License-Identifier: Apache-2.0
"""Writes the state of a Keras model as a checkpoint of v1."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback._checkpoints.model_state import read
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import PATTERN
from final_ops_callback._checkpoints.reader import as_text
from final_ops_callback._checkpoints.state_file import state_of
from final_ops_callback._checkpoints.state_file import write_state
from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._keras import compat
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import WriterError

logger = logging.getLogger("final_ops_callback")


def save_v1(
    model: Any,
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, str | None] | None = None,
    slots: bool = True,
    global_step: Any = None,
    optimizer_name: str | None = None,
) -> str:
    """Writes a checkpoint that a program of TensorFlow 1 restores.

    It holds the weights, the slots that v1's optimizer kept (converted to what
    v1 kept in them, with Adam's powers), and the `global_step`. The files are
    those of `tf.compat.v1.train.Saver` in its format V2, but for the `.meta`
    file, which holds a graph: a program that builds its graph itself needs
    none. They are written under other names and then renamed, and the file
    `checkpoint` of the folder is updated last, as `Saver` does. No old
    checkpoint is deleted.

    With several workers, call it on all of them; the chief writes.

    Args:
        model: A built Keras model of any flavor. If it is not compiled, its
            weights are written, and the step, if it is given.
        path: String or path. The path of the checkpoint, whose folder has to
            be there: `folder/model.ckpt`. Its name may not have the characters
            `*?[]`, which TensorFlow could not restore.
        names: Mapping from the path of a Keras variable to its name in the
            checkpoint, or from a scope to a scope (`{"sequential/": ""}`).
            `None` as a name leaves a variable out. The keys `global_step`,
            `beta1_power` and `beta2_power` stand for these variables.
            Defaults to `None`: the paths.
        slots: Boolean. Whether to write the slots. Defaults to `True`.
        global_step: Integer, or a scalar tensor or variable. The step to
            write, and, as in `Saver.save`, to append to the path:
            `folder/model.ckpt-100`. Defaults to `None`: the step of the
            optimizer is written, and nothing is appended.
        optimizer_name: String. The `name=` of v1's optimizer, if the program
            gives it one. Defaults to `None`: the default name of its kind.

    Returns:
        String. The path of the checkpoint, which `Saver.restore` takes.

    Raises:
        ArgumentError: An argument is invalid, or the model is not built.
        CheckpointError: v1 had no optimizer like that of the model.
        WriterError: The files can't be written.

    Example:
    >>> import tempfile
    >>> import keras
    >>> import tensorflow as tf
    >>> from final_ops_callback import save_v1
    >>> image = keras.Input((2,))
    >>> model = keras.Model(image, keras.layers.Dense(1, name="out")(image))
    >>> model.compile(keras.optimizers.Adagrad(0.1), "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     prefix = save_v1(
    ...         model,
    ...         f"{folder}/model.ckpt",
    ...         names={"out/": "logits/"},
    ...         global_step=7,
    ...     )
    ...     for name, shape in tf.train.list_variables(prefix):
    ...         print(name, shape)
    global_step []
    logits/bias [1]
    logits/bias/Adagrad [1]
    logits/kernel [2, 1]
    logits/kernel/Adagrad [2, 1]
    """
    # Under a default graph of v1, too, as in the methods of a hook.
    with eager_mode():
        return _save(
            ModelState(model, slots, optimizer_name),
            as_text(path),
            NameMap(names),
            _step_of(global_step),
            compat.is_chief(model),
        )


def _save(
    state: ModelState,
    prefix: str,
    names: NameMap,
    step: int | None,
    writes: bool,
) -> str:
    names.check_keys(state.known_paths(), ())
    state.check_slots()
    if step is not None:
        prefix = f"{prefix}-{step}"
    _check_target(prefix)
    tensors = _tensors(state, names, step)
    if writes:
        _write(prefix, tensors)
    return prefix


def _step_of(global_step: Any) -> int | None:
    if global_step is None:
        return None
    is_tensor = compat.is_variable(global_step) or tf.is_tensor(global_step)
    value = compat.to_numpy(global_step) if is_tensor else global_step
    value = np.asarray(value)
    if value.shape or value.dtype.kind not in "iu" or value < 0:
        raise _no_step(global_step)
    return int(value)


def _no_step(value: Any) -> ArgumentError:
    return ArgumentError(
        f"{value!r} is not a step",
        "global_step",
        "Use a whole number, such as model.optimizer.iterations.",
    )


def _check_target(prefix: str) -> None:
    folder, name = os.path.split(prefix)
    if not name or tf.io.gfile.isdir(prefix):
        raise ArgumentError(
            f"{prefix!r} is a folder",
            f"path={prefix}",
            f"Name a checkpoint in it: {os.path.join(prefix, 'model.ckpt')!r}.",
        )
    if name == "checkpoint":
        raise ArgumentError(
            "the file 'checkpoint' names the checkpoints of a folder",
            f"path={prefix}",
            "Use another name, such as 'model.ckpt'.",
        )
    if PATTERN.search(name):
        raise ArgumentError(
            f"{name!r} has one of '*?[]', and TensorFlow takes the name for a "
            "pattern when it restores the checkpoint",
            f"path={prefix}",
            "Use another name, such as 'model.ckpt'.",
        )
    if not tf.io.gfile.isdir(folder or "."):
        raise WriterError(
            f"the folder {folder!r} is not there",
            f"path={prefix}",
            "Create it, or name another one.",
        )
    if "[" in folder:
        logger.warning(
            "The folder %r has a '[' in its name: TensorFlow restores no "
            "checkpoint from it until it is renamed.",
            folder,
        )


def _tensors(
    state: ModelState, names: NameMap, step: int | None
) -> dict[str, Any]:
    """Returns what to write by its name."""
    state.build_slots()
    _warn_of_a_part(state)
    tensors: dict[str, Any] = {}

    def add(path: str, name: str | None, value: Any) -> None:
        if name is None:
            return
        if name in tensors:
            raise ArgumentError(
                f"{path!r} and another variable would be written as {name!r}",
                "names",
                "Give each variable a name of its own.",
            )
        tensors[name] = value

    for path, variable in state.weights.items():
        add(path, names.name(path), read(variable))
    for slot in state.slots():
        owner = names.name(slot.path)
        if owner is None:
            continue
        if slot.variable is None:
            value = np.zeros_like(tensors[owner])
        else:
            value = state.read_slot(slot.variable())
        add(f"{slot.path}{slot.suffix}", f"{owner}{slot.suffix}", value)
    done = state.step() if step is None else step
    if done is not None:
        add(GLOBAL_STEP, names.name(GLOBAL_STEP), np.int64(done))
        for key, beta in state.betas.items():
            power = np.float32(beta ** ((state.step() or 0) + 1))
            add(key, names.name(key), power)
    return tensors


def _warn_of_a_part(state: ModelState) -> None:
    if state.batches_of_next_step():
        logger.warning(
            "The optimizer has accumulated gradients of %d batches for its "
            "next step, which a checkpoint of v1 can't hold: they are left "
            "out.",
            state.batches_of_next_step(),
        )


def _write(prefix: str, tensors: Mapping[str, Any]) -> None:
    # In a folder, so that a part never looks like a whole. The index, which
    # makes a checkpoint of the data, is moved last; `MergeV2Checkpoints` would
    # cut off one that is there before it writes it anew.
    folder = f"{prefix}_temp_{uuid.uuid4().hex}"
    part = os.path.join(folder, "part")
    names = sorted(tensors)
    try:
        try:
            tf.raw_ops.SaveV2(
                prefix=part,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.convert_to_tensor(tensors[n]) for n in names],
            )
            for suffix in (".data-00000-of-00001", ".index"):
                tf.io.gfile.rename(
                    f"{part}{suffix}", f"{prefix}{suffix}", overwrite=True
                )
        finally:
            if tf.io.gfile.exists(folder):
                tf.io.gfile.rmtree(folder)
        _update_state(prefix)
    except (tf.errors.OpError, OSError) as error:
        raise WriterError(
            f"the checkpoint could not be written: {error}",
            f"path={prefix}",
            "Check the space and the permissions of the folder.",
        ) from error


def _update_state(prefix: str) -> None:
    """Names the checkpoint as the latest one in the state of its folder."""
    folder = os.path.dirname(prefix) or "."
    state = state_of(folder)
    before = list(state.all_model_checkpoint_paths) if state else []
    kept = [
        other
        for other in before
        if os.path.abspath(other) != os.path.abspath(prefix)
        and tf.io.gfile.exists(f"{other}.index")
    ]
    write_state(folder, prefix, [*kept, prefix])
