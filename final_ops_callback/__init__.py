# SPDX-License-Identifier: Apache-2.0
"""Runs TensorFlow 1 session hooks under Keras.

`FinalOpsCallback` is `FinalOpsHook` as a Keras callback,
`SessionRunHookCallback` runs any v1 `SessionRunHook` under `model.fit`,
`MonitoredTrainingCallback` also does what `MonitoredTrainingSession` did around
the hooks, `HookRunner` runs them in a custom training loop, and `EagerSession`
replaces `tf.compat.v1.Session`. `restore_v1` and `save_v1` move checkpoints of
TensorFlow 1 into Keras models and back, and `evaluate_checkpoints` evaluates
the checkpoints of a training as they appear.

The code is in six packages. An arrow means "imports"; nothing else does:

    _hooks     -> _session, _step, _keras    SessionRunHookCallback, HookRunner
    _final_ops -> _step, _keras              FinalOpsCallback
    _checkpoints -> _hooks, _final_ops, _keras
                                             restore_v1, save_v1,
                                             evaluate_checkpoints
    _step      -> _keras                     values from inside a Keras step
    _session                                 EagerSession: v1 graphs, no Keras
    _keras                                   the differences between the Keras 2
                                             and 3 flavors
    _scan                                    the commands scan and fix, without
                                             TensorFlow and Keras

All but the last may use the modules beside this file: `errors`, `_tf_private`
(TensorFlow's private names), `_names` (names and specs of step tensors),
`_structure` (nested structures), `_to_host` (tensors as NumPy), `_eager_mode`
and `_profile`. `testing` is for the tests of your own
hooks, `estimator` and `v1_names` have the names that TensorFlow removed, and
`_demo` and `__main__` are the command line; the library imports none of these.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from final_ops_callback._checkpoints.evaluate import evaluate_checkpoints
    from final_ops_callback._checkpoints.restore import restore_v1
    from final_ops_callback._checkpoints.save import save_v1
    from final_ops_callback._final_ops.callback import FinalOpsCallback
    from final_ops_callback._hooks.callback import SessionRunHookCallback
    from final_ops_callback._hooks.monitored_training import (
        MonitoredTrainingCallback,
    )
    from final_ops_callback._hooks.runner import HookRunner
    from final_ops_callback._session.interactive import EagerInteractiveSession
    from final_ops_callback._session.session import EagerSession

__all__ = [
    "EagerInteractiveSession",
    "EagerSession",
    "FinalOpsCallback",
    "HookRunner",
    "MonitoredTrainingCallback",
    "SessionRunHookCallback",
    "evaluate_checkpoints",
    "restore_v1",
    "save_v1",
]

_HOMES = {
    "EagerInteractiveSession": "_session.interactive",
    "EagerSession": "_session.session",
    "FinalOpsCallback": "_final_ops.callback",
    "HookRunner": "_hooks.runner",
    "MonitoredTrainingCallback": "_hooks.monitored_training",
    "SessionRunHookCallback": "_hooks.callback",
    "errors": "errors",
    "estimator": "estimator",
    "evaluate_checkpoints": "_checkpoints.evaluate",
    "restore_v1": "_checkpoints.restore",
    "save_v1": "_checkpoints.save",
    "testing": "testing",
    "v1_names": "v1_names",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used.

    Importing TensorFlow takes seconds and prints notices, which `--help` of
    the command line should not do.
    """
    if name == "__version__":
        try:
            return importlib.metadata.version(__name__)
        except importlib.metadata.PackageNotFoundError as error:
            raise AttributeError(f"{__name__} is not installed") from error
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return home if name == _HOMES[name] else getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
