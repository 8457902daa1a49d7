# SPDX-License-Identifier: Apache-2.0
"""The shares of replicas, and the values that they are joined to.

`test_step_tensors` joins those of two real replicas in another process.
"""

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._step.replicas import BATCH
from final_ops_callback._step.replicas import SAME
from final_ops_callback._step.replicas import TOTAL
from final_ops_callback._step.replicas import Norm
from final_ops_callback._step.replicas import Share
from final_ops_callback._step.replicas import joined

ROWS = tf.constant([[3.0, 4.0]])


class TwoReplicas:
    """A strategy whose second replica has ten times the share of the first."""

    @staticmethod
    def experimental_local_results(tensor: tf.Tensor) -> list[tf.Tensor]:
        return [tensor, tensor * 10.0]


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (BATCH, [[3.0, 4.0], [30.0, 40.0]]),
        (TOTAL, [[33.0, 44.0]]),
        (SAME, [[3.0, 4.0]]),
    ],
)
def test_the_whole_of_each_kind_of_share(
    kind: str, whole: list[list[float]]
) -> None:
    """Batches are put one after the other, and sums are added up."""
    share = Share(ROWS, kind)

    np.testing.assert_array_equal(share.whole(TwoReplicas()), whole)
    np.testing.assert_array_equal(share.alone(), ROWS)


def test_the_norm_is_that_of_the_whole_values() -> None:
    """A norm of sums is not the sum of norms."""
    norm = Norm([Share(ROWS, TOTAL), Share(ROWS, SAME)])
    expected = tf.linalg.global_norm([ROWS * 11.0, ROWS])

    np.testing.assert_allclose(norm.whole(TwoReplicas()), expected)
    np.testing.assert_allclose(
        norm.alone(), tf.linalg.global_norm([ROWS, ROWS])
    )


def test_one_replica_joins_nothing() -> None:
    """Where there is one, a share is the value."""
    shares = {"a": Share(ROWS, BATCH), "b": Norm([Share(ROWS, SAME)])}

    values = joined(shares)

    np.testing.assert_array_equal(values["a"], ROWS)
    np.testing.assert_allclose(values["b"], 5.0)


@pytest.mark.parametrize("kind", [BATCH, TOTAL, SAME])
def test_scalars_are_no_batch(kind: str) -> None:
    """Only what is put one after the other has to have a first axis."""
    scalar = Share(tf.constant(1.0), kind)

    assert scalar.is_scalar_batch() == (kind == BATCH)
    assert not Share(ROWS, kind).is_scalar_batch()
