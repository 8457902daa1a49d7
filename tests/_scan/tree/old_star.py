# SPDX-License-Identifier: Apache-2.0
"""Everything of a module that has it no more."""

from tensorflow.train import *


class FromOldStar(SessionRunHook):
    pass
