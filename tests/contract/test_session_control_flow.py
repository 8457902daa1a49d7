# SPDX-License-Identifier: Apache-2.0
"""Conditionals, loops and functions of v1 run on both sessions alike."""

import gc

import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import function
from tensorflow.python.ops import control_flow_ops

from final_ops_callback import EagerSession
from final_ops_callback import HookRunner
from final_ops_callback.errors import UnsupportedOpError
from tests.contract.sides import assert_same
from tests.contract.sides import of_both

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
SCRIPTS = {}


def script(function_):
    """Make a function one of the scripts that both sessions run."""
    SCRIPTS[function_.__name__] = function_
    return function_


@pytest.fixture(params=["v1", "v2"])
def _control_flow(request):
    """Both kinds of control flow, the old and the functional."""
    if request.param == "v1":
        v1.disable_control_flow_v2()
        yield
        v1.enable_control_flow_v2()
    else:
        yield


def variable(value):
    """Build a resource variable."""
    initial = tf.constant(value)
    return v1.get_variable("v", initializer=initial, use_resource=True)


def session_with(session_of):
    """Build a session in which the variables have their initial values."""
    session = session_of()
    session.run(v1.global_variables_initializer())
    return session


@script
def assign_and_read_in_a_loop(session_of):
    """The body adds to a variable, reads it, and adds what it read."""
    v = variable(0.0)

    def body(i):
        with tf.control_dependencies([v.assign_add(1.0)]):
            read = v.read_value()
        with tf.control_dependencies([v.assign_add(read)]):
            return i + 1

    out = tf.while_loop(lambda i: i < 4, body, [0])
    with session_with(session_of) as session:
        return [session.run(one) for one in (out, v, out, v)]


@script
def read_then_assign_in_a_loop(session_of):
    """The body reads a variable, then sets it to twice of that."""
    v = variable(1.0)

    def body(i, total):
        read = v.read_value()
        with tf.control_dependencies([v.assign(read * 2.0)]):
            return i + 1, total + read

    out = tf.while_loop(lambda i, _: i < 4, body, [0, 0.0])
    with session_with(session_of) as session:
        return [session.run(one) for one in (out, v, out, v)]


@script
def variable_in_the_condition_of_a_loop(session_of):
    """A loop runs until the variable that its body counts up is high."""
    v = variable(0.0)

    def body(i):
        with tf.control_dependencies([v.assign_add(1.0)]):
            return i + 1

    def goes_on(i):
        with tf.control_dependencies([i]):
            return v.read_value() < 4.0

    out = tf.while_loop(goes_on, body, [0])
    with session_with(session_of) as session:
        return [session.run(one) for one in (out, v)]


@script
def read_after_a_loop_that_assigns(session_of):
    """A read that waits for a loop sees what the loop wrote."""
    v = variable(1.0)

    def body(i):
        with tf.control_dependencies([v.assign_add(1.0)]):
            return i + 1

    out = tf.while_loop(lambda i: i < 4, body, [0])
    with tf.control_dependencies([out]):
        read = v.read_value()
    with session_with(session_of) as session:
        return session.run([out, read])


@script
def gradient_through_a_loop(session_of):
    """The gradient of a loop takes the values of each round off a stack."""
    x = v1.placeholder(tf.float32, [])

    def body(i, total):
        inner = tf.while_loop(
            lambda j, _: j < 2, lambda j, b: (j + 1, b * x), [0, total]
        )[1]
        return i + 1, inner + total

    out = tf.while_loop(lambda i, _: i < 3, body, [0, 1.0])[1]
    gradient = v1.gradients(out, x)
    with session_of() as session:
        return session.run([out, gradient], {x: 3.0}), session.run(
            gradient, {x: 2.0}
        )


@script
def gradient_through_map_fn(session_of):
    """The gradients of map_fn and scan are those of the original."""
    v = variable(2.0)
    x = v1.placeholder(tf.float32, [None])
    mapped = tf.map_fn(lambda element: element * element * v, x)
    scanned = tf.scan(lambda total, element: total * v + element, x)
    gradients = v1.gradients([mapped, scanned], [x, v])
    with session_with(session_of) as session:
        return session.run([mapped, scanned, gradients], {x: [1.0, 2.0, 3.0]})


@script
def training_through_a_loop(session_of):
    """An optimizer trains the variable that a recurrent loop reads."""
    v = variable([[0.1, 0.2], [0.3, 0.4]])
    inputs = tf.reshape(tf.range(12.0) / 12.0, [3, 2, 2])
    array = tf.TensorArray(tf.float32, 3).unstack(inputs)
    state = tf.while_loop(
        lambda t, _: t < 3,
        lambda t, h: (t + 1, tf.tanh(tf.matmul(h, v) + array.read(t))),
        [0, tf.zeros([2, 2])],
    )[1]
    loss = tf.reduce_sum(state * state)
    train_op = v1.train.AdamOptimizer(0.1).minimize(loss)
    with session_with(session_of) as session:
        losses = [session.run([loss, train_op])[0] for _ in range(3)]
        return losses, session.run(v)


@script
def a_stack_lives_within_a_run(session_of):
    """A run pops only the values that it has pushed."""
    stack = tf.raw_ops.StackV2(max_size=5, elem_type=tf.float32)
    push = tf.raw_ops.StackPushV2(handle=stack, elem=tf.constant(2.0))
    with tf.control_dependencies([push]):
        pop = tf.raw_ops.StackPopV2(handle=stack, elem_type=tf.float32)
    with session_of() as session:
        return [session.run(one) for one in ([push, pop], pop, push)]


@script
def branches_that_write_and_read(session_of):
    """One branch of a conditional writes a variable, the other reads it."""
    v, which = variable(0.0), v1.placeholder(tf.bool, [])
    out = tf.cond(
        which, lambda: tf.identity(v.assign_add(1.0)), lambda: v + 10.0
    )
    with session_with(session_of) as session:
        return [session.run(out, {which: w}) for w in (True, False, True)] + [
            session.run(v)
        ]


@script
def dead_branch_fetched(session_of):
    """A tensor on the side of a switch that was not taken has no value."""
    which = v1.placeholder(tf.bool, [])
    _, taken = control_flow_ops.switch(tf.constant(1.0), which)
    doubled = taken * 2.0
    with session_of() as session:
        assert session.run(doubled, {which: True}) == 2.0
        return session.run([doubled], {which: False})


@script
def dead_output_of_a_switch_fetched(session_of):
    """The other output of a switch has no value itself."""
    switch = control_flow_ops.switch(tf.constant(1.0), tf.constant(True))
    with session_of() as session:
        return session.run(switch[0])


@script
def dead_operation_run(session_of):
    """Running an operation on the side that was not taken does nothing."""
    v, which = variable(0.0), v1.placeholder(tf.bool, [])
    _, taken = control_flow_ops.switch(tf.constant(1.0), which)
    with tf.control_dependencies([tf.identity(taken)]):
        add = v.assign_add(1.0)
    with session_with(session_of) as session:
        runs = [session.run(add.op, {which: w}) for w in (False, True, False)]
        return runs, session.run(v)


@script
def fed_where_others_wait(session_of):
    """A fed operation runs if another one waits for it, but unused."""
    v, zero = variable(0.0), v1.placeholder_with_default(0.0, [])
    with tf.control_dependencies([v.assign_add(1.0)]):
        fed = zero + 3.0
        first, second = tf.split(
            v1.placeholder_with_default([1.0, 2.0], [2]), 2
        )
    with tf.control_dependencies([fed]):
        after = zero + 5.0
    with tf.control_dependencies([first.op]):
        after_split = zero + 6.0
    with session_with(session_of) as session:
        return [
            session.run([fetch, tf.constant(0.0)], feeds)[0]
            for fetch, feeds in (
                (after, {fed: 1.0}),
                (v, None),
                ([after, fed], {fed: 1.0}),
                (v, None),
                ([after_split, second], {first: [1.0]}),
                (v, None),
                (after_split, {first: [1.0], second: [1.0]}),
                (v, None),
                (fed.op, {fed: 1.0}),
                (v, None),
                (after, None),
                (v, None),
            )
        ]


@script
def fed_placeholder_that_others_wait_for(session_of):
    """An operation that waits for a placeholder waits for its value."""
    x = v1.placeholder(tf.float32, [])
    with tf.control_dependencies([x]):
        after = tf.constant(5.0)
    with session_of() as session:
        return session.run(after, {x: 1.0})


@script
def functions_by_decorator(session_of):
    """A Defun, a nested one and one that captures have gradients."""
    captured = tf.constant(5.0)

    @function.Defun(tf.float32, noinline=True)
    def inner(a):
        return a * a * captured

    @function.Defun(tf.float32)
    def square(a):
        return a * a

    @function.Defun(tf.float32, noinline=True)
    def outer(a):
        return square(a) + square(a + 1.0)

    x = v1.placeholder(tf.float32, [])
    y, z = inner(x), outer(x)
    with session_of() as session:
        return session.run([y, z, v1.gradients(z, x)], {x: 3.0})


@script
def function_with_a_gradient_of_its_own(session_of):
    """The gradient that a Defun was given is the one that is used."""

    @function.Defun(tf.float32, tf.float32)
    def seven_times(x, dy):
        return dy * 7.0

    @function.Defun(tf.float32, grad_func=seven_times)
    def double(a):
        return a * 2.0

    x = v1.placeholder(tf.float32, [])
    y = double(x)
    with session_of() as session:
        return session.run([y, v1.gradients(y, x)], {x: 3.0})


@script
def functions_of_an_imported_meta_graph(session_of):
    """A graph with functions is exported, and imported twice."""
    with tf.Graph().as_default():
        double = tf.function(lambda a: a * 2.0)
        tf.identity(double(v1.placeholder(tf.float32, [], "x")), "y")
        meta_graph = v1.train.export_meta_graph()
    v1.train.import_meta_graph(meta_graph)
    v1.train.import_meta_graph(meta_graph, import_scope="b")
    with session_of() as session:
        return session.run(["y:0", "b/y:0"], {"x:0": 3.0, "b/x:0": 4.0})


@script
def one_name_for_two_functions(session_of):
    """Two graphs have a function of the same name, each its own."""
    made = []
    for factor in (2.0, 3.0):
        with tf.Graph().as_default() as graph:

            @function.Defun(tf.float32, func_name="times", noinline=True)
            def times(a, factor=factor):
                return a * factor

            @function.Defun(tf.float32, func_name="twice", noinline=True)
            def twice(a, times=times):
                return times(a) + times(a)

            y = twice(tf.constant(1.0))
            made.append((session_of(graph=graph), y, tf.identity(y)))
    return [
        session.run(fetches)
        for pick in (0, 1)
        for session, *both in made
        for fetches in (both[pick], both)
    ]


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.usefixtures("_control_flow")
def test_same_outcome(name):
    """A script with control flow has the same outcome on both sessions."""
    assert_same(SCRIPTS[name])


def test_a_dead_branch_is_an_error():
    """Fetching a tensor without a value is an error that says so."""
    with tf.Graph().as_default(), EagerSession() as session:
        switch = control_flow_ops.switch(tf.constant(1.0), tf.constant(True))

        with pytest.raises(
            tf.errors.InvalidArgumentError, match=r"Retval\[0\] does not have"
        ):
            session.run(switch[0])


def test_a_read_in_a_loop_comes_before_a_write_outside():
    """A run reads a variable in each round of a loop, then writes it."""
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default(), EagerSession() as session:
            v = variable(1.0)
            total = tf.while_loop(
                lambda i, _: i < 4, lambda i, a: (i + 1, a + v), [0, 0.0]
            )[1]
            session.run(v.initializer)
            found = session.run([total, v.assign_add(5.0)])
    finally:
        v1.enable_control_flow_v2()

    assert found == [4.0, 6.0]


def test_a_read_by_a_function_comes_before_a_write():
    """A run reads a variable inside of a function, then writes it."""
    with tf.Graph().as_default(), EagerSession() as session:
        v = variable(5.0)
        double = tf.function(lambda: v * 2.0)
        session.run(v.initializer)
        found = session.run([double(), v.assign_add(1.0)])

    assert found == [10.0, 6.0]


def test_a_gradient_that_would_be_another_is_refused():
    """A gradient given by hand is not lost inside another function."""

    def nested(session_of):
        @function.Defun(tf.float32, tf.float32)
        def seven_times(x, dy):
            return dy * 7.0

        @function.Defun(tf.float32, grad_func=seven_times)
        def double(a):
            return a * 2.0

        @function.Defun(tf.float32)
        def outer(a):
            return double(a) + 1.0

        x = v1.placeholder(tf.float32, [])
        y = outer(x)
        with session_of() as session:
            return session.run(v1.gradients(y, x), {x: 3.0})

    expected, actual = of_both(nested)

    assert expected == [7.0]
    assert actual.args[0] is UnsupportedOpError
    assert "gradients of their own" in actual.args[1]


class Asks(v1.train.SessionRunHook):
    """Fetches what a function builds in the graph, each step."""

    def __init__(self, build):
        self.build = build
        self.seen = []

    def begin(self):
        self.fetch = self.build()

    def before_run(self, run_context):
        return v1.train.SessionRunArgs(self.fetch)

    def after_run(self, run_context, run_values):
        self.seen.append(run_values.results)


def seen_by(build):
    """Give what a hook sees of one step, which doubles the weight 2.0."""
    v1.disable_control_flow_v2()
    weight, hook = tf.Variable(2.0), Asks(build)
    runner = HookRunner(
        hook,
        {"w": weight},
        step_tensors={"loss": tf.TensorSpec([], tf.float32)},
    )
    try:
        with runner:
            runner.before_run()
            weight.assign(weight * 2.0)
            runner.after_run({"loss": 3.0})
    finally:
        v1.enable_control_flow_v2()
    return hook.seen


def loss_and_weight():
    """Give the step tensor and the twin, as a hook finds them."""
    graph = v1.get_default_graph()
    return graph.get_tensor_by_name("loss:0"), graph.get_tensor_by_name("w:0")


def weight_now():
    """Read the twin of the weight."""
    return v1.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)[0].read_value()


def a_loop_that_needs_the_step():
    """A loop of values from before the step and of the loss."""
    loss, _ = loss_and_weight()
    weight = weight_now()

    def body(i, total):
        return i + 1, total * weight + loss

    return tf.while_loop(lambda i, _: i < 2, body, [0, weight])[1]


def a_gradient_that_needs_the_step():
    """The gradient, by the weight, of a loop that takes the loss."""
    loss, _ = loss_and_weight()
    weight = weight_now()
    power = tf.while_loop(
        lambda i, _: i < 2, lambda i, p: (i + 1, p * weight), [0, weight]
    )[1]
    return v1.gradients(power, weight, grad_ys=loss)


def a_branch_that_needs_the_step():
    """Both branches of a conditional, one of them with the loss."""
    loss, _ = loss_and_weight()
    weight = weight_now()
    big = weight > 1.0
    return [
        tf.cond(which, lambda: weight + loss, lambda: weight * 10.0)
        for which in (big, tf.logical_not(big))
    ]


def an_operation_that_waits_for_the_step():
    """A constant that control dependencies make wait for the loss."""
    loss, _ = loss_and_weight()
    with tf.control_dependencies([loss]):
        return tf.constant(7.0)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (an_operation_that_waits_for_the_step, 7.0),
        # The weight is 2.0 before the step, the loss of the step is 3.0.
        (a_loop_that_needs_the_step, (2.0 * 2.0 + 3.0) * 2.0 + 3.0),
        (a_gradient_that_needs_the_step, [3.0 * 3.0 * 2.0**2]),
        (a_branch_that_needs_the_step, [2.0 + 3.0, 2.0 * 10.0]),
    ],
)
def test_control_flow_of_a_hook_that_needs_the_step(build, expected):
    """A loop or branch with a step tensor sees the weight before the step."""
    assert seen_by(build) == [expected]


def test_a_write_in_a_branch_that_needs_the_step_is_refused():
    """A write that would happen both before and after the step is refused."""

    def build():
        loss, _ = loss_and_weight()
        count = v1.get_variable("count", initializer=0.0, use_resource=True)
        which = weight_now() > 1.0
        return tf.cond(
            which,
            lambda: count.assign_add(1.0) + loss,
            lambda: tf.constant(0.0),
        )

    with pytest.raises(UnsupportedOpError, match="before the step and after"):
        seen_by(build)


def test_functions_of_a_graph_are_freed_with_its_session() -> None:
    """The functions of a v2 loop are freed with the session."""

    def run() -> None:
        with tf.Graph().as_default(), EagerSession() as session:
            loop = tf.while_loop(lambda i: i < 3, lambda i: i + 1, [0])
            assert session.run(loop) == [3]

    def left() -> set[str]:
        gc.collect()
        return set(context.context().list_function_names())

    run()
    before = left()
    run()

    assert left() <= before
