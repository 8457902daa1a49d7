# SPDX-License-Identifier: Apache-2.0
"""The fetches that the call of a step may run."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks.joined_fetches import JoinedFetches
from final_ops_callback._hooks.requests import StepRequests
from final_ops_callback._names import step_specs_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.session import EagerSession

Args = tf.compat.v1.train.SessionRunArgs


def call(function: Callable[[], None]) -> None:
    """Calls a function, as a run without errors does."""
    function()


class World:
    """A graph with a weight and a loss, and what a hook asks of them."""

    def __init__(self) -> None:
        self.weight = tf.Variable(3.0)
        self.graph = HookGraph(
            [LiveVariable("w", self.weight)],
            step_specs_of({"loss": tf.TensorSpec([])}),
        )
        self.session = EagerSession(graph=self.graph)

    def requests(self, fetches: Any) -> StepRequests:
        """Returns the requests of one hook, which wait."""
        made = StepRequests(self.session, self.graph.links)
        with self.graph.as_default():
            if fetches is not None:
                made.add(0, object(), Args(fetches))
            made.prepare(set(), may_join=True)
        return made


def test_they_can_run_by_themselves() -> None:
    """Then nothing waits any longer."""
    world, joined = World(), JoinedFetches(call)
    requests = world.requests("w:0")
    part = joined.of(requests)
    part.run()
    world.weight.assign(9.0)

    assert not requests.is_pending
    assert requests.results({}) == {0: 3.0}


def test_an_end_of_the_run_ends_the_step() -> None:
    """If the run is over, the step must not run."""
    requests = World().requests("w:0")
    part = JoinedFetches(lambda function: None).of(requests)
    with pytest.raises(StopIteration):
        part.run()


def test_another_function_computes_them() -> None:
    """What is traced before and after the step is what they fetch."""
    world, joined = World(), JoinedFetches(call)
    with world.graph.as_default():
        loss = world.graph.get_tensor_by_name("loss:0")
        fetches = [loss * 2.0, "w:0"]
    requests = world.requests(fetches)
    part = joined.of(requests)

    @tf.function
    def step() -> Any:
        before = part.trace_before()
        return before, part.trace_after(before, {"loss": tf.constant(0.5)})

    part.receive(*step())
    world.weight.assign(9.0)

    assert requests.results({"loss": 0.5}) == {0: [1.0, 3.0]}


def test_a_value_that_needs_a_check_is_computed_later() -> None:
    """A step that delivers another dtype or shape is refused after it."""
    world, joined = World(), JoinedFetches(call)
    with world.graph.as_default():
        double = world.graph.get_tensor_by_name("loss:0") * 2.0
    part = joined.of(world.requests(double))
    for other in (tf.constant(1), tf.constant([1.0])):
        assert part.trace_after({}, {"loss": other}) is None
    assert part.trace_after({}, {}) is None


def test_it_keeps_nothing_of_a_step() -> None:
    """The graph and the session are freed when the run is over."""
    world, joined = World(), JoinedFetches(call)
    part = joined.of(world.requests("w:0"))
    held = weakref.ref(world.session)
    joined.forget()
    del world, part
    gc.collect()

    assert held() is None
