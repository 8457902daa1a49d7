# SPDX-License-Identifier: Apache-2.0
"""EagerSession replaces tf.compat.v1.Session, with the same options."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import EagerInteractiveSession
from final_ops_callback import EagerSession
from final_ops_callback import HookRunner
from final_ops_callback._profile import _device
from final_ops_callback.errors import ArgumentError
from tests.contract.sides import SESSIONS
from tests.contract.sides import Failed
from tests.contract.sides import assert_same
from tests.contract.sides import of_both

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
V1_SESSION = v1.Session
V1_INTERACTIVE = v1.InteractiveSession


@pytest.fixture
def _in_its_place(monkeypatch):
    """Replaces the session classes, as a migrated script does."""
    monkeypatch.setattr(v1, "Session", EagerSession)
    monkeypatch.setattr(v1, "InteractiveSession", EagerInteractiveSession)


def migrated(session_of):
    """A script that uses only `tf.compat.v1.Session`."""
    x = v1.placeholder(tf.float32, [])
    v = v1.get_variable("v", initializer=2.0)
    y = v * x
    with v1.Session() as session:
        v.initializer.run()
        assert v1.get_default_session() is session
        first = y.eval({x: 3.0})
        with session.as_default():
            v.load(5.0, session)
            second = y.eval({x: 3.0})
    other = v1.Session(graph=tf.Graph())
    return first, second, other.graph is v1.get_default_graph()


def test_a_script_is_migrated_by_one_assignment(monkeypatch):
    """A script runs on EagerSession where tf.compat.v1.Session is set to it."""
    expected = of_both(migrated)[0]
    monkeypatch.setattr(v1, "Session", EagerSession)
    actual = of_both(migrated)[0]

    assert not isinstance(expected, Failed)
    assert actual == expected


@pytest.mark.usefixtures("_in_its_place")
def test_sessions_of_v1_still_run():
    """MonitoredSession still trains when the class has been replaced."""
    with tf.Graph().as_default():
        step = v1.train.get_or_create_global_step()
        train_op = step.assign_add(1)
        hook = v1.train.StopAtStepHook(last_step=2)
        with v1.train.MonitoredSession(hooks=[hook]) as session:
            while not session.should_stop():
                last = session.run(train_op)

    assert last == 2


def interactive(session_of):
    """A script whose sessions are the default one without `with`."""
    kind = {V1_SESSION: V1_INTERACTIVE, EagerSession: EagerInteractiveSession}
    constant = tf.constant(1.0)
    one = kind[session_of]()
    seen = [constant.eval(), v1.get_default_session() is one]
    other = kind[session_of]()
    seen.append(v1.get_default_session() is other)
    other.close()
    seen += [constant.eval(), v1.get_default_session() is one]
    one.close()
    one.close()
    return seen, v1.get_default_session() is None


@pytest.mark.filterwarnings("ignore:An interactive session is already active")
def test_an_interactive_session():
    """It is the default session until it is closed, the later one first."""
    assert_same(interactive)


def test_an_interactive_session_of_another_graph():
    """The graph of the session is the default one until it is closed."""
    graph = tf.Graph()
    with graph.as_default():
        constant = tf.constant(2.0)
    before = v1.get_default_graph()
    session = EagerInteractiveSession(graph=graph)
    during = constant.eval(), v1.get_default_graph() is graph
    session.close()

    assert during == (2.0, True)
    assert v1.get_default_graph() is before


def test_the_devices():
    """The devices are those that the original lists, by the same names."""
    both = of_both(
        lambda session_of: [
            (device.name, device.device_type, device.memory_limit_bytes)
            for device in session_of().list_devices()
        ]
    )

    assert both[0] == both[1]
    assert both[0]


def test_reset_closes_all_sessions():
    """After reset no session runs, and the error is the original's."""

    def reset(session_of):
        session = session_of()
        one = tf.constant(1.0)
        session.run(one)
        session_of.reset("")
        with session_of() as new:
            assert new.run(one) == 1.0
        return session.run(one)

    assert_same(reset, text=False)
    with tf.Graph().as_default():
        session, one = EagerSession(), tf.constant(1.0)
        EagerSession.reset("", ["any"])
        with pytest.raises(tf.errors.CancelledError, match="has been closed"):
            session.run(one)


def test_reset_of_another_process_is_refused():
    """Closing the sessions of another process is refused."""
    with pytest.raises(ArgumentError, match="no other process"):
        EagerSession.reset("grpc://localhost:1")


def tensors():
    """Build what is fetched and fed."""
    x = v1.placeholder_with_default(1.0, [], name="x")
    return x, tf.add(x, 1.0, name="y")


CALLABLES = {
    "tensor": lambda s, x, y: s.make_callable(y)(),
    "operation": lambda s, x, y: s.make_callable(y.op)(),
    "structure": lambda s, x, y: s.make_callable({"a": [x, "y:0"]})(),
    "fed": lambda s, x, y: s.make_callable(y, [x])(5.0),
    "fed_by_name": lambda s, x, y: s.make_callable(y, ("x:0",))(5.0),
    "too_few": lambda s, x, y: s.make_callable(y, [x])(),
    "too_many": lambda s, x, y: s.make_callable(y, [x])(5.0, 6.0),
    "value_for_nothing": lambda s, x, y: s.make_callable(y)(5.0),
    "feeds_no_list": lambda s, x, y: s.make_callable(y, x),
    "none": lambda s, x, y: s.make_callable(None),
    "none_fed": lambda s, x, y: s.make_callable(None, [])(),
    "unknown": lambda s, x, y: s.make_callable("nobody:0"),
    "unknown_feed": lambda s, x, y: s.make_callable(y, ["nobody:0"])(1.0),
    "wrong_shape": lambda s, x, y: s.make_callable(y, [x])([1.0, 2.0]),
    "options_not_taken": lambda s, x, y: s.make_callable(y)(
        options=v1.RunOptions()
    ),
    "options_by_place": lambda s, x, y: s.make_callable(y, accept_options=True)(
        v1.RunOptions(), v1.RunMetadata()
    ),
    "options_and_feeds": lambda s, x, y: s.make_callable(
        y, [x], accept_options=True
    )(3.0, options=v1.RunOptions(), run_metadata=v1.RunMetadata()),
    "closed": lambda s, x, y: (s.close(), s.make_callable(y, [])())[1],
}


@pytest.mark.parametrize("name", CALLABLES)
def test_callables(name):
    """A callable takes and refuses what the original's does."""

    def called(session_of):
        x, y = tensors()
        with session_of() as session:
            return CALLABLES[name](session, x, y)

    # The names of the functions are not those of the original.
    assert_same(
        called, text=name not in ("value_for_nothing", "options_not_taken")
    )


def noted(session_of, options, through_callable=False):
    """Give what the metadata of a run holds: kernels, devices, nodes."""
    x = v1.placeholder(tf.float32, [8, 8])
    product = tf.matmul(x, x, name="product")
    metadata = v1.RunMetadata()
    metadata.cost_graph.node.add(name="stale")
    feeds = np.ones([8, 8])
    with session_of() as session:
        if through_callable:
            function = session.make_callable(product, [x], accept_options=True)
            function(feeds, options=options, run_metadata=metadata)
        else:
            session.run(product, {x: feeds}, options, metadata)
    stats = metadata.step_stats.dev_stats
    return (
        [device.device for device in stats],
        any(n.node_name == "product" for d in stats for n in d.node_stats),
        len(metadata.partition_graphs),
        any(
            node.name == "product"
            for graph in metadata.partition_graphs
            for node in graph.node
        ),
        len(metadata.cost_graph.node),
    )


@pytest.mark.parametrize("through_callable", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        None,
        v1.RunOptions(),
        v1.RunOptions(trace_level=v1.RunOptions.SOFTWARE_TRACE),
        v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE),
        v1.RunOptions(output_partition_graphs=True),
        v1.RunOptions(
            trace_level=v1.RunOptions.FULL_TRACE, output_partition_graphs=True
        ),
    ],
)
def test_run_metadata(options, through_callable):
    """The metadata holds the same parts as the original's, by the options."""
    assert_same(lambda session_of: noted(session_of, options, through_callable))


def test_partition_graphs_without_metadata_are_asked_in_vain():
    """Options without metadata change nothing."""
    assert_same(
        lambda session_of: session_of().run(
            tf.constant(1.0),
            options=v1.RunOptions(output_partition_graphs=True),
        )
    )


class Traced(v1.train.SessionRunHook):
    """Asks for the partition graphs of its fetches."""

    def begin(self):
        twin = v1.global_variables("w")[0]
        self.fetch = tf.add(twin, 1.0, name="more")

    def before_run(self, run_context):
        options = v1.RunOptions(output_partition_graphs=True)
        return v1.train.SessionRunArgs(self.fetch, options=options)

    def after_run(self, run_context, run_values):
        self.metadata = run_values.run_metadata


def test_partition_graphs_of_a_step():
    """The graphs that a hook asks for come in the metadata of the step."""
    hook = Traced()
    with HookRunner(hook, {"w": tf.Variable(1.0)}) as runner:
        runner.before_run()
        runner.after_run({})
    nodes = [n.name for g in hook.metadata.partition_graphs for n in g.node]

    assert "more" in nodes


@pytest.mark.parametrize(
    ("plane", "device"),
    [
        ("/host:CPU", "CPU:0"),
        ("/device:GPU:1", "GPU:1"),
        ("/device:TPU:0", "TPU:0"),
    ],
)
def test_the_names_of_devices_in_a_trace(plane, device):
    """A plane of the profiler gets the name that its device had in v1."""
    assert _device(plane).endswith(f"/task:0/device:{device}")


def failing(session_of):
    """Give the error of an operation that fails, as a caller sees it."""
    with tf.name_scope("deep"):
        check = tf.debugging.check_numerics(
            v1.placeholder(tf.float32, [], name="given"), "bad", name="check"
        )
    total = tf.add(check, 1.0)
    with session_of() as session:
        try:
            session.run(total, {"deep/given:0": np.nan})
        except tf.errors.InvalidArgumentError as error:
            return [
                error.op is check.op,
                error.node_def.name,
                error.node_def.op,
                error.message,
                error.error_code,
            ]
    return None


@pytest.mark.parametrize("session_of", SESSIONS)
def test_an_error_names_the_operation(session_of):
    """An error has the operation of the graph, and where it was built."""
    with tf.Graph().as_default():
        is_it, name, kind, message, _ = failing(session_of)

    assert (is_it, name, kind) == (True, "deep/check", "CheckNumerics")
    assert "Detected at node 'deep/check' defined at" in message
    assert __file__ in message
    assert "in failing" in message


def test_the_error_is_that_of_the_original():
    """The whole text of an error is the original's."""
    assert_same(failing)


def test_an_error_inside_of_a_function():
    """An error inside a function keeps its type and its reason."""

    def inside(session_of):
        function = tf.function(lambda x: tf.debugging.check_numerics(x, "bad"))
        value = function(v1.placeholder_with_default(np.float32("nan"), []))
        with session_of() as session:
            return session.run(value)

    expected, actual = of_both(inside)

    assert actual.args[0] is expected.args[0]
    assert "bad : Tensor had NaN values" in actual.args[1]


def test_a_graph_is_let_go():
    """When a session is gone, nothing keeps its graph."""
    with tf.Graph().as_default() as graph:
        v = v1.get_variable("v", initializer=1.0, use_resource=True)
        with EagerSession() as session:
            session.run(v.initializer)
            session.run(
                [v, tf.function(lambda x: x * 2.0)(v), v.assign_add(1.0)]
            )
    kept = weakref.ref(graph)
    del graph, v, session
    gc.collect()

    assert kept() is None


class Fails(v1.train.SessionRunHook):
    """Fetches an operation that fails."""

    def begin(self):
        nan = tf.math.log(v1.global_variables("w")[0] * -1.0)
        self.check = tf.debugging.check_numerics(nan, "bad", name="of_hook")

    def before_run(self, run_context):
        return v1.train.SessionRunArgs(self.check)


def test_an_error_of_a_hook_names_its_operation():
    """The error of a hook's fetch has the operation of the hook graph."""
    hook = Fails()
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="in begin") as info,
        HookRunner(hook, {"w": tf.Variable(1.0)}) as runner,
    ):
        runner.before_run()

    assert info.value.op is hook.check.op
    assert info.value.node_def.name == "of_hook"
