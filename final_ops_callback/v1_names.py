# SPDX-License-Identifier: Apache-2.0
"""Puts the hook names of TensorFlow 1 back into TensorFlow, for a while.

TensorFlow 2.16 removed `tf.estimator`, and `tf.train` of TensorFlow 2 has no
hooks: a module of hooks written for them ends at its import. After `install`,
it can be imported unmodified.
"""

from __future__ import annotations

import sys
from types import ModuleType
from types import TracebackType
from typing import Any

import tensorflow as tf

from final_ops_callback import estimator
from final_ops_callback.estimator import experimental

# The hooks, what they are made of, and what they call.
TRAIN_NAMES = (
    *estimator.HOOK_NAMES,
    "Saver",
    "Scaffold",
    "assert_global_step",
    "create_global_step",
    "get_global_step",
    "get_or_create_global_step",
    "global_step",
)

# TensorFlow has its public names in several modules.
_TRAINS = ("tensorflow.train", "tensorflow.compat.v2.train")
_PARENTS = ("tensorflow", "tensorflow.compat.v1", "tensorflow.compat.v2")


class V1Names:
    """The names that were put back; as a context manager, until its end.

    `install` returns it.
    """

    def __init__(self) -> None:
        self._is_installed = True

    def uninstall(self) -> None:
        """Takes the names away, unless another `install` still wants them.

        A second call does nothing. Modules that were imported keep what they
        got.
        """
        if self._is_installed:
            self._is_installed = False
            _INSTALLED.remove(self)
            if not _INSTALLED:
                _take_away()

    def __enter__(self) -> V1Names:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()


_INSTALLED: list[V1Names] = []
# What was put: a module, a name in it and its value; without a module, the name
# and the value are an entry of `sys.modules`.
_PUT: list[tuple[Any, str, Any]] = []


def install() -> V1Names:
    """Puts the hook names of `tf.estimator` and `tf.train` back.

    `tf.estimator` (also `tf.compat.v1.estimator`, and as a module to import)
    becomes `final_ops_callback.estimator`, and `tf.train` gets its hooks,
    `SessionRunArgs`, `Saver`, `Scaffold` and the functions of the global step.
    A name that TensorFlow has stays as it is: with TensorFlow 2.15, which has
    `tf.estimator`, only `tf.train` changes. It does not matter whether
    TensorFlow was imported before.

    Returns:
        A `V1Names`: call its `uninstall`, or use it in a `with` statement, to
        take the names away.

    Example:
    >>> import tensorflow as tf
    >>> from final_ops_callback import v1_names
    >>> with v1_names.install():
    ...     class MyHook(tf.train.SessionRunHook):
    ...         def before_run(self, run_context):
    ...             return tf.train.SessionRunArgs("loss:0")
    >>> hasattr(tf.train, "SessionRunHook")
    False
    """
    if not _INSTALLED:
        _put_back()
    names = V1Names()
    _INSTALLED.append(names)
    return names


def _put_back() -> None:
    for path in _TRAINS:
        # An import of `tensorflow.train` would make another module of it, and
        # put that one in the place of `tf.train`.
        _put_module(path, _of(path))
        for module in _all_of(path):
            for name in TRAIN_NAMES:
                _put(module, name, getattr(tf.compat.v1.train, name))
    _put_estimator()


def _put_estimator() -> None:
    for path in _PARENTS:
        # As above: `import tensorflow.compat.v1` would make another module.
        _put_module(path, _of(path))
    modules: dict[str, ModuleType] = {
        "estimator": estimator,
        "estimator.experimental": experimental,
    }
    for path in _PARENTS:
        if hasattr(_of(path), "estimator"):
            continue
        for parent in _all_of(path):
            _put(parent, "estimator", estimator)
        for name, module in modules.items():
            _put_module(f"{path}.{name}", module)


def _all_of(path: str) -> list[Any]:
    """Returns the modules that attributes and imports of a path lead to.

    These may be two objects.
    """
    found = [_of(path), sys.modules.get(path)]
    return [module for module in found if module is not None]


def _of(path: str) -> Any:
    """Returns the module that attributes lead to."""
    module: Any = tf
    for name in path.split(".")[1:]:
        module = getattr(module, name)
    return module


def _put(module: Any, name: str, value: Any) -> None:
    if not hasattr(module, name):
        setattr(module, name, value)
        _PUT.append((module, name, value))


def _put_module(path: str, module: Any) -> None:
    if path not in sys.modules:
        sys.modules[path] = module
        _PUT.append((None, path, module))


def _take_away() -> None:
    while _PUT:
        module, name, value = _PUT.pop()
        # Unless somebody has replaced it since.
        if module is None:
            if sys.modules.get(name) is value:
                del sys.modules[name]
        elif getattr(module, name, None) is value:
            delattr(module, name)
