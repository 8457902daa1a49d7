# SPDX-License-Identifier: Apache-2.0
"""EagerInteractiveSession: replaces `tf.compat.v1.InteractiveSession`."""

from __future__ import annotations

import contextlib
from typing import Any

import tensorflow as tf

from final_ops_callback._session.session import EagerSession


class EagerInteractiveSession(EagerSession):
    """An `EagerSession` that is the default session until it is closed.

    It does not need a `with` statement: tensors that are evaluated later are
    evaluated in it. That suits a notebook, or a script that is migrated by
    `tf.compat.v1.InteractiveSession = EagerInteractiveSession`. As in v1, if
    there are several, the last one has to be closed first.

    Args:
        target: String. Only `""`, which means this process, is allowed.
            Defaults to `""`.
        graph: The `tf.Graph` to run, which becomes the default graph, too.
            Defaults to the default graph.
        config: A `tf.compat.v1.ConfigProto` or `None`. It has no effect.

    Raises:
        ArgumentError: The target is not `""`.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback import EagerInteractiveSession
    >>> with tf.Graph().as_default():
    ...     session = EagerInteractiveSession()
    ...     print(tf.constant(42.0).eval())
    ...     session.close()
    42.0
    """

    def __init__(
        self,
        target: str = "",
        graph: tf.Graph | None = None,
        config: Any = None,
    ) -> None:
        super().__init__(target, graph, config)
        self._until_closed = contextlib.ExitStack()
        self._until_closed.enter_context(self.as_default())
        if graph is not None:
            self._until_closed.enter_context(graph.as_default())

    def close(self) -> None:
        """Closes the session, which then is no longer the default session."""
        super().close()
        self._until_closed.close()
