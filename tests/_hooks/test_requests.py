# SPDX-License-Identifier: Apache-2.0
"""What all hooks ask of one step, as one run."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks.requests import StepRequests
from final_ops_callback._names import step_specs_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import FeedConflictError
from final_ops_callback.errors import StepTensorError

v1 = tf.compat.v1
Args = v1.train.SessionRunArgs
Options = v1.RunOptions


class First:
    """Names a hook in errors."""


class Second:
    """Names another hook in errors."""


HOOKS = [First(), Second(), object()]


class World:
    """A graph with a weight, a learning rate and a loss."""

    def __init__(self) -> None:
        self.weight, self.rate = tf.Variable(3.0), tf.Variable(0.5)
        self.graph = HookGraph(
            [
                LiveVariable("w", self.weight),
                LiveVariable("learning_rate", self.rate, "learning_rate"),
            ],
            step_specs_of({"loss": tf.TensorSpec([])}),
        )
        self.session = EagerSession(graph=self.graph)

    def requests(
        self, *args: Any, warned: set[str] | None = None
    ) -> StepRequests:
        """Returns the requests of some hooks, whose early part has run."""
        made = StepRequests(self.session, self.graph.links)
        with self.graph.as_default():
            for hook, one in zip(HOOKS, args, strict=False):
                if one is not None:
                    made.add(HOOKS.index(hook), hook, one)
            made.prepare(set() if warned is None else warned)
        return made


def test_each_hook_gets_what_it_asked_for() -> None:
    """Reads are from before the step, whatever it does."""
    world = World()
    requests = world.requests(Args("w:0"), None, Args(["loss:0", "w:0"]))
    assert requests.step_names == ["loss"]
    world.weight.assign(9.0)

    assert requests.results({"loss": 0.25}) == {0: 3.0, 2: [0.25, 3.0]}


def test_nothing_asked_is_nothing_given() -> None:
    """Hooks that return None cost nothing."""
    world = World()
    requests = world.requests(None, Args(None))

    assert requests.results({}) == {}
    assert not requests.feeds_the_step
    assert not requests.wants_trace


def test_two_hooks_can_not_feed_the_same() -> None:
    """The error names both."""
    world = World()
    feed = Args(None, {"w:0": 1.0})
    with pytest.raises(FeedConflictError, match="First and Second"):
        world.requests(feed, feed)


def test_a_fed_rate_is_set_for_the_step() -> None:
    """And set back, also if the step fails."""
    world = World()
    requests = world.requests(Args(None, {"learning_rate:0": 0.125}))
    assert requests.feeds_the_step

    def step() -> None:
        with requests.during_step():
            assert float(world.rate) == 0.125
            raise ValueError("in the step")

    with pytest.raises(ValueError, match="in the step"):
        step()

    assert float(world.rate) == 0.5


def test_a_feed_that_nothing_uses_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Keras's step can't be fed."""
    world, warned = World(), set[str]()
    with world.graph.as_default():
        v1.placeholder(tf.float32, [], "x")
    for _ in range(2):
        world.requests(Args("w:0", {"x:0": 1.0}), warned=warned)

    assert caplog.text.count("is not used by any fetch") == 1


def test_a_step_that_delivers_too_little_is_told() -> None:
    """With the hook that asked for it."""
    world = World()
    requests = world.requests(None, Args("loss:0"))
    with pytest.raises(StepTensorError, match=r"'loss:0' of Second"):
        requests.results({"other": 1.0})


def test_fetches_that_can_not_be_mapped_name_their_hook() -> None:
    """The note says which, and what it returned."""
    with pytest.raises(ValueError, match="nothing") as caught:
        World().requests(Args("w:0"), Args("nothing:0"))

    assert "Second" in str(caught.value.__notes__)
    assert "First" not in str(caught.value.__notes__)


def test_a_step_that_comes_later_is_fetched_for_again() -> None:
    """What only reads reads anew; a write is made once."""
    world = World()
    reading = world.requests(Args("w:0"))
    world.weight.assign(4.0)
    reading.again()
    assert reading.results({}) == {0: 4.0}
    with world.graph.as_default():
        (twin,) = [v for v in v1.global_variables() if v.op.name == "w"]
        write = twin.assign_add(1.0)
    writing = world.requests(Args(write))
    writing.again()

    assert float(world.weight) == 5.0
    with world.graph.as_default():
        both = [v1.random_uniform([]), "w:0"]
    mixed = world.requests(Args(both))
    world.weight.assign(7.0)
    mixed.again()
    assert mixed.results({})[0][1] == 7.0


def test_options_are_merged_as_by_the_original() -> None:
    """v1's own session is asked."""
    one = Options(trace_level=1, timeout_in_ms=90_000)
    other = Options(timeout_in_ms=60_000, output_partition_graphs=True)
    one.debug_options.debug_tensor_watch_opts.add(node_name="a")
    other.debug_options.debug_tensor_watch_opts.add(node_name="b")
    world = World()
    requests = world.requests(
        Args("w:0", options=one), Args("w:0", options=other)
    )
    merged = []

    class Asking(v1.train.SessionRunHook):
        def __init__(self, options: Any) -> None:
            self.options = options

        def before_run(self, run_context: Any) -> Any:
            return Args(None, options=self.options)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            merged.append(run_values.options)

    for options in (one, other):
        # The original would start its debugger.
        options.debug_options.Clear()
    plain = world.requests(Args("w:0", options=one), Args("w:0", options=other))
    with tf.Graph().as_default():
        tf.constant(1.0, name="c")
        hooks = [Asking(one), Asking(other)]
        with v1.train.SingularMonitoredSession(hooks) as session:
            session.run("c:0")

    assert plain.options == merged[0]
    watched = requests.options.debug_options.debug_tensor_watch_opts
    assert [one.node_name for one in watched] == ["a", "b"]
    assert requests.wants_trace
