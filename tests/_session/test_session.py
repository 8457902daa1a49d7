# SPDX-License-Identifier: Apache-2.0
"""The session itself: its life, and what it refuses.

That its runs give what those of a v1 session gave, `tests/contract` says.
"""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._session.interactive import EagerInteractiveSession
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import UnsupportedOpError

v1 = tf.compat.v1


def run_closed(session: Any) -> Any:
    """Closes a session, and runs it."""
    session.close()
    return session.run("c:0")


@pytest.mark.parametrize(
    "act",
    [
        run_closed,
        lambda s: s.run("c:0", [1.0]),
        lambda s: s.run(3),
        lambda s: s.run("nothing:0"),
        lambda s: s.make_callable("c:0", "c:0"),
    ],
    ids=["closed", "feeds", "type", "name", "feed_list"],
)
def test_it_refuses_what_the_original_refuses(act: Any) -> None:
    """The type of the error is that of a v1 session."""
    found = []
    for kind in (v1.Session, EagerSession):
        with tf.Graph().as_default():
            tf.constant(1.0, name="c")
            with pytest.raises(Exception, match=r".") as caught:
                act(kind())
        found.append(caught.type)

    assert found[1] is found[0]


@pytest.mark.parametrize("kind", [v1.Session, EagerSession])
def test_a_context_can_not_be_entered_twice(kind: Any) -> None:
    """As in v1, whose message it has."""
    with tf.Graph().as_default(), kind() as session:
        with pytest.raises(RuntimeError, match="not re-entrant"):
            session.__enter__()


def test_another_process_is_refused() -> None:
    """There is no server to connect to."""
    with pytest.raises(ArgumentError, match="no other process"):
        EagerSession("grpc://host:1")
    with pytest.raises(ArgumentError, match="no other process"):
        EagerSession.reset("grpc://host:1")
    with pytest.raises(TypeError, match=r"must be a tf\.Graph"):
        EagerSession(graph="graph")  # type: ignore[arg-type]


def test_a_run_in_parts_is_refused() -> None:
    """The error says what to use."""
    with tf.Graph().as_default():
        session = EagerSession()
    with pytest.raises(UnsupportedOpError, match=r"Use run"):
        session.partial_run_setup([])
    with pytest.raises(UnsupportedOpError, match=r"Use run"):
        session.partial_run("handle", [])


def test_a_reset_closes_all_sessions() -> None:
    """A run afterwards is cancelled, as in v1."""
    with tf.Graph().as_default():
        value = tf.constant(1.0)
        session = EagerSession()
        assert session.run(value) == 1.0
        EagerSession.reset("")
        with pytest.raises(tf.errors.CancelledError, match="has been closed"):
            session.run(value)


def test_a_callable_takes_its_feeds_by_place() -> None:
    """It is checked when it is made."""
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [])
        doubled = x * 2.0
        session = EagerSession()
        function = session.make_callable(doubled, [x])

        assert function(21.0) == 42.0
        with pytest.raises(TypeError, match="invalid type"):
            session.make_callable(3)


def test_an_interactive_session_is_the_default_one_until_closed() -> None:
    """It leaves the default graph and session as they were."""
    before = v1.get_default_session()
    graph = tf.Graph()
    session = EagerInteractiveSession(graph=graph)
    try:
        assert v1.get_default_session() is session
        assert v1.get_default_graph() is graph
        assert tf.constant(2.0).eval() == 2.0
    finally:
        session.close()

    assert v1.get_default_session() is before
    assert tf.executing_eagerly()
