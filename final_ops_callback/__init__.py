# SPDX-License-Identifier: Apache-2.0
"""TensorFlow 1 session hooks for Keras.

`FinalOpsCallback` is `FinalOpsHook` as a Keras callback.
"""

from final_ops_callback._final_ops import FinalOpsCallback

__all__ = ["FinalOpsCallback"]
