# SPDX-License-Identifier: Apache-2.0
"""Lets the workers of one training agree on whether to continue.

Each worker waits in every step for the others. If one worker stopped alone, or
one of its hooks failed, the others would wait forever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from final_ops_callback.errors import StepTensorError
from final_ops_callback.errors import StrategyError
from final_ops_callback.errors import WorkerError

logger = logging.getLogger("final_ops_callback")

# How long the first agreement may take, in seconds: a worker may restore a
# large checkpoint first. Later ones end when the strategy finds a dead worker.
FIRST_AGREEMENT_SECONDS = 600.0
# How long a worker that is about to leave waits for the others, in seconds.
PARTING_SECONDS = 30.0

_GO, _STOP, _FAILED = 0, 1, 1_000_000
_KEPT = "_final_ops_callback_sum"


def is_multi_worker(model: Any) -> bool:
    """Returns whether a model trains in several processes."""
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return False
    here = len(strategy.extended.worker_devices)
    return int(strategy.num_replicas_in_sync) > here


def refuse_servers(model: Any) -> None:
    """Refuses a parameter server strategy: its steps run elsewhere, and later.

    Args:
        model: A Keras model of any flavor.

    Raises:
        StrategyError: The model's variables are on parameter servers.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise StrategyError(
            "a coordinator dispatches the steps to workers: there is no moment "
            "before or after one at which its hooks could run",
            "SessionRunHookCallback under ParameterServerStrategy",
            "Use FinalOpsCallback, a Keras callback with epoch methods, or "
            "MultiWorkerMirroredStrategy.",
        )


def refuse_inside(model: Any, names: Iterable[str]) -> None:
    """Refuses to fetch values from inside a step of several workers.

    Args:
        model: A Keras model of any flavor.
        names: Iterable of the names of the step tensors to fetch.

    Raises:
        StepTensorError: There are names, and there are several workers.
    """
    wanted = sorted(names)
    if wanted and is_multi_worker(model):
        raise StepTensorError(
            "Keras reduces what the steps of several workers return, so the "
            "values of the workers can't be put together",
            f"fetch of {wanted} on several workers",
            "Fetch what the step logs: 'logs/loss:0'.",
        )


class Workers:
    """This worker's side of the agreements between all workers.

    Every worker has to take part in every agreement.

    Args:
        model: A Keras model that trains in several processes.
    """

    def __init__(self, model: Any) -> None:
        self._strategy = model.distribute_strategy
        self._all = _sum_over_workers(self._strategy)

    def meet(self, failed: bool = False) -> None:
        """Waits for the other workers for the first time.

        Args:
            failed: Boolean. Whether the hooks of this worker failed to begin.
                Defaults to `False`.

        Raises:
            WorkerError: The others don't arrive, do something else, or failed.
        """
        try:
            vote = _FAILED if failed else _GO
            found = self._sum_within(FIRST_AGREEMENT_SECONDS, vote)
        except tf.errors.OpError as error:
            raise WorkerError(
                "the other workers don't begin their hooks",
                "the begin of the hooks",
                "Pass the same callbacks, in the same order, on all workers; "
                "chief_only=True lets the hooks run on one of them.",
            ) from error
        if failed:
            self._leave_together()
        else:
            self._check(found)

    def anyone_stops(self, this_one: bool) -> bool:
        """Returns whether any worker stops; then all workers have to.

        Args:
            this_one: Boolean. Whether this worker stops.

        Raises:
            WorkerError: A hook of another worker failed.
        """
        found = int(self._all(tf.constant(_STOP if this_one else _GO)))
        self._check(found)
        return found > 0

    def refuse_other_step(self, step: int, is_chief: bool) -> None:
        """Checks that all workers have restored the same step.

        Args:
            step: Integer. The step of this worker.
            is_chief: Boolean. Whether this worker is the chief.

        Raises:
            WorkerError: A worker has another step than the chief.
        """
        of_chief = int(self._all(tf.constant(step if is_chief else 0)))
        if int(self._all(tf.constant(int(step != of_chief)))):
            self._leave_together()
            raise WorkerError(
                f"the training goes on from step {of_chief} on the chief, and "
                "from another step on another worker"
                if step == of_chief
                else f"the training goes on from step {step} here, and from "
                f"step {of_chief} on the chief",
                "the restore of the latest checkpoint",
                "Give all workers a checkpoint_dir that they share: the chief "
                "alone writes to it.",
            )

    def tell_of_failure(self) -> None:
        """Tells the waiting workers that a hook of this worker failed."""
        self._all(tf.constant(_FAILED))
        self._leave_together()

    def _leave_together(self) -> None:
        """Waits until all workers know that one leaves, before any does.

        The process of a worker may end before all that it sent in the last
        agreement has arrived. The others would then get the error of a closed
        socket in place of what was agreed.
        """
        try:
            self._sum_within(PARTING_SECONDS, _GO)
        except tf.errors.OpError as error:
            # A worker that is gone has left after the agreement, or was killed.
            # What ends the training is known, and is what has to be said.
            logger.debug("a worker left before the others: %r", error)

    def _sum_within(self, seconds: float, vote: int) -> int:
        options = tf.distribute.experimental.CommunicationOptions(
            timeout_seconds=seconds
        )
        return int(_sum(self._strategy, tf.constant(vote), options))

    def _check(self, found: int) -> None:
        if found >= _FAILED:
            self._leave_together()
            raise WorkerError(
                "a hook of another worker failed",
                "the agreement on whether to go on",
                "See the error of that worker.",
            )


def _sum_over_workers(strategy: tf.distribute.Strategy) -> Any:
    """Returns the traced function that adds up the votes of all workers.

    There is one for each strategy, because TensorFlow never releases a
    function that runs in a strategy.
    """
    kept = vars(strategy)
    if _KEPT not in kept:
        kept[_KEPT] = tf.function(lambda vote: _sum(strategy, vote))
    return kept[_KEPT]


def _sum(
    strategy: tf.distribute.Strategy, vote: tf.Tensor, options: Any = None
) -> Any:
    def of_replica() -> Any:
        context = tf.distribute.get_replica_context()
        # A tensor from outside the replica has no device in a graph.
        here = tf.identity(vote)
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, here, options=options
        )

    first, *_ = strategy.experimental_local_results(strategy.run(of_replica))
    return first
