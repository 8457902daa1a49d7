# SPDX-License-Identifier: Apache-2.0
"""Promise: one callback serves two fits, and the second is like the first."""

import pytest

from final_ops_callback import SessionRunHookCallback
from tests.conformance import citizens
from tests.contract.drivers import Options
from tests.contract.drivers import Trace
from tests.contract.drivers import differences
from tests.contract.drivers import harvest
from tests.contract.drivers import keras_call
from tests.contract.drivers import keras_model
from tests.contract.drivers import watch
from tests.contract.drivers import workplace

pytestmark = pytest.mark.slow


def two_fits(make, folder):
    """Fit twice with one callback, from the same start.

    Args:
        make: A factory of a hook.
        folder: An empty folder.

    Returns:
        A `Trace` of each fit.
    """
    traces = []
    hooks = []

    def make_hooks():
        hooks[:] = [make()]
        watch(hooks, traces[-1])
        return hooks

    model, names = keras_model()
    callback = SessionRunHookCallback(make_hooks, variable_names=names)
    variables = model.weights + model.optimizer.variables
    start = [v.numpy() for v in variables]
    for turn in ("first", "second"):
        traces.append(Trace())
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        with workplace(folder / turn, traces[-1]):
            keras_call(model, [callback], Options())
            traces[-1].state = harvest(hooks)
    return traces


@pytest.mark.parametrize("name", citizens.TRAINING)
def test_second_fit_is_like_the_first(name, tmp_path):
    """A fit from the same start leaves the same trace a second time."""
    first, second = two_fits(citizens.TRAINING[name], tmp_path)

    assert first.events, "nothing was seen"
    assert not differences(first, second)
