# SPDX-License-Identifier: Apache-2.0
"""The variables by which stock hooks count."""

from typing import Any

import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback._hooks import counters
from final_ops_callback._session.session import EagerSession

v1 = tf.compat.v1


class Told(v1.train.SessionRunHook):
    """Is told which tensor counts."""

    tensor: Any = None

    def _set_evals_completed_tensor(self, tensor: Any) -> None:
        self.tensor = tensor


def test_each_run_counts_as_many_evaluations_as_it_makes() -> None:
    """Whoever fetches the tensor counts, in the hook or inside of another."""
    inner, outer = Told(), v1.train.SessionRunHook()
    outer.inner = inner
    with tf.Graph().as_default():
        counters.count_evaluations([outer], 3)
        session = EagerSession()
        session.run(v1.local_variables_initializer())
        found = [int(session.run(inner.tensor)) for _ in range(2)]

    assert found == [3, 6]


def test_the_hook_of_tensorflow_stops_by_it() -> None:
    """It asks for a stop after as many as it was made for."""
    hook = evaluation._StopAfterNEvalsHook(2)
    with tf.Graph().as_default():
        counters.count_evaluations([hook], 2)
        session = EagerSession()
        session.run(v1.local_variables_initializer())
        context = v1.train.SessionRunContext(None, session)
        fetches = hook.before_run(context).fetches
        values = v1.train.SessionRunValues(session.run(fetches), None, None)
        hook.after_run(context, values)

    assert context.stop_requested


def test_without_such_a_hook_nothing_is_made() -> None:
    """The graph stays empty."""
    with tf.Graph().as_default() as graph:
        counters.count_evaluations([v1.train.SessionRunHook()], 1)

    assert graph.get_operations() == []


def test_the_stride_is_one_variable() -> None:
    """It is made once in a graph."""
    with tf.Graph().as_default():
        first = counters.steps_per_run_variable()

        assert counters.steps_per_run_variable() is first
