# SPDX-License-Identifier: Apache-2.0
"""Bases that go in circles, which no Python could import."""

from circles_too import Round


class Ring(Round):
    def after_run(self, run_context, run_values, more):
        pass


class Itself(Itself):
    pass
