# SPDX-License-Identifier: Apache-2.0
"""What runs before a step, and what after it."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback._names import step_specs_of
from final_ops_callback._session import plan as plan_module
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.plan import Plan
from final_ops_callback._session.resources import Resources
from final_ops_callback.errors import StepTensorError

v1 = tf.compat.v1


def graph_of(dtype: Any = tf.float32, shape: Any = ()) -> Any:
    """Returns a hook graph with a weight and a loss, and the weight."""
    weight = tf.Variable(3.0)
    specs = step_specs_of({"loss": tf.TensorSpec(shape, dtype)})
    return HookGraph([LiveVariable("w", weight)], specs), weight


def plan_of(graph: HookGraph, fetches: Any, feeds: Any = ()) -> Plan:
    """Returns the plan of some fetches."""
    resources = Resources(graph, graph.links)
    with graph.as_default():
        return Plan(graph, fetches, feeds, resources, graph.links)


def test_reads_are_from_before_the_step() -> None:
    """v1 ran fetches with the train op: they saw the old weight."""
    graph, weight = graph_of()
    plan = plan_of(graph, {"w": "w:0", "loss": "loss:0"})
    known = plan.before([])
    weight.assign(100.0)
    found = plan.results(known, {"loss": tf.constant(0.5)})

    assert plan.step_names == ["loss"]
    assert found == {"w": 3.0, "loss": 0.5}


def test_what_needs_the_step_runs_after_it() -> None:
    """It uses the weight from before, and what the step gave."""
    graph, weight = graph_of()
    with graph.as_default():
        twin = graph.get_tensor_by_name("w/Read/ReadVariableOp:0")
        product = twin * graph.get_tensor_by_name("loss:0")
    plan = plan_of(graph, product)
    known = plan.before([])
    weight.assign(100.0)

    assert plan.results(known, {"loss": 2.0}) == 6.0


def test_fetches_without_the_step_need_none() -> None:
    """A fed step tensor is not asked of the step either."""
    graph, _ = graph_of()
    loss = graph.get_tensor_by_name("loss:0")
    plan = plan_of(graph, [loss, "w:0"], [loss])
    known = plan.before([np.float32(4.0)])

    assert plan.step_names == []
    assert plan.used_feeds == {"loss"} or plan.used_feeds == {loss.name}
    assert plan.results(known) == [4.0, 3.0]


def test_a_plan_knows_whether_it_may_run_again() -> None:
    """A write before the step is made once."""
    graph, weight = graph_of()
    with graph.as_default():
        write = v1.global_variables()[0].assign_add(1.0)

    assert plan_of(graph, "w:0").is_pure
    plan = plan_of(graph, write)
    assert not plan.is_pure
    plan.before([])
    assert float(weight) == 4.0


def test_a_second_run_has_no_effect_and_new_values() -> None:
    """What depends on an effect keeps the value that it had."""
    graph, weight = graph_of()
    with graph.as_default():
        count = v1.get_variable("n", initializer=0.0)
        loss = graph.get_tensor_by_name("loss:0")
        twin = graph.get_tensor_by_name("w/Read/ReadVariableOp:0")
        fetches = [
            twin,
            twin * 2.0,
            twin * loss,
            count.assign_add(1.0),
            count.assign_add(twin) * 1.0,
        ]
    resources = Resources(graph, graph.links)
    with graph.as_default():
        Plan(graph, count.initializer, (), resources, graph.links).before([])
        plan = Plan(graph, fetches, (), resources, graph.links)
    known = plan.before([])
    weight.assign(10.0)
    first = plan.results(known, {"loss": 1.0})
    second = plan.results(plan.again(known), {"loss": 1.0})

    assert first[:3] == [3.0, 6.0, 3.0]
    assert second == [10.0, 20.0, 10.0, *first[3:]]
    assert plan.results(plan.again(known), {"loss": 2.0})[2] == 20.0


@pytest.mark.parametrize("writes", [False, True])
def test_a_later_part_reads_anew_what_was_not_written(writes: bool) -> None:
    """A branch that needs the step reads the weight by its handle."""
    graph, weight = graph_of()
    with graph.as_default():
        twin = v1.global_variables()[0]
        loss = graph.get_tensor_by_name("loss:0")
        branch = tf.cond(loss > 0.0, lambda: twin * 2.0, lambda: twin * 3.0)
        act = twin.assign_add(1.0) if writes else v1.random_uniform([])
    plan = plan_of(graph, [branch, act])
    known = plan.before([])
    first = plan.results(known, {"loss": 1.0})
    weight.assign(10.0)
    second = plan.results(plan.again(known), {"loss": 1.0})

    assert first[0] == 6.0
    assert second == [6.0 if writes else 20.0, first[1]]


def test_a_variable_that_is_written_is_not_read_again() -> None:
    """Its value is the one from before the write, which is over."""
    graph, weight = graph_of()
    with graph.as_default():
        twin = v1.global_variables()[0]
        plan = plan_of(graph, ["w:0", twin.assign_add(1.0)])
    known = plan.before([])
    again = plan.again(known)

    assert plan.results(again) == plan.results(known) == [3.0, 4.0]
    assert float(weight) == 4.0


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        (tf.float32, np.float64(0.5)),
        (tf.float16, np.float32(0.1)),
        (tf.int64, np.int32(3)),
        (tf.float32, np.int32(3)),
        (tf.uint8, np.int64(255)),
    ],
)
def test_a_value_has_the_declared_dtype(declared: Any, given: Any) -> None:
    """If the value survives it."""
    graph, _ = graph_of(declared)
    plan = plan_of(graph, "loss:0")
    found = plan.results(plan.before([]), {"loss": given})

    assert found.dtype == declared.as_numpy_dtype
    assert found == np.asarray(given).astype(declared.as_numpy_dtype)


@pytest.mark.parametrize(
    ("declared", "shape", "given"),
    [
        (tf.int64, [], np.float32(3.0)),
        (tf.uint8, [], np.int64(256)),
        (tf.uint8, [], np.int64(-1)),
        (tf.uint64, [], np.int64(-1)),
        (tf.float16, [], np.float32(1e30)),
        (tf.float32, [2], np.float32(1.0)),
        (tf.string, [], np.float32(1.0)),
    ],
)
def test_a_value_that_would_change_is_refused(
    declared: Any, shape: Any, given: Any
) -> None:
    """The error says what is delivered, and how to declare it."""
    graph, _ = graph_of(declared, shape)
    plan = plan_of(graph, "loss:0")
    known = plan.before([])
    with pytest.raises(StepTensorError, match="the step delivers") as caught:
        plan.results(known, {"loss": given})

    assert f'"{np.asarray(given).dtype.name}")' in str(caught.value)


def test_what_nobody_reads_stays_on_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operations run; their values are not copied to the host."""
    graph, weight = graph_of()
    with graph.as_default():
        twin = v1.global_variables()[0]
        write = twin.assign_add(graph.get_tensor_by_name("loss:0"))
    plan = plan_of(graph, write)
    monkeypatch.setattr(plan_module, "_as_host", None)

    assert plan.results(plan.before([]), {"loss": 0.5}, is_read=False) is None
    assert float(weight) == 3.5
