# SPDX-License-Identifier: Apache-2.0
"""The slim that lives on its own."""

import tf_slim as slim
from tf_slim.training import evaluation


def evaluate(checkpoint_dir, final_op):
    slim.evaluation.evaluate_once(
        master="", checkpoint_path=checkpoint_dir, final_op=final_op
    )
    evaluation.evaluate_repeatedly(
        checkpoint_dir, hooks=[evaluation.StopAfterNEvalsHook(3)]
    )
