# SPDX-License-Identifier: Apache-2.0
"""Derives through a chain of modules."""

from . import derived
from package.reexport import *


class Further(derived.Act):
    pass


class Starred(EveryN):
    def end(self, session):
        self.lines.append("end")


class Bare(Hook):
    pass
