# SPDX-License-Identifier: Apache-2.0
"""Finalizes the graph of a run with a v1 scaffold, and initializes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback import _tf_private
from final_ops_callback._hooks import foreign
from final_ops_callback._hooks import restore
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import HookUsageError

_KEYS = tf.compat.v1.GraphKeys


@contextlib.contextmanager
def scaffold_of(given: Any) -> Iterator[Any]:
    """Makes the scaffold of one run.

    A scaffold keeps the operations of the first graph that it finalized. They
    are removed after the run, so that the next run can use the scaffold.

    Args:
        given: A `tf.compat.v1.train.Scaffold`, a function that returns one,
            or `None` for a default one.

    Yields:
        The scaffold.
    """
    scaffold = given() if callable(given) else given
    if scaffold is None:
        scaffold = tf.compat.v1.train.Scaffold()
    state = dict(vars(scaffold))
    try:
        yield scaffold
    finally:
        vars(scaffold).update(state)


def finalize(scaffold: Any, graph: HookGraph) -> None:
    """Finalizes the default graph as v1 did.

    The default operations of a scaffold that initialize variables, or list the
    uninitialized ones, cover only the variables of hooks. The variables of the
    model have values already, except those whose initializer a hook replaced
    (as `init_from_checkpoint` does). A saver covers all variables.

    Args:
        scaffold: A `tf.compat.v1.train.Scaffold`.
        graph: The graph, which is the default graph.
    """
    _build_saver(scaffold, graph)
    with _without_twins(graph):
        scaffold.finalize()


def initialize(
    scaffold: Any, session: EagerSession, checkpoint_dir: str | None = None
) -> None:
    """Gives the variables their values, as v1 did when it made a session.

    If there is a checkpoint, it gives all variables their values, and the
    `init_op` and `init_fn` of the scaffold don't run. Otherwise these
    initialize the variables that do not belong to the model.

    Args:
        scaffold: A finalized scaffold.
        session: The session.
        checkpoint_dir: String. The folder whose latest checkpoint is restored,
            if it has one. Defaults to `None`: nothing is restored.

    Raises:
        HookUsageError: A variable stays uninitialized.
        CheckpointError: The checkpoint is not one of these variables.
    """
    try:
        if not restore.restore_latest(scaffold.saver, session, checkpoint_dir):
            session.run(scaffold.init_op, scaffold.init_feed_dict)
            if scaffold.init_fn is not None:
                scaffold.init_fn(session)
        session.run(scaffold.local_init_op, scaffold.local_init_feed_dict)
        missing = session.run(scaffold.ready_op)
    except Exception as error:
        foreign.explain(
            error, "the scaffold", scaffold, session.graph, "scaffold"
        )
        restore.explain(error, "the init_fn of the scaffold")
        raise
    if len(missing):
        raise HookUsageError(
            f"not initialized: {[name.decode() for name in missing]}",
            "the initialization after begin",
            "Put each variable into a collection, or run its initializer "
            "in the scaffold's init_op or init_fn.",
        )


def _build_saver(scaffold: Any, graph: HookGraph) -> None:
    saver = scaffold.saver
    if saver is None:
        savers = tf.compat.v1.get_collection_ref(_KEYS.SAVERS)
        if not savers:
            # The saver that a scaffold makes, and the same files, but not
            # sharded: a sharded one truncates the index of a checkpoint that
            # it saves again, as CheckpointSaverHook does after a restore. A
            # training that was killed there could not go on.
            savers.append(
                tf.compat.v1.train.Saver(_saved(graph), allow_empty=True)
            )
        saver = savers[0]
    if isinstance(saver, tf.compat.v1.train.Saver):
        saver.build()  # does nothing the second time


def _saved(graph: HookGraph) -> dict[str, Any] | None:
    """Returns what to save by its name in a checkpoint; `None` if it is all.

    Without a mapping, a saver knows each variable by its name in the graph.
    """
    other_names = {
        handle: live.saved_as
        for handle, live in graph.links.twins.items()
        if live.saved_as
    }
    if not other_names:
        return None
    found = _tf_private.saved_by_name(
        tf.compat.v1.global_variables()
        + tf.compat.v1.get_collection(_KEYS.SAVEABLE_OBJECTS)
    )
    # Another variable may have the name: then nothing may take it.
    free = {h: name for h, name in other_names.items() if name not in found}
    return {free.get(name, name): saved for name, saved in found.items()}


@contextlib.contextmanager
def _without_twins(graph: HookGraph) -> Iterator[None]:
    listed = [
        graph.get_collection_ref(key)
        for key in (_KEYS.GLOBAL_VARIABLES, _KEYS.LOCAL_VARIABLES)
    ]
    before = [list(variables) for variables in listed]
    replaced = {op.name for op in graph.replaced_initializers}
    for variables in listed:
        variables[:] = [
            v
            for v in variables
            if _handle_name(v) not in graph.links.twins
            or v.initializer.name in replaced
        ]
    own = [len(variables) for variables in listed]
    try:
        yield
    finally:
        for variables, there, count in zip(listed, before, own, strict=True):
            # With the variables that a user-defined scaffold may have added.
            variables[:] = there + variables[count:]


def _handle_name(variable: Any) -> str | None:
    handle = getattr(variable, "handle", None)
    return None if handle is None else str(handle.op.name)
