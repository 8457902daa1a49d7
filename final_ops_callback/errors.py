# SPDX-License-Identifier: Apache-2.0
"""Defines the errors that this package raises.

Every message has three parts: what is wrong, where, and what to do about it.
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
    """Returns an error class by its old name, with a warning."""
    if name not in _DEPRECATED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _DEPRECATED[name]
    warnings.warn(
        f"{__name__}.{name} is now called {new}; the next release will remove "
        "the old name.",
        DeprecationWarning,
        stacklevel=2,
    )
    return globals()[new]


class FinalOpsCallbackError(Exception):
    """The base class of all errors of this package.

    Errors that your own code raises (a hook, a `tf.function`, a metric) are not
    wrapped. They keep their types.

    Args:
        what: String. What is wrong.
        where: String. The hook, method, fetch or leaf that caused the error.
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
        """Adds the hook and the method in which the error was raised."""
        self.where = f"{self.where}, in {where}"
        self.args = (self.what, self.where, self.way_out)


class ArgumentError(FinalOpsCallbackError, ValueError):
    """An argument of a constructor is invalid, for example an unknown phase."""


class LeafError(FinalOpsCallbackError, ValueError):
    """A leaf of `final_ops` has no value, for example an unknown name."""


class GraphTensorError(FinalOpsCallbackError, TypeError):
    """A v1 graph tensor or operation was given instead of an eager value."""


class FeedError(FinalOpsCallbackError, ValueError):
    """Nothing uses a feed, or nothing feeds an input."""


class WriterError(FinalOpsCallbackError, OSError):
    """Final values could not be written to a file or folder.

    `errno`, `strerror` and `filename` are those of the error of the operating
    system, or `None` if there was none.
    """

    def __init__(self, what: str, where: str, way_out: str) -> None:
        super().__init__(what, where, way_out)
        # OSError would derive these from its arguments.
        self.errno = self.strerror = self.filename = None
        self.args = what, where, way_out


class UnsupportedOpError(FinalOpsCallbackError, NotImplementedError):
    """An operation can run only in a v1 session."""


class StepTensorError(FinalOpsCallbackError, RuntimeError):
    """A step tensor has no value: no step delivers it, or no step has run."""


class UnknownNameError(FinalOpsCallbackError, KeyError):
    """Neither the hook graph nor the step has an element of this name."""


class NotAHookError(FinalOpsCallbackError, TypeError):
    """An object among the hooks is not a v1 hook."""


class FeedConflictError(FinalOpsCallbackError, RuntimeError):
    """Two hooks feed the same tensor."""


class HookUsageError(FinalOpsCallbackError, RuntimeError):
    """A hook or a runner is used in a way that is not possible at that time."""


class ForeignTensorError(HookUsageError, ValueError, TypeError):
    """A hook holds a tensor that does not belong to the hook graph.

    It is a `ValueError` and a `TypeError`, because v1 raised the former for a
    fetch and the latter for a feed.
    """


class CheckpointError(HookUsageError, tf.errors.NotFoundError):
    """A checkpoint can't be read, lacks variables, or does not fit the model.

    It is also a `NotFoundError`, as in v1; `op` and `node_def` are `None`.
    """

    def __init__(self, what: str, where: str, way_out: str) -> None:
        tf.errors.NotFoundError.__init__(self, None, None, what)
        HookUsageError.__init__(self, what, where, way_out)


class DamagedCheckpointError(CheckpointError):
    """A checkpoint can't be read: it is damaged, not whole, or gone."""


class WorkerError(FinalOpsCallbackError, RuntimeError):
    """Another worker of the same training failed, or did not take part."""


class StrategyError(FinalOpsCallbackError, NotImplementedError):
    """Hooks can't run under this distribution strategy."""


class BackendError(FinalOpsCallbackError, NotImplementedError):
    """Hooks can't run on this backend of Keras."""


class EstimatorError(
    FinalOpsCallbackError, AttributeError, NotImplementedError
):
    """A name of `tf.estimator` is used that is not brought back."""


class NotAModelError(FinalOpsCallbackError, TypeError):
    """An object is not the Keras model that is needed."""
