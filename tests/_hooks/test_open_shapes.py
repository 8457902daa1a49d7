# SPDX-License-Identifier: Apache-2.0
"""Variables with unknown dimensions have twins, too."""

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import HookRunner

v1 = tf.compat.v1


class Sees(v1.train.SessionRunHook):
    """Fetches a variable, alone and with the loss; saves and restores it."""

    def __init__(self, path):
        self.path = str(path / "model")
        self.seen = []

    def begin(self):
        graph = v1.get_default_graph()
        (self.twin,) = v1.global_variables("rows")
        loss = graph.get_tensor_by_name("loss:0")
        scaled = tf.cond(
            loss > 0.0, lambda: self.twin * loss, lambda: self.twin
        )
        self.fetches = [self.twin, tf.reduce_sum(scaled)]
        self.saver = v1.train.Saver([self.twin])

    def before_run(self, run_context):
        return v1.train.SessionRunArgs(self.fetches)

    def after_run(self, run_context, run_values):
        self.seen.append(run_values.results)

    def end(self, session):
        self.saver.restore(session, self.saver.save(session, self.path))


@pytest.mark.parametrize("shape", [[None, 2], None])
def test_a_variable_that_changes_its_shape(shape, tmp_path):
    """A twin has the unknown dimensions, and in each step the current value."""
    rows = tf.Variable(
        np.ones((1, 2), "f"), shape=tf.TensorShape(shape), name="rows"
    )
    hook = Sees(tmp_path)
    with HookRunner(
        hook,
        {"rows": rows},
        step_tensors={"loss": tf.TensorSpec([], tf.float32)},
    ) as runner:
        for count in (2, 3):
            runner.before_run()
            rows.assign(np.full((count, 2), count, "f"))
            runner.after_run({"loss": 2.0})

    assert hook.twin.shape.is_compatible_with(rows.shape)
    assert [value.shape for value, _ in hook.seen] == [(1, 2), (2, 2)]
    assert [total for _, total in hook.seen] == [1 * 2 * 2.0, 2 * 4 * 2.0]
    assert rows.shape.as_list() if shape else rows.shape.rank is None
    np.testing.assert_array_equal(rows, np.full((3, 2), 3.0))
