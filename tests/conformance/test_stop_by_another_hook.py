# SPDX-License-Identifier: Apache-2.0
"""Promise: when another hook asks for a stop, all hooks end in good order."""

import pytest
import tensorflow as tf

from tests.conformance import groups
from tests.contract.suite import disagreements

pytestmark = pytest.mark.slow


class StopsAtTwo(tf.compat.v1.train.SessionRunHook):
    """Asks for a stop after the second step."""

    def __init__(self):
        self._steps = 0

    def after_run(self, context, values):
        self._steps += 1
        if self._steps == 2:
            context.request_stop()


@pytest.mark.parametrize("name", groups.GROUPS)
def test_all_end_after_the_same_step(name, tmp_path):
    """The others see the last step and the end, as under the original."""

    def make(env):
        return [*groups.hooks_of(name), StopsAtTwo()]

    found = disagreements(make, {}, tmp_path)

    assert not found, "\n".join(found)
