# SPDX-License-Identifier: Apache-2.0
"""EagerSession runs a v1 graph as `tf.compat.v1.Session` does."""

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import EagerSession
from tests.contract import drivers
from tests.contract.suite import bias
from tests.contract.suite import kernel
from tests.contract.suite import step
from tests.contract.test_custom_hooks import FETCHES

v1 = tf.compat.v1
SESSIONS = {"v1": v1.Session, "ours": EagerSession}


def graph_parts():
    """Build the variables and tensors that the fetches name."""
    v1.get_variable("dense/kernel", initializer=tf.constant(drivers.KERNEL))
    v1.get_variable("dense/bias", initializer=tf.constant(drivers.BIAS))
    v1.get_variable(
        "dense/kernel/momentum",
        initializer=tf.constant(drivers.KERNEL * 2.0),
        trainable=False,
    )
    v1.train.create_global_step()
    tf.identity(tf.norm(kernel()) * 3.0, name="loss")
    v1.placeholder_with_default(np.float32(0.1), [], name="learning_rate")


def script(session_of, fetch, feeds=None):
    """Do what a v1 script does: build, initialize, run twice.

    Args:
        session_of: Builds a session.
        fetch: Builds what to fetch.
        feeds: Builds the feeds.

    Returns:
        A list of what the runs gave, an error by its type and text.
    """
    with tf.Graph().as_default():
        graph_parts()
        built = fetch()
        fed = feeds() if feeds else None
        setup = [
            v1.global_variables_initializer(),
            v1.local_variables_initializer(),
            v1.tables_initializer(),
        ]
        more = step().assign_add(1)
        with session_of() as session:
            session.run(setup)
            return [
                drivers.normalized(session.run(one, fed))
                for one in (built, more, built)
            ]


@pytest.mark.parametrize("name", FETCHES)
def test_same_values(name):
    """A script fetches the same values from both sessions, twice."""
    found = [script(make, FETCHES[name]) for make in SESSIONS.values()]

    lines = drivers.differences(
        drivers.Trace(events=found[0]), drivers.Trace(events=found[1])
    )
    assert not lines, "\n".join(lines)


def fails(session_of, action):
    """Give the type of the exception that an action on a session raises."""
    with tf.Graph().as_default():
        graph_parts()
        v1.placeholder(tf.float32, [2], name="fed")
        tf.identity(v1.get_default_graph().get_tensor_by_name("fed:0"), "out")
        check = tf.debugging.check_numerics(kernel() / 0.0, "infinite")
        with session_of() as session:
            session.run(v1.global_variables_initializer())
            try:
                action(session, check)
            except Exception as error:
                return type(error)
    return None


MISUSES = {
    "none": lambda session, check: session.run(None),
    "number": lambda session, check: session.run(3.0),
    "unknown_name": lambda session, check: session.run("nobody:0"),
    "list_with_none": lambda session, check: session.run(["loss:0", None]),
    "not_fed": lambda session, check: session.run("out:0"),
    "wrong_shape": lambda session, check: session.run(
        "out:0", {"fed:0": [1.0]}
    ),
    "wrong_type": lambda session, check: session.run(
        "out:0", {"fed:0": ["a", "b"]}
    ),
    "unknown_feed": lambda session, check: session.run(
        "loss:0", {"nobody:0": 1.0}
    ),
    "tensor_as_value": lambda session, check: session.run(
        "out:0", {"fed:0": tf.constant([1.0, 2.0])}
    ),
    "feeds_no_dict": lambda session, check: session.run("out:0", [1.0]),
    "failing_check": lambda session, check: session.run(check),
    "closed": lambda session, check: (session.close(), session.run("loss:0")),
    "entered_twice": lambda session, check: session.__enter__(),
    "other_graph": lambda session, check: session.run(
        _of_another_graph(tf.constant)
    ),
}


def _of_another_graph(build):
    with tf.Graph().as_default():
        return build(1.0)


@pytest.mark.parametrize("name", MISUSES)
def test_same_kind_of_error(name):
    """A run that the original refuses is refused with an error of its kind."""
    expected, actual = (
        fails(make, MISUSES[name]) for make in SESSIONS.values()
    )

    assert expected is not None
    assert issubclass(actual, expected), (expected, actual)


def test_variables_of_a_script_train():
    """A v1 optimizer trains the same variables to the same values."""

    def train(session_of):
        with tf.Graph().as_default(), session_of() as session:
            graph_parts()
            loss = tf.reduce_sum(tf.square(kernel() - bias() * 2.0))
            train_op = v1.train.AdamOptimizer(0.1).minimize(loss)
            session.run(v1.global_variables_initializer())
            for _ in range(5):
                session.run(train_op)
            return session.run(kernel())

    expected, actual = map(train, SESSIONS.values())

    np.testing.assert_allclose(actual, expected, rtol=1e-5)
