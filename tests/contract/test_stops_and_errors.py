# SPDX-License-Identifier: Apache-2.0

"""A run stops, and fails, as and when it does under the original."""

import threading

import pytest
import tensorflow as tf

from tests.contract.drivers import METHODS
from tests.contract.suite import Suite
from tests.contract.suite import args
from tests.contract.suite import disagreements
from tests.contract.suite import hook_of
from tests.contract.suite import kernel
from tests.contract.suite import step

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
suite = Suite()

# Exceptions from each method, between two hooks that look on

ERRORS = {
    "value_error": lambda: ValueError("a hook says so"),
    "out_of_range": lambda: tf.errors.OutOfRangeError(None, None, "no more"),
    "stop_iteration": lambda: StopIteration("no more"),
}


def onlooker(loss=("loss:0",)):
    """Build a hook that overrides everything and fetches."""
    return hook_of(
        begin=lambda: None,
        after_create_session=lambda session, coord: None,
        before_run=lambda context: args([*loss, step(), kernel()]),
        after_run=lambda context, values: None,
        end=lambda session: session.run(kernel()),
    )


def raising(method, error, at):
    """Make a case whose second hook raises in a method, the nth time."""

    def make(env):
        calls = []

        def raise_it(*unused):
            calls.append(method)
            if len(calls) == at:
                raise error()

        return [onlooker(), hook_of(**{method: raise_it}), onlooker()]

    return make


for method in METHODS:
    for key, error in ERRORS.items():
        suite.add(f"{key}_in_{method}", raising(method, error, 1))
for method in ("before_run", "after_run"):
    for key, error in ERRORS.items():
        suite.add(f"{key}_in_{method}_of_step_4", raising(method, error, 4))


def small_norm():
    """Build a check that fails once the weights have grown."""
    check = v1.assert_less(tf.norm(kernel()), 1.2, name="check")
    with tf.control_dependencies([check]):
        return tf.no_op()


@suite.case()
def error_of_a_run_in_after_run(env):
    check = small_norm()
    return [
        onlooker(),
        hook_of(
            after_run=lambda context, values: note_and_raise(
                env, lambda: context.session.run(check)
            )
        ),
    ]


def note_and_raise(env, action):
    """Note the type of an error, raise one whose text is the same."""
    try:
        action()
    except tf.errors.OpError as error:
        env.note("error", type(error).__name__)
        raise ValueError("the run failed") from error


# In v1 a fetch that fails races with the update; a run of its own does not.
@suite.case(error_text=False)
def error_of_a_run_in_before_run(env):
    check = small_norm()
    return [
        onlooker(),
        hook_of(before_run=lambda context: context.session.run(check)),
    ]


@suite.case(error_text=False)
def out_of_range_of_a_fetch(env):
    data = tf.data.Dataset.range(2)
    item = v1.data.make_one_shot_iterator(data).get_next()

    def before(context):
        env.note("item", context.session.run(item))

    return [onlooker(), hook_of(before_run=before)]


# Stops


def asking(method, at):
    """Make a case whose second hook asks for a stop at a step."""

    def make(env):
        calls = []

        def ask(context, *unused):
            calls.append(method)
            if len(calls) == at:
                context.request_stop()

        return [onlooker(), hook_of(**{method: ask}), onlooker()]

    return make


for method in ("before_run", "after_run"):
    for at in (1, 4):
        suite.add(f"stop_in_{method}_of_step_{at}", asking(method, at))


@suite.case(mode="evaluate")
def stop_in_after_run_under_evaluate(env):
    return asking("after_run", 2)(env)


@suite.case(mode="predict")
def stop_in_after_run_under_predict(env):
    calls = iter(range(9))

    def ask(context, values):
        if next(calls) == 1:
            context.request_stop()

    return [onlooker(loss=()), hook_of(after_run=ask), onlooker(loss=())]


@suite.case(mode="evaluate")
def value_error_under_evaluate(env):
    return raising("after_run", ERRORS["value_error"], 2)(env)


@suite.case(mode="predict")
def stop_iteration_under_predict(env):
    make = raising("after_run", ERRORS["stop_iteration"], 2)
    return [onlooker(loss=()), make(env)[1], onlooker(loss=())]


# Uncompiled, Keras counts a step too many there: see test_oracle.py.
for variant in ("jit_compile", "run_eagerly"):
    suite.add(
        f"end_of_data_of_unknown_length_{variant}",
        lambda env: [onlooker(), onlooker()],
        unknown_length=True,
        epochs=1,
        variant=variant,
    )


@suite.case()
def coordinator_stops_before_the_first_step(env):
    return [
        onlooker(),
        hook_of(
            after_create_session=lambda session, coord: coord.request_stop()
        ),
    ]


def coordinated(action, at):
    """Make a case in which something is done to the coordinator."""

    def make(env):
        held = []
        calls = []

        def after(context, values):
            calls.append(values)
            if len(calls) == at:
                action(held[0])

        return [
            onlooker(),
            hook_of(
                after_create_session=lambda session, coord: held.append(coord),
                after_run=after,
            ),
            onlooker(),
        ]

    return make


def in_a_thread(action):
    """Do something to the coordinator in a thread, and wait for it."""

    def do(coord):
        thread = threading.Thread(target=action, args=(coord,))
        thread.start()
        thread.join()

    return do


def report(coord):
    """Report an exception to the coordinator."""
    with coord.stop_on_exception():
        raise ValueError("from a thread")


suite.add(
    "coordinator_stops_after_step_3",
    coordinated(lambda coord: coord.request_stop(), 3),
)
suite.add(
    "thread_stops_the_coordinator",
    coordinated(in_a_thread(lambda coord: coord.request_stop()), 2),
)
suite.add("thread_reports_an_error", coordinated(in_a_thread(report), 2))


# Misuse


@suite.case(error_text=False)
def two_hooks_feed_the_same_tensor(env):
    fed = v1.placeholder(tf.float32, [])
    return [feeder(fed), feeder(fed)]


def feeder(fed):
    """Build a hook that feeds a placeholder and fetches it."""
    return hook_of(before_run=lambda context: args(fed, {fed: 1.0}))


@suite.case(error_text=False)
def op_added_after_finalization(env):
    return [hook_of(before_run=lambda context: args(tf.constant(1.0)))]


@suite.case(error_text=False)
def op_added_in_after_create_session(env):
    return [
        hook_of(after_create_session=lambda session, coord: tf.constant(1.0))
    ]


@suite.case(error_text=False)
def placeholder_not_fed(env):
    fetch = v1.placeholder(tf.float32, []) * 2.0
    return [hook_of(before_run=lambda context: args(fetch))]


@suite.case(error_text=False)
def feed_of_a_wrong_shape(env):
    fed = v1.placeholder(tf.float32, [2])
    fetch = fed * 2.0
    return [hook_of(before_run=lambda context: args(fetch, {fed: [1.0]}))]


@suite.case(error_text=False)
def fetch_of_a_number(env):
    return [hook_of(before_run=lambda context: args(3.5))]


@suite.case(error_text=False)
def fetch_of_a_tensor_of_another_graph(env):
    with tf.Graph().as_default():
        other = tf.constant(1.0)
    return [hook_of(before_run=lambda context: args(other))]


@suite.case(error_text=False)
def feed_of_an_unknown_name(env):
    return [hook_of(before_run=lambda context: args([], {"nobody:0": 1.0}))]


@pytest.mark.parametrize("name", suite)
def test_same_as_the_original(name, tmp_path):
    """A run ends where, and with what, it ends under the original."""
    make, options = suite[name]

    found = disagreements(make, options, tmp_path)

    assert not found, "\n".join(found)
