# SPDX-License-Identifier: Apache-2.0
"""Joining what the replicas of a step have collected, inside of the step.

Keras hands back a mean, a sum or the first of what replicas return. A tensor
that all of them return is handed back as it is, so they join before.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
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


def joined(
    shares: Mapping[str, Share], norms: Mapping[str, Sequence[Share]]
) -> dict[str, tf.Tensor]:
    """Joins the shares of all replicas; called by each of them.

    Args:
        shares: Mapping from a name to the share in its value.
        norms: Mapping from a name to the shares in the tensors whose global
            norm it is.

    Returns:
        Dict from the names to whole values, the same on each replica.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        values = {name: share.tensor for name, share in shares.items()}
        parts = {n: [s.tensor for s in norm] for n, norm in norms.items()}
        return values | _norms(parts)
    for name, share in shares.items():
        if share.kind == BATCH and share.tensor.shape.rank == 0:
            raise StepTensorError(
                f"{name!r} is a scalar on each replica, and no batch",
                f"fetch '{name}:0' of {replica.num_replicas_in_sync} replicas",
                "Let the layer return a value for each example.",
            )

    def merge(strategy: tf.distribute.Strategy, shares: Any, norms: Any) -> Any:
        whole = {name: _whole(strategy, s) for name, s in shares.items()}
        parts = {
            n: [_whole(strategy, s) for s in norm] for n, norm in norms.items()
        }
        return whole | _norms(parts)

    # The kinds are known; what is regrouped across replicas are tensors.
    return replica.merge_call(merge, args=(dict(shares), dict(norms)))


def _whole(strategy: tf.distribute.Strategy, share: Share) -> tf.Tensor:
    locals_ = strategy.experimental_local_results(share.tensor)
    if share.kind == BATCH:
        return tf.concat(locals_, axis=0)
    return tf.add_n(locals_) if share.kind == TOTAL else locals_[0]


def _norms(parts: Mapping[str, Sequence[tf.Tensor]]) -> dict[str, tf.Tensor]:
    return {name: tf.linalg.global_norm(p) for name, p in parts.items()}
