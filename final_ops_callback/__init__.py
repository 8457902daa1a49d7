# SPDX-License-Identifier: Apache-2.0
"""Runs TensorFlow 1 session hooks under Keras.

`FinalOpsCallback` is `FinalOpsHook` as a Keras callback,
`SessionRunHookCallback` runs any v1 `SessionRunHook` under `model.fit`,
`HookRunner` runs it in a custom training loop, and `EagerSession` replaces
`tf.compat.v1.Session`.

The code is in six packages. An arrow means "imports"; nothing else does:

    _hooks     -> _session, _step, _keras    SessionRunHookCallback, HookRunner
    _final_ops -> _step, _keras              FinalOpsCallback
    _step      -> _keras                     values from inside a Keras step
    _session                                 EagerSession: v1 graphs, no Keras
    _keras                                   the differences between the Keras 2
                                             and 3 flavors
    _scan                                    the commands scan and fix, without
                                             TensorFlow and Keras

All but the last may use the modules beside this file: `errors`, `_tf_private`
(TensorFlow's private names), `_names` (names and specs of step tensors),
`_structure` (nested structures), `_to_host` (tensors as NumPy), `_eager_mode`
and `_profile`. `testing` is for the tests of your own hooks, and `_demo` and
`__main__` are the command line; the library imports none of these.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from final_ops_callback._final_ops.callback import FinalOpsCallback
    from final_ops_callback._hooks.callback import SessionRunHookCallback
    from final_ops_callback._hooks.runner import HookRunner
    from final_ops_callback._session.interactive import EagerInteractiveSession
    from final_ops_callback._session.session import EagerSession

__all__ = [
    "EagerInteractiveSession",
    "EagerSession",
    "FinalOpsCallback",
    "HookRunner",
    "SessionRunHookCallback",
]

_HOMES = {
    "EagerInteractiveSession": "_session.interactive",
    "EagerSession": "_session.session",
    "FinalOpsCallback": "_final_ops.callback",
    "HookRunner": "_hooks.runner",
    "SessionRunHookCallback": "_hooks.callback",
    "errors": "errors",
    "testing": "testing",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used.

    Importing TensorFlow takes seconds and prints notices, which `--help` of
    the command line should not do.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return home if name == _HOMES[name] else getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
