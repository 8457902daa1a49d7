# SPDX-License-Identifier: Apache-2.0
"""TensorFlow 1 session hooks for Keras.

`FinalOpsCallback` is `FinalOpsHook` as a Keras callback,
`SessionRunHookCallback` runs any v1 `SessionRunHook` under `model.fit`,
`HookRunner` runs it in a training loop of your own, and `EagerSession` stands
where `tf.compat.v1.Session` stood.
"""

from final_ops_callback._final_ops import FinalOpsCallback
from final_ops_callback._hook_callback import SessionRunHookCallback
from final_ops_callback._runner import HookRunner
from final_ops_callback._session import EagerSession

__all__ = [
    "EagerSession",
    "FinalOpsCallback",
    "HookRunner",
    "SessionRunHookCallback",
]
