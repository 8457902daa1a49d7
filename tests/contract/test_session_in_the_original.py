# SPDX-License-Identifier: Apache-2.0
"""v1's own MonitoredSession runs on an EagerSession as on its own session."""

from unittest import mock

import pytest
import tensorflow as tf
from tensorflow.python.client import session as v1_session

from final_ops_callback import EagerSession
from tests.contract import drivers
from tests.contract import test_stock_hooks

pytestmark = pytest.mark.slow

# The name of a resource variable is that of its handle in v1, and that of its
# value here.
BY_NAME = ("logging_learning_rate_by_name",)
CASES = [name for name in test_stock_hooks.suite if name not in BY_NAME][::3]


@pytest.fixture
def _resource_variables(monkeypatch):
    """The model of the original without reference variables."""
    get_variable = tf.compat.v1.get_variable

    def get_resource_variable(*args, **kwargs):
        return get_variable(*args, **{**kwargs, "use_resource": True})

    monkeypatch.setattr(tf.compat.v1, "get_variable", get_resource_variable)
    monkeypatch.setattr(drivers.v1, "get_variable", get_resource_variable)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("_resource_variables")
def test_same_trace_on_both_sessions(name, tmp_path):
    """A stock hook under MonitoredSession leaves the same on both sessions."""
    make, options = test_stock_hooks.suite[name]
    options = {k: v for k, v in options.items() if k != "variant"}
    expected = drivers.run_v1(make, tmp_path / "v1", **options)

    with mock.patch.object(v1_session, "Session", EagerSession):
        actual = drivers.run_v1(make, tmp_path / "ours", **options)

    found = drivers.differences(expected, actual, options)
    assert not found, "\n".join(found)


def test_the_original_takes_the_session(tmp_path):
    """Hooks are given the session that replaced the original."""
    seen = []

    class Sees(tf.compat.v1.train.SessionRunHook):
        def after_create_session(self, session, coord):
            seen.append(type(session))

    with mock.patch.object(v1_session, "Session", EagerSession):
        with tf.Graph().as_default():
            tf.compat.v1.train.get_or_create_global_step()
            with tf.compat.v1.train.MonitoredSession(hooks=[Sees()]):
                pass

    assert seen == [EagerSession]
