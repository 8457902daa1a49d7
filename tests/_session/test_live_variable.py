# SPDX-License-Identifier: Apache-2.0
"""Live variables: what a twin stands for."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.live_variable import live_variables_of
from final_ops_callback.errors import UnsupportedOpError


class Tenfold:
    """v1 kept ten times the value."""

    def to_v1(self, value: tf.Tensor) -> tf.Tensor:
        return value * 10.0

    def from_v1(self, value: tf.Tensor) -> tf.Tensor:
        return value / 10.0


def write(live: LiveVariable, value: Any) -> None:
    """Writes to the twin, as a program does."""
    tf.raw_ops.AssignVariableOp(
        resource=live.handle, value=tf.constant(value, live.variable.dtype)
    )
    live.spread()


def test_a_plain_variable_is_its_own_twin() -> None:
    """It is read and written where it is."""
    variable = tf.Variable(1.0)
    live = LiveVariable("w", variable)
    write(live, 2.0)

    assert live.is_plain
    assert live.components == (variable,)
    assert (float(live.read()), float(variable)) == (2.0, 2.0)


def test_a_variable_with_another_meaning_is_converted() -> None:
    """Reads and writes are in the terms of v1."""
    variable = tf.Variable(1.0)
    live = LiveVariable("m", variable, meaning=Tenfold())
    assert not live.is_plain
    assert float(live.read()) == 10.0
    write(live, 50.0)

    assert float(variable) == 5.0
    variable.assign(2.0)
    live.gather()
    assert float(live._stage) == 20.0


def test_a_computed_value_is_read_anew() -> None:
    """No variable holds it, and the stage has what it is now."""
    source = tf.Variable(3, dtype=tf.int64)
    live = LiveVariable("step", source, compute=lambda: source // 2)
    assert int(live.read()) == 1
    source.assign(8)

    assert int(live.read()) == 4


def test_a_write_goes_to_each_replica() -> None:
    """Replicas of a weight get the same value."""
    first, second = tf.Variable(1.0), tf.Variable(1.0)
    live = LiveVariable("w", first, components=(first, second))
    write(live, 4.0)

    assert (float(first), float(second)) == (4.0, 4.0)
    assert not live.is_plain


def test_shares_of_a_metric_add_up_to_what_is_written() -> None:
    """The first replica gets the value, the others zero."""
    strategy = tf.distribute.OneDeviceStrategy("cpu:0")
    with strategy.scope():
        parts = [tf.Variable(v) for v in (1.0, 2.0)]

    class Shared:
        synchronization = tf.VariableSynchronization.ON_READ
        aggregation = tf.VariableAggregation.SUM
        dtype = tf.float32

        @staticmethod
        def read_value() -> tf.Tensor:
            return tf.add_n([part.read_value() for part in parts])

    live = LiveVariable("total", Shared(), components=tuple(parts))
    assert float(live.read()) == 3.0
    write(live, 7.0)

    assert [float(part) for part in parts] == [7.0, 0.0]
    assert float(live.read()) == 7.0


def test_a_read_only_variable_refuses() -> None:
    """The error says why, and what to do."""
    live = LiveVariable(
        "w", tf.Variable(1.0), why_read_only=("it is frozen", "Thaw it.")
    )
    LiveVariable("w", tf.Variable(1.0)).check_write()
    with pytest.raises(UnsupportedOpError, match=r"frozen.*Thaw it") as caught:
        live.check_write()

    assert "'w'" in str(caught.value)


def test_variables_come_in_any_form() -> None:
    """A mapping, a list, or a function of either; the step comes last."""
    a, step = tf.Variable(1.0), tf.Variable(0, dtype=tf.int64)
    of_mapping = live_variables_of({"a": a}, step)
    of_list = live_variables_of([LiveVariable("a", a)], None)
    of_function = live_variables_of(lambda: {"a": a}, None)

    assert [live.name for live in of_mapping] == ["a", "global_step"]
    assert of_mapping[1].role == "global_step"
    for found in (of_list, of_function):
        assert [(one.name, one.variable is a) for one in found] == [("a", True)]
    assert live_variables_of({}, None) == []
