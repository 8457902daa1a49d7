# SPDX-License-Identifier: Apache-2.0
"""What a user of this package may catch.

Every message has three parts: what is wrong, where, and the way out.
"""

from __future__ import annotations

import warnings
from typing import Any

import tensorflow as tf

# Old names that still work for one release.
_DEPRECATED = {
    "HookError": "FinalOpsCallbackError",
    "OutletError": "WriterError",
}


def __getattr__(name: str) -> Any:
    """Finds an error under its old name, with a warning."""
    if name not in _DEPRECATED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _DEPRECATED[name]
    warnings.warn(
        f"{__name__}.{name} is now called {new}; the old name will go with "
        "the next release.",
        DeprecationWarning,
        stacklevel=2,
    )
    return globals()[new]


class FinalOpsCallbackError(Exception):
    """The base of every error that this package raises by itself.

    Errors of your own code (a hook, a `tf.function`, a metric) are never
    wrapped in it: they keep their type.

    Args:
        what: String. What is wrong.
        where: String. The hook, moment, fetch or leaf that it is about.
        way_out: String. What to do about it.

    Example:
    >>> from final_ops_callback.errors import FeedError
    >>> print(FeedError("nothing feeds 'x'", "final_ops", "Feed it."))
    nothing feeds 'x' (at final_ops). Feed it.
    """

    def __init__(self, what: str, where: str, way_out: str) -> None:
        super().__init__(what, where, way_out)
        self.what = what
        self.where = where
        self.way_out = way_out

    def __str__(self) -> str:
        return f"{self.what} (at {self.where}). {self.way_out}"

    def add_where(self, where: str) -> None:
        """Says more of the place: which hook, at which moment."""
        self.where = f"{self.where}, in {where}"
        self.args = (self.what, self.where, self.way_out)


class ArgumentError(FinalOpsCallbackError, ValueError):
    """An argument of a constructor that has no meaning, such as a phase."""


class LeafError(FinalOpsCallbackError, ValueError):
    """A leaf of `final_ops` that has no value: an unknown name, say."""


class GraphTensorError(FinalOpsCallbackError, TypeError):
    """A v1 graph tensor or operation where only eager things can be."""


class FeedError(FinalOpsCallbackError, ValueError):
    """A feed that nothing uses, or an input that nothing feeds."""


class WriterError(FinalOpsCallbackError, OSError):
    """A place where final values should go and that can't be written.

    `errno`, `strerror` and `filename` are those of the operating system's
    error, if there was one, else `None`.
    """

    def __init__(self, what: str, where: str, way_out: str) -> None:
        super().__init__(what, where, way_out)
        # An OSError takes its arguments for these.
        self.errno = self.strerror = self.filename = None
        self.args = what, where, way_out


class UnsupportedOpError(FinalOpsCallbackError, NotImplementedError):
    """An operation that only a v1 session can run."""


class StepTensorError(FinalOpsCallbackError, RuntimeError):
    """A step tensor that the step does not deliver, or that has no step."""


class UnknownNameError(FinalOpsCallbackError, KeyError):
    """A name that neither the hook graph nor the step has."""


class NotAHookError(FinalOpsCallbackError, TypeError):
    """Something among the hooks that is no v1 hook."""


class FeedConflictError(FinalOpsCallbackError, RuntimeError):
    """Two hooks that feed the same tensor."""


class HookUsageError(FinalOpsCallbackError, RuntimeError):
    """A hook that does what can't be done at that moment."""


class ForeignTensorError(HookUsageError, ValueError, TypeError):
    """A hook that holds a tensor which is not of its graph.

    v1 raised a `ValueError` for a fetch and a `TypeError` for a feed.
    """


class CheckpointError(HookUsageError, tf.errors.NotFoundError):
    """A checkpoint that lacks variables which a saver restores.

    It is the `NotFoundError` of v1, too; `op` and `node_def` are `None`.
    """

    def __init__(self, what: str, where: str, way_out: str) -> None:
        tf.errors.NotFoundError.__init__(self, None, None, what)
        HookUsageError.__init__(self, what, where, way_out)


class WorkerError(FinalOpsCallbackError, RuntimeError):
    """Another worker of the same training failed, or does something else."""


class StrategyError(FinalOpsCallbackError, NotImplementedError):
    """A distribution strategy under which hooks can't run."""


class BackendError(FinalOpsCallbackError, NotImplementedError):
    """A backend of Keras on which hooks can't run."""
