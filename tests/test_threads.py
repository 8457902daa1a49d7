# SPDX-License-Identifier: Apache-2.0
"""Hooks and threads: two trainings at once, a session from another thread."""

import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback
from tests import models
from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
EPOCHS = 8
MANY = 10_000


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    """Each Keras package of this process."""
    return request.param


class Sees(v1.train.SessionRunHook):
    """Keeps what a hook sees, from the step and from the session."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def begin(self) -> None:
        self.norm = tf.norm(v1.trainable_variables()[0])

    def before_run(self, context: Any) -> Any:
        step = v1.train.get_global_step()
        return v1.train.SessionRunArgs([step, self.norm, "loss:0"])

    def after_run(self, context: Any, values: Any) -> None:
        self.seen.append([*values.results, context.session.run(self.norm)])


def trained(model: Any) -> tuple[Any, Any]:
    """Trains a model; returns what its hook saw, and its final values."""
    hook, final = Sees(), FinalOpsCallback(["mae", model.weights])
    models.fit(model, SessionRunHookCallback(hook), final, epochs=EPOCHS)
    return np.array(hook.seen), final.final_ops_values


def other_model(flavor: ModuleType) -> Any:
    """The tiny model with another start and another rate."""
    model = models.tiny_model(flavor)
    model.optimizer.learning_rate.assign(0.01)
    model.set_weights([-value for value in model.get_weights()])
    return model


def test_two_models_train_in_two_threads(flavor: ModuleType) -> None:
    """Each thread's hooks see what they see when it trains alone."""
    makers = [models.tiny_model, other_model]
    alone = [trained(make(flavor)) for make in makers]
    ready = [make(flavor) for make in makers]
    found: dict[int, Any] = {}
    start = threading.Barrier(len(ready))

    def train(index: int) -> None:
        start.wait()
        found[index] = trained(ready[index])

    threads = [threading.Thread(target=train, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(found) == [0, 1]
    for index, (seen, values) in enumerate(alone):
        np.testing.assert_allclose(found[index][0], seen, rtol=1e-6)
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
            found[index][1],
            values,
        )
    assert not np.allclose(alone[0][0], alone[1][0])


class Asks(v1.train.SessionRunHook):
    """Runs the session from a thread of its own while training goes on."""

    def begin(self) -> None:
        self.step = v1.train.get_global_step()
        self.own = v1.get_variable("own", [], tf.int64, v1.zeros_initializer())
        self.add = self.own.assign_add(1)
        self.seen: list[int] = []

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.session = session
        self.thread = threading.Thread(target=self.ask, daemon=True)
        self.thread.start()
        coord.register_thread(self.thread)

    def ask(self) -> None:
        for _ in range(MANY // 2):
            self.seen.append(int(self.session.run(self.step)))
            self.session.run(self.add)

    def before_run(self, context: Any) -> Any:
        return v1.train.SessionRunArgs([self.step, "loss:0"])

    def after_run(self, context: Any, values: Any) -> None:
        if not self.thread.is_alive():
            context.request_stop()

    def end(self, session: Any) -> None:
        self.thread.join()
        self.total = int(session.run(self.own))


def test_a_thread_runs_the_session_during_fit(flavor: ModuleType) -> None:
    """Ten thousand runs beside the steps: each counts, and none fails."""
    model, hook = models.tiny_model(flavor), Asks()
    models.fit(model, SessionRunHookCallback(hook), epochs=MANY)

    steps = int(model.optimizer.iterations.numpy())
    assert hook.total == len(hook.seen) == MANY // 2
    assert hook.seen == sorted(hook.seen)
    assert 0 <= hook.seen[0] <= hook.seen[-1] <= steps
    assert hook.seen[-1] > hook.seen[0]
