# SPDX-License-Identifier: Apache-2.0
"""Promise: under `evaluate` and `predict` a hook leaves what v1 left."""

import pytest

from final_ops_callback import SessionRunHookCallback
from tests.conformance import groups
from tests.contract.drivers import Options
from tests.contract.drivers import keras_call
from tests.contract.drivers import keras_model
from tests.contract.drivers import marks_on
from tests.contract.drivers import workplace
from tests.contract.suite import disagreements

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", groups.GROUPS)
def test_same_trace_under_evaluate(name, tmp_path):
    """A group of hooks leaves the trace of an evaluation in v1."""
    found = disagreements(
        lambda env: groups.hooks_of(name), {"mode": "evaluate"}, tmp_path
    )

    assert not found, "\n".join(found)


@pytest.mark.parametrize("mode", ["evaluate", "predict"])
def test_model_stays_as_it_was(mode, tmp_path):
    """A hook that only reads changes no weights, slots or model attributes."""
    from tests.contract.drivers import Trace
    from tests.legacy_hooks.logs import MemoryLogger
    from tests.legacy_hooks.weights import WeightHistory

    model, names = keras_model()
    before = [v.numpy().tolist() for v in model.optimizer.variables]
    weights = [w.tolist() for w in model.get_weights()]
    callback = SessionRunHookCallback(
        lambda: [MemoryLogger(), WeightHistory()], variable_names=names
    )

    with workplace(tmp_path, Trace()):
        keras_call(model, [callback], Options(mode=mode))

    assert marks_on(model) == []
    assert [w.tolist() for w in model.get_weights()] == weights
    assert [v.numpy().tolist() for v in model.optimizer.variables] == before
