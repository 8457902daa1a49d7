# SPDX-License-Identifier: Apache-2.0
"""Has the hook names of `tf.estimator`, which ended with TensorFlow 2.15.

For scripts that you may edit, this takes the place of `tf.estimator`:

    import final_ops_callback.estimator as estimator

    class MyHook(estimator.SessionRunHook): ...

For those that you may not, `final_ops_callback.v1_names.install()` makes this
module `tf.estimator`. The hooks are the objects that TensorFlow still has under
`tf.compat.v1.train`; those of `estimator.experimental` that stop early read the
values that `fit` finds in its validations.

Estimators are not here. Their names can be imported, so that a module that
mentions them can be imported, too; to use one is an `EstimatorError` that names
the Keras way.

Example:
>>> import final_ops_callback.estimator as estimator
>>> class Counts(estimator.SessionRunHook):
...     runs = 0
...
...     def after_run(self, run_context, run_values):
...         self.runs += 1
>>> estimator.ModeKeys.TRAIN
'train'
>>> estimator.Estimator(model_fn=None)
Traceback (most recent call last):
...
final_ops_callback.errors.EstimatorError: ...

Which file to open:

- `experimental`: the hooks that stop a training early.
- `_early_stopping`: how they find what the validations have found.
- `_removed`: the names that only raise an error, with the way out of each.
"""

from typing import Any

import tensorflow as tf

from final_ops_callback.estimator import experimental
from final_ops_callback.estimator._removed import removed

# All of them are classes of `tf.compat.v1.train`, as they were then.
HOOK_NAMES = (
    "CheckpointSaverHook",
    "CheckpointSaverListener",
    "FeedFnHook",
    "FinalOpsHook",
    "GlobalStepWaiterHook",
    "LoggingTensorHook",
    "NanLossDuringTrainingError",
    "NanTensorHook",
    "ProfilerHook",
    "SecondOrStepTimer",
    "SessionRunArgs",
    "SessionRunContext",
    "SessionRunHook",
    "SessionRunValues",
    "StepCounterHook",
    "StopAtStepHook",
    "SummarySaverHook",
    "VocabInfo",
)

__all__ = [
    *HOOK_NAMES,
    "ModeKeys",
    "experimental",
]

globals().update(
    {name: getattr(tf.compat.v1.train, name) for name in HOOK_NAMES}
)


class ModeKeys:
    """The names of the calls of an Estimator, which hooks compare with.

    Attributes:
        TRAIN: String: training, in Keras `fit`.
        EVAL: String: evaluation, in Keras `evaluate`.
        PREDICT: String: inference, in Keras `predict`.
    """

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


def __getattr__(name: str) -> Any:
    """Returns what stands for a name that was not brought back."""
    return removed(__name__, name)
