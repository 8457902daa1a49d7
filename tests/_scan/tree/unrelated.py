# SPDX-License-Identifier: Apache-2.0
"""Hooks of another library, and words about hooks."""

import mmcv


class Hook(mmcv.Hook):
    def before_run(self, runner):
        pass

    def after_run(self, runner):
        pass


def run(runner):
    runner.run(hooks=[Hook()])
