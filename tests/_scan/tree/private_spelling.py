# SPDX-License-Identifier: Apache-2.0
"""The modules behind the public names."""

from tensorflow.python.framework import ops
from tensorflow.python.training import basic_session_run_hooks as basic
from tensorflow.python.training import session_run_hook
from tensorflow.python.training import training_util
from tensorflow.python.training.session_run_hook import SessionRunArgs


class GlobalStep(session_run_hook.SessionRunHook):
    def begin(self):
        self._step = training_util.get_global_step()
        self._graph = ops.get_default_graph()

    def before_run(self, run_context):
        return SessionRunArgs(self._step)

    def after_run(self, run_context, run_values):
        self.step = run_values.results


class QuietLogging(basic.LoggingTensorHook):
    def __init__(self):
        super().__init__({"loss": "loss:0"}, every_n_iter=2)

    def _log_tensors(self, tensor_values):
        self.values = tensor_values


def hooks():
    return [
        basic.CheckpointSaverHook("checkpoints", save_steps=2),
        basic.SecondOrStepTimer(every_steps=3) and GlobalStep(),
    ]
