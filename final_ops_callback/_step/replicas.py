# SPDX-License-Identifier: Apache-2.0
"""Joining what the replicas of a step have collected, inside of the step.

Keras hands back a mean, a sum or the first of what replicas return. A tensor
that all of them return is handed back as it is, so they join before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from final_ops_callback.errors import StepTensorError

BATCH, TOTAL, SAME = "batch", "total", "same"


class Share(NamedTuple):
    """The share of one replica in one value.

    Attributes:
        tensor: The tensor of this replica.
        kind: String. `BATCH`: the whole is all shares, one after the other,
            in the order of the replicas. `TOTAL`: their sum. `SAME`: any.
    """

    tensor: tf.Tensor
    kind: str

    def alone(self) -> tf.Tensor:
        """Returns the value where there is one replica."""
        return self.tensor

    def whole(self, strategy: tf.distribute.Strategy) -> tf.Tensor:
        """Returns the value of all replicas, in their cross-replica context."""
        locals_ = strategy.experimental_local_results(self.tensor)
        if self.kind == BATCH:
            return tf.concat(locals_, axis=0)
        return tf.add_n(locals_) if self.kind == TOTAL else locals_[0]

    def is_scalar_batch(self) -> bool:
        """Returns whether the shares can't be put one after the other."""
        return self.kind == BATCH and self.tensor.shape.rank == 0


class Norm(NamedTuple):
    """The share of one replica in the global norm of several values.

    Attributes:
        shares: List of the shares in these values.
    """

    shares: list[Share]

    def alone(self) -> tf.Tensor:
        """Returns the norm where there is one replica."""
        return tf.linalg.global_norm([one.tensor for one in self.shares])

    def whole(self, strategy: tf.distribute.Strategy) -> tf.Tensor:
        """Returns the norm of the values of all replicas."""
        return tf.linalg.global_norm([s.whole(strategy) for s in self.shares])


def joined(shares: Mapping[str, Share | Norm]) -> dict[str, tf.Tensor]:
    """Joins the shares of all replicas; called by each of them.

    Args:
        shares: Mapping from a name to the share in its value.

    Returns:
        Dict from the names to whole values, the same on each replica.

    Raises:
        StepTensorError: The batches of replicas are scalars.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return {name: share.alone() for name, share in shares.items()}
    for name, share in shares.items():
        if isinstance(share, Share) and share.is_scalar_batch():
            raise StepTensorError(
                f"{name!r} is a scalar on each replica, and not a batch",
                f"fetch '{name}:0' of {replica.num_replicas_in_sync} replicas",
                "Let the layer return a value for each example.",
            )

    def merge(strategy: tf.distribute.Strategy, shares: Any) -> Any:
        return {name: share.whole(strategy) for name, share in shares.items()}

    # `merge_call` regroups what is nested in its arguments over the replicas:
    # the tensors differ, the kinds are the same in each. Named tuples stay what
    # they are, so `whole` can be called on them.
    return replica.merge_call(merge, args=(dict(shares),))
