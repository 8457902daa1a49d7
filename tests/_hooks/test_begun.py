# SPDX-License-Identifier: Apache-2.0
"""What the begin of hooks makes."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.training import evaluation

from final_ops_callback._hooks import begun as begun_module
from final_ops_callback._hooks.begun import Begun
from final_ops_callback._hooks.begun import count_evaluations
from final_ops_callback._hooks.begun import warn_of_silent_logs
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.session import EagerSession

v1 = tf.compat.v1


class Hook(v1.train.SessionRunHook):
    """Notes in which order it is called, and where."""

    def __init__(self) -> None:
        self.graphs = [v1.get_default_graph()]
        self.session: Any = None

    def begin(self) -> None:
        self.graphs.append(v1.get_default_graph())

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.session = session
        assert session.graph.finalized

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Listens."""


def begin(
    make: Any, stack: contextlib.ExitStack, steps: int = 1, scaffold: Any = None
) -> Begun:
    """Begins hooks in a graph of their own."""
    return Begun(HookGraph(), make, scaffold, steps, True, stack, dict.fromkeys)


def test_hooks_begin_in_their_graph() -> None:
    """They are made there, and get a session of it."""
    with contextlib.ExitStack() as stack:
        begun = begin(lambda: [Hook()], stack)
        (hook,) = begun.hooks

        assert hook.graphs == [begun.graph, begun.graph]
        assert hook.session is begun.session
        assert begun.original_args.fetches.name == "step_tensors/train_op"


def test_only_who_has_a_method_is_called() -> None:
    """With its place, as the methods of the base do nothing."""
    with contextlib.ExitStack() as stack:
        begun = begin(lambda: [v1.train.SessionRunHook(), Hook()], stack)

        assert begun.asking == []
        assert begun.listening == [(1, begun.hooks[1])]


@pytest.mark.parametrize(
    ("make", "scaffold", "is_idle"),
    [
        (lambda: [v1.train.FinalOpsHook(())], None, True),
        (lambda: [Hook()], None, False),
        (lambda: [v1.train.FinalOpsHook(())], v1.train.Scaffold, False),
    ],
)
def test_hooks_with_an_end_alone_are_idle(
    make: Any, scaffold: Any, is_idle: bool
) -> None:
    """Unless something waits to be closed."""
    with contextlib.ExitStack() as stack:
        assert begin(make, stack, scaffold=scaffold).is_idle is is_idle


def test_the_stride_is_in_its_variable() -> None:
    """Stock hooks read it, if there is more than one step in a run."""
    with contextlib.ExitStack() as stack:
        graph = begin(list, stack, 4)
        (variable,) = graph.graph.get_collection("hooks_steps_per_run")

        assert graph.session.run(variable) == 4
        assert not begin(list, stack).graph.get_collection(
            "hooks_steps_per_run"
        )


def test_a_failed_begin_leaves_what_was_made_to_be_closed() -> None:
    """The session that a hook got is closed with the others."""

    class Failing(Hook):
        def after_create_session(self, session: Any, coord: Any) -> None:
            seen.append(session)
            raise ValueError("no")

    seen: list[Any] = []
    with contextlib.ExitStack() as stack:
        with pytest.raises(ValueError, match="no") as caught:
            begin(lambda: [Failing()], stack)
        assert not seen[0]._closed
    assert seen[0]._closed
    assert "after_create_session of Failing" in str(caught.value.__notes__)


def test_the_threads_end_with_the_run() -> None:
    """Whoever waits for the coordinator is told to stop."""
    with contextlib.ExitStack() as stack:
        coordinator = begin(list, stack).coordinator
        assert not coordinator.should_stop()
    assert coordinator.should_stop()


class Told(v1.train.SessionRunHook):
    """Is told which tensor counts."""

    tensor: Any = None

    def _set_evals_completed_tensor(self, tensor: Any) -> None:
        self.tensor = tensor


def test_each_run_counts_as_many_evaluations_as_it_makes() -> None:
    """Whoever fetches the tensor counts, in the hook or inside of another."""
    inner, outer = Told(), v1.train.SessionRunHook()
    outer.inner = inner
    with tf.Graph().as_default():
        count_evaluations([outer], 3)
        session = EagerSession()
        session.run(v1.local_variables_initializer())
        found = [int(session.run(inner.tensor)) for _ in range(2)]

    assert found == [3, 6]


def test_the_hook_of_tensorflow_stops_by_it() -> None:
    """It asks for a stop after as many as it was made for."""
    hook = evaluation._StopAfterNEvalsHook(2)
    with tf.Graph().as_default():
        count_evaluations([hook], 2)
        session = EagerSession()
        session.run(v1.local_variables_initializer())
        context = v1.train.SessionRunContext(None, session)
        fetches = hook.before_run(context).fetches
        values = v1.train.SessionRunValues(session.run(fetches), None, None)
        hook.after_run(context, values)

    assert context.stop_requested


def test_without_such_a_hook_nothing_is_made() -> None:
    """The graph stays empty."""
    with tf.Graph().as_default() as graph:
        count_evaluations([v1.train.SessionRunHook()], 1)

    assert graph.get_operations() == []


@pytest.fixture
def level(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The setter of TensorFlow's level of logs; nothing was warned of yet."""
    monkeypatch.setattr(begun_module, "_warned_of_silent_logs", False)
    before = v1.logging.get_verbosity()
    yield v1.logging.set_verbosity
    v1.logging.set_verbosity(before)


class Wrapper(v1.train.SessionRunHook):
    def __init__(self, inner: Any) -> None:
        self.inner = inner


LOGGING = v1.train.LoggingTensorHook(["loss:0"], every_n_iter=1)


@pytest.mark.parametrize(
    ("hooks", "shown", "warns"),
    [
        ([LOGGING], v1.logging.WARN, True),
        ([Wrapper(LOGGING)], v1.logging.ERROR, True),
        ([LOGGING], v1.logging.INFO, False),
        ([LOGGING], v1.logging.DEBUG, False),
        ([Hook()], v1.logging.WARN, False),
    ],
)
def test_a_log_that_is_not_shown_is_mentioned_once(
    hooks: list[Any],
    shown: int,
    warns: bool,
    level: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning in a process tells how to see what a hook logs."""
    level(shown)

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        warn_of_silent_logs(hooks)
        warn_of_silent_logs(hooks)

    lines = [r.getMessage() for r in caplog.records if "level INFO" in r.msg]
    assert len(lines) == warns
