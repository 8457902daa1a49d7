# SPDX-License-Identifier: Apache-2.0
"""The scaffold of a run: what is built last in a graph, and run first."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from final_ops_callback._hooks import foreign
from final_ops_callback._hooks import restore
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import HookUsageError

_KEYS = tf.compat.v1.GraphKeys


@contextlib.contextmanager
def scaffold_of(given: Any) -> Iterator[Any]:
    """Makes the scaffold of one run.

    A scaffold remembers the operations of the first graph that it finalized.
    For the next run it forgets them again.

    Args:
        given: A `tf.compat.v1.train.Scaffold`, a function that returns one,
            or `None`: a default one.

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
    """Finalizes a graph as v1 did, the default one.

    The default operations of a scaffold that initialize and ask what is not
    initialized are about the variables of hooks: the model's have their
    values, but for those whose initializer a hook has replaced
    (`init_from_checkpoint` does). A saver is about all.

    Args:
        scaffold: A `tf.compat.v1.train.Scaffold`.
        graph: The graph.
    """
    _build_saver(scaffold)
    with _without_twins(graph):
        scaffold.finalize()


def initialize(scaffold: Any, session: EagerSession) -> None:
    """Initializes what is not the model's.

    Args:
        scaffold: A finalized scaffold.
        session: The session.

    Raises:
        HookUsageError: Something stays uninitialized.
    """
    try:
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


def _build_saver(scaffold: Any) -> None:
    saver = scaffold.saver
    if saver is None:
        savers = tf.compat.v1.get_collection_ref(_KEYS.SAVERS)
        if not savers:
            # As the one that a scaffold makes.
            savers.append(
                tf.compat.v1.train.Saver(sharded=True, allow_empty=True)
            )
        saver = savers[0]
    if isinstance(saver, tf.compat.v1.train.Saver):
        saver.build()  # does nothing the second time


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
            # With what a scaffold of the user's own may have added.
            variables[:] = there + variables[count:]


def _handle_name(variable: Any) -> str | None:
    handle = getattr(variable, "handle", None)
    return None if handle is None else str(handle.op.name)
