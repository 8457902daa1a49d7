# SPDX-License-Identifier: Apache-2.0
"""Hooks drawn at random see and leave behind what they do in a session."""

import dataclasses
import pathlib
import tempfile

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.contract.drivers import METHODS
from tests.contract.suite import args
from tests.contract.suite import bias
from tests.contract.suite import disagreements
from tests.contract.suite import hook_of
from tests.contract.suite import kernel
from tests.contract.suite import step
from tests.contract.suite import tensor

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

FETCHES = {
    "none": lambda: None,
    "loss": lambda: "loss:0",
    "step": step,
    "weights": lambda: [kernel(), {"b": bias()}],
    "mixed": lambda: (tensor("loss:0") * tf.norm(kernel()), step() + 1),
    "empty": list,
    "operation": tf.no_op,
    "count": lambda: v1.get_local_variable(
        v1.get_default_graph().unique_name("count"),
        initializer=tf.constant(0),
        use_resource=True,
    ).assign_add(1),
    "rate": lambda: {"lr": "learning_rate:0"},
}
ERRORS = {
    "value_error": lambda: ValueError("drawn"),
    "out_of_range": lambda: tf.errors.OutOfRangeError(None, None, "drawn"),
    "stop_iteration": lambda: StopIteration("drawn"),
    "key_error": lambda: KeyError("drawn"),
}
EACH_STEP = ("before_run", "after_run")
ACTIONS = ("look", "write", "stop", *ERRORS)


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """The behavior of a drawn hook.

    Args:
        methods: Those that it overrides.
        fetch: A key of `FETCHES`.
        action: What it does, once.
        where: The method in which.
        when: The call of the method at which, from 1; those that are called
            once act at once.
    """

    methods: frozenset
    fetch: str
    action: str
    where: str
    when: int


behaviours = st.builds(
    Behaviour,
    methods=st.frozensets(st.sampled_from(METHODS)),
    fetch=st.sampled_from(sorted(FETCHES)),
    action=st.sampled_from(ACTIONS),
    where=st.sampled_from(METHODS),
    when=st.integers(1, 5),
)
settings = hypothesis.settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Drawn:
    """A hook's methods, as drawn.

    Args:
        behaviour: What to do.
        env: The `Env` to note in.
    """

    def __init__(self, behaviour, env):
        self.behaviour = behaviour
        self.env = env
        self.calls = dict.fromkeys(METHODS, 0)
        self.fetch = FETCHES[behaviour.fetch]()
        self.look = {"w": kernel(), "step": step()}
        self.write = bias().assign_add([0.25])

    def hook(self):
        """Build the hook that overrides what it was drawn to."""
        methods = {*self.behaviour.methods, self.behaviour.where}
        return hook_of(**{name: getattr(self, name) for name in methods})

    def begin(self):
        self.act("begin")

    def after_create_session(self, session, coord):
        self.act("after_create_session", session, coord.request_stop)

    def before_run(self, context):
        self.act("before_run", context.session, context.request_stop)
        return args(self.fetch)

    def after_run(self, context, values):
        self.act("after_run", context.session, context.request_stop)

    def end(self, session):
        self.act("end", session)

    def act(self, where, session=None, stop=None):
        """Do what was drawn, if this is the place and the time."""
        self.calls[where] += 1
        drawn = self.behaviour
        when = drawn.when if where in EACH_STEP else 1
        if (where, self.calls[where]) != (drawn.where, when):
            return
        if drawn.action in ERRORS:
            raise ERRORS[drawn.action]()
        if drawn.action == "stop" and stop is not None:
            stop()
        if drawn.action == "look" and session is not None:
            self.env.note("look", session.run(self.look))
        if drawn.action == "write" and session is not None:
            session.run(self.write)


@settings
@hypothesis.given(st.lists(behaviours, min_size=1, max_size=3))
def test_same_as_the_original(drawn):
    """Whatever hooks do, both drivers leave the same trace."""

    def make(env):
        return [Drawn(behaviour, env).hook() for behaviour in drawn]

    with tempfile.TemporaryDirectory() as folder:
        found = disagreements(make, {}, pathlib.Path(folder))

    assert not found, "\n".join(found)
