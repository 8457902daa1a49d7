# SPDX-License-Identifier: Apache-2.0

"""A user-defined hook sees the same as under the original."""

import collections
import threading

import numpy as np
import pytest
import tensorflow as tf

from tests.contract.suite import Suite
from tests.contract.suite import args
from tests.contract.suite import bias
from tests.contract.suite import disagreements
from tests.contract.suite import hook_of
from tests.contract.suite import kernel
from tests.contract.suite import step
from tests.contract.suite import tensor

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
suite = Suite()
Pair = collections.namedtuple("Pair", "first second")

# What is fetched, in every form


def own_variable(value=0.0, name="mine", **options):
    """Make a variable as hooks do."""
    return v1.get_variable(
        name,
        initializer=tf.constant(value),
        trainable=False,
        **options,
    )


def sparse():
    """Build a sparse tensor that depends on a weight."""
    return tf.SparseTensor([[0, 1], [2, 0]], kernel()[:, 0], [3, 3])


def all_variables():
    """Give the global variables by name, in the order of the names."""
    found = {v.op.name: v for v in v1.global_variables()}
    return {name: found[name] for name in sorted(found)}


def step_from(variable):
    """Build an operation that increments a variable."""
    return tf.group(variable.assign_add(1.0))


FETCHES = {
    "variable": kernel,
    "loss_tensor": lambda: tensor("loss:0"),
    "loss_name": lambda: "loss:0",
    "loss_operation": lambda: tensor("loss:0").op,
    "loss_operation_name": lambda: "loss",
    "global_step": step,
    "global_step_plus_1": lambda: step() + 1,
    "tensor_of_variable": lambda: tf.norm(kernel()),
    "read_value": lambda: bias().read_value(),
    "operation": tf.no_op,
    "counting_operation": lambda: step_from(own_variable()),
    "assign_add": lambda: own_variable().assign_add(1.5),
    "assign": lambda: own_variable().assign(step_as_float() * 2.0),
    "assign_of_loss": lambda: own_variable().assign(tensor("loss:0")),
    "v1_assign": lambda: v1.assign(own_variable(), step_as_float()),
    "v1_assign_add": lambda: v1.assign_add(own_variable(), tensor("loss:0")),
    "learning_rate_name": lambda: "learning_rate:0",
    "slots": lambda: [v for v in v1.global_variables() if "momentum" in v.name],
    "all_global_variables": all_variables,
    "trainable_variables": v1.trainable_variables,
    "constant": lambda: tf.constant([1, 2, 3]),
    "string": lambda: tf.constant(["a", "b"]),
    "boolean": lambda: tf.constant(True),
    "sparse": sparse,
    "indexed_slices": lambda: tf.IndexedSlices(
        kernel() * 2.0, tf.constant([0, 1])
    ),
    "ragged": lambda: tf.RaggedTensor.from_row_lengths(kernel()[:, 0], [2, 0]),
    "list": lambda: [kernel(), "loss:0"],
    "tuple": lambda: (kernel(), bias()),
    "dict": lambda: {"b": bias(), "a": "loss:0"},
    "ordered_dict": lambda: collections.OrderedDict(z=bias(), a=step()),
    "namedtuple": lambda: Pair(bias(), tensor("loss:0")),
    "nested": lambda: {"a": [kernel(), (step(), {"b": "loss:0"})], "c": []},
    "empty_list": list,
    "empty_dict": dict,
    "same_twice": lambda: [bias(), bias(), "loss:0", "loss:0"],
    "mix_of_variable_and_loss": lambda: tensor("loss:0") * tf.norm(kernel()),
    "mix_of_all": lambda: (
        tensor("loss:0") * tf.norm(kernel()) / (1.0 + step_as_float())
    ),
    "gradient_of_a_norm": lambda: tf.gradients(
        tf.reduce_sum(tf.square(kernel())), kernel()
    ),
    "conditional": lambda: v1.cond(
        tensor("loss:0") > 1.0, lambda: kernel() * 0.0, lambda: kernel() + 1.0
    ),
    "while_loop": lambda: v1.while_loop(
        lambda i: i < 10.0, lambda i: i + 1.0, [tf.norm(kernel())]
    ),
    "scalar_summary": lambda: v1.summary.scalar("s", tensor("loss:0")),
    "histogram_summary": lambda: v1.summary.histogram("h", kernel()),
    "py_func": lambda: v1.py_func(lambda x: x + 1.0, [kernel()], tf.float32),
    "is_initialized": lambda: v1.is_variable_initialized(kernel()),
}


def step_as_float():
    """Build the global step as a float."""
    return tf.cast(step(), tf.float32)


def fetching(build):
    """Make a case that fetches the same each step, built in `begin`."""

    def make(env):
        built = []
        return [
            hook_of(
                begin=lambda: built.append(build()),
                before_run=lambda context: args(built[0]),
                after_run=lambda context, values: env.note("", values.results),
            )
        ]

    return make


for key, build in FETCHES.items():
    suite.add(f"fetch_{key}", fetching(build))


@suite.case()
def fetch_none(env):
    return [
        hook_of(
            before_run=lambda context: args(None),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def before_run_returns_none(env):
    return [
        hook_of(
            before_run=lambda context: None,
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def fetch_changes_from_step_to_step(env):
    choices = [kernel(), "loss:0", [], {"b": bias()}, None, (step(),)]
    turns = iter(choices)
    return [
        hook_of(
            before_run=lambda context: args(next(turns)),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case(metrics=True, epochs=1)
def fetch_metrics(env):
    return fetching(lambda: ["mae:0", "logs/loss:0", "loss:0"])(env)


@suite.case(batch=5, epochs=2)
def fetch_loss_of_a_short_batch(env):
    return fetching(lambda: "loss:0")(env)


@suite.case(mode="evaluate")
def fetch_loss_under_evaluate(env):
    return fetching(lambda: ["loss:0", step(), kernel()])(env)


@suite.case(mode="predict")
def fetch_weights_under_predict(env):
    return fetching(lambda: [step(), kernel()])(env)


@suite.case(optimizer="adam", start_step=100)
def fetch_slots_of_adam(env):
    return fetching(all_variables)(env)


# Feeds


def feeding(env, build, feeds):
    """Build a hook that fetches and feeds."""
    placeholder = v1.placeholder(tf.float32, [None])
    fetch = build(placeholder)
    turns = iter(feeds)
    return [
        hook_of(
            before_run=lambda context: args(fetch, {placeholder: next(turns)}),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def feed_of_different_shapes(env):
    feeds = [[1.0] * n for n in (1, 3, 2, 0, 5, 1)]
    return feeding(env, lambda fed: fed * 2.0, feeds)


@suite.case()
def feed_mixed_with_variable_and_loss(env):
    feeds = np.arange(12.0).reshape(6, 2)
    return feeding(
        env, lambda fed: fed * kernel()[:, 0] + tensor("loss:0"), feeds
    )


@suite.case()
def feed_fetched_as_it_is(env):
    return feeding(env, lambda fed: fed, np.ones([6, 3], "float32"))


@suite.case()
def feed_of_an_intermediate_tensor(env):
    norm = tf.norm(kernel())
    fetch = norm + 1.0
    return [
        hook_of(
            before_run=lambda context: args(fetch, {norm: 5.0}),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def feed_of_placeholder_with_default(env):
    fed = v1.placeholder_with_default(2.0, [])
    turns = iter([{fed: 7.0}, None, {fed: 3.0}, {}, None, {fed: 1.0}])
    fetch = fed * bias()
    return [
        hook_of(
            before_run=lambda context: args(fetch, next(turns)),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def feed_for_another_hook(env):
    fed = v1.placeholder(tf.float32, [])
    fetch = fed + bias()
    return [
        hook_of(before_run=lambda context: args(None, {fed: 4.0})),
        hook_of(
            before_run=lambda context: args(fetch),
            after_run=lambda context, values: env.note("", values.results),
        ),
    ]


@suite.case()
def feed_of_sparse_placeholder(env):
    fed = v1.sparse_placeholder(tf.float32, [2, 2])
    fetch = v1.sparse_tensor_dense_matmul(fed, kernel())
    value = v1.SparseTensorValue([[0, 1]], np.float32([3.0]), [2, 2])
    return [
        hook_of(
            before_run=lambda context: args(fetch, {fed: value}),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def feed_learning_rate(env):
    rates = iter([0.1, 0.0, 0.2, 0.3, 0.01, 0.5])
    return [
        hook_of(
            before_run=lambda context: args(
                {"lr": "learning_rate:0", "w": kernel()},
                {"learning_rate:0": next(rates)},
            ),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def feed_learning_rate_for_some_steps(env):
    turns = iter([None, {"learning_rate:0": 0.0}, None, None, None, None])
    return [
        hook_of(
            before_run=lambda context: args("learning_rate:0", next(turns)),
            after_run=lambda context, values: env.note(
                "after",
                context.session.run(["learning_rate:0", kernel()]),
            ),
        )
    ]


@suite.case(optimizer="adam")
def feed_learning_rate_of_adam(env):
    return feed_learning_rate(env)


# session.run inside methods


@suite.case()
def run_in_every_method(env):
    fetch = {"w": kernel(), "step": step()}

    def look(where, session):
        env.note(where, session.run(fetch))

    return [
        hook_of(
            after_create_session=lambda session, coord: look("made", session),
            before_run=lambda context: look("before", context.session),
            after_run=lambda context, values: look("after", context.session),
            end=lambda session: look("end", session),
        )
    ]


@suite.case()
def run_sees_the_step_after_and_the_fetch_the_one_before(env):
    return [
        hook_of(
            before_run=lambda context: args(step()),
            after_run=lambda context, values: env.note(
                "steps", [values.results, context.session.run(step())]
            ),
        )
    ]


@suite.case()
def run_with_feeds(env):
    fed = v1.placeholder(tf.float32, [2, 1])
    gap = tf.norm(kernel() - fed)
    last = {}

    def before(context):
        last["w"] = context.session.run(kernel())

    def after(context, values):
        env.note("moved", context.session.run(gap, {fed: last["w"]}))

    return [hook_of(before_run=before, after_run=after)]


@suite.case()
def run_by_names_and_nested(env):
    tf.identity(kernel(), name="named")
    return [
        hook_of(
            after_run=lambda context, values: env.note(
                "run", context.session.run({"a": ["named:0", (bias(),)]})
            )
        )
    ]


@suite.case()
def run_operation_and_empty(env):
    mine = own_variable()
    count = step_from(mine)

    def after(context, values):
        session = context.session
        found = [session.run(count), session.run([]), session.run(mine)]
        env.note("run", found)

    return [hook_of(after_run=after)]


@suite.case()
def run_none_is_an_error(env):
    def created(session, coord):
        try:
            session.run(None)
        except Exception as error:
            env.note("error", type(error).__name__)

    return [hook_of(after_create_session=created)]


@suite.case()
def eval_and_operation_run(env):
    mine = own_variable()
    count = step_from(mine)
    norm = tf.norm(kernel())

    def after(context, values):
        count.run(session=context.session)
        env.note("eval", norm.eval(session=context.session))
        env.note("mine", mine.eval(session=context.session))

    return [hook_of(after_run=after)]


@suite.case()
def session_as_default(env):
    norm = tf.norm(kernel())

    def after(context, values):
        with context.session.as_default():
            env.note("eval", norm.eval())

    return [hook_of(after_run=after)]


@suite.case()
def session_has_the_graph(env):
    graph = v1.get_default_graph()

    def created(session, coord):
        env.note("same graph", session.graph is graph)
        env.note("default", v1.get_default_graph() is graph)
        env.note("finalized", graph.finalized)

    return [hook_of(after_create_session=created)]


@suite.case()
def context_has_session_and_args(env):
    def before(context):
        env.note("stop", context.stop_requested)
        env.note("fetches", context.original_args.fetches is not None)

    return [hook_of(before_run=before)]


@suite.case()
def partial_run_of_a_callable(env):
    norm = tf.norm(kernel())
    calls = []

    def created(session, coord):
        calls.append(session.make_callable(norm))

    def after(context, values):
        env.note("norm", calls[0]())

    return [hook_of(after_create_session=created, after_run=after)]


# Writes


@suite.case()
def load_of_a_weight(env):
    def after(context, values):
        kernel().load(np.float32([[1.0], [2.0]]), context.session)

    return [hook_of(after_run=after)]


@suite.case()
def assign_of_a_weight_before_the_step(env):
    zero = kernel().assign(tf.zeros([2, 1]))

    def before(context):
        env.note("assigned", context.session.run(zero))
        return args(["loss:0", kernel()])

    return [
        hook_of(
            before_run=before,
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def assign_of_the_global_step(env):
    jump = v1.assign(step(), 100)
    return [
        hook_of(
            after_create_session=lambda session, coord: session.run(jump),
            before_run=lambda context: args(step()),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case()
def assign_of_a_slot_after_the_step(env):
    slots = [v for v in v1.global_variables() if "momentum" in v.name]
    clear = tf.group(*[slot.assign(tf.zeros_like(slot)) for slot in slots])
    return [
        hook_of(after_run=lambda context, values: context.session.run(clear))
    ]


@suite.case()
def weight_decay_after_the_step(env):
    decay = tf.group(*[v.assign(v * 0.9) for v in v1.trainable_variables()])
    return [
        hook_of(after_run=lambda context, values: context.session.run(decay))
    ]


@suite.case()
def assign_at_the_end(env):
    zero = kernel().assign(tf.zeros([2, 1]))
    return [hook_of(end=lambda session: session.run(zero))]


@suite.case()
def scatter_update(env):
    scatter = v1.scatter_update(kernel(), [0], [[7.0]])
    return [
        hook_of(
            after_run=lambda context, values: env.note(
                "w", context.session.run(scatter)
            )
        )
    ]


def extra_training(env, optimizer):
    """Build a hook that trains the weights with a v1 optimizer."""
    goal = tf.reduce_sum(tf.square(kernel() - 3.0))
    train_op = optimizer.minimize(goal)
    return [
        hook_of(
            before_run=lambda context: env.note(
                "goal", context.session.run([train_op, goal])[0]
            ),
            after_run=lambda context, values: env.note(
                "w", context.session.run(kernel())
            ),
        )
    ]


EXTRA = {
    "gradient_descent": lambda: v1.train.GradientDescentOptimizer(0.05),
    "adam": lambda: v1.train.AdamOptimizer(0.05),
    "rmsprop": lambda: v1.train.RMSPropOptimizer(0.05),
}
for key, optimizer in EXTRA.items():
    suite.add(
        f"extra_training_by_{key}",
        lambda env, optimizer=optimizer: extra_training(env, optimizer()),
    )


@suite.case()
def moving_average_of_the_weights(env):
    average = tf.train.ExponentialMovingAverage(0.5)
    update = average.apply(v1.trainable_variables())
    shadow = average.average(kernel())
    return [
        hook_of(
            after_run=lambda context, values: env.note(
                "shadow", context.session.run([update, shadow])
            )
        )
    ]


# Variables, tables, scaffold


@suite.case()
def local_variable_of_a_hook(env):
    mine = v1.get_variable(
        "mine",
        initializer=tf.constant([2.0]),
        collections=[v1.GraphKeys.LOCAL_VARIABLES],
    )
    double = mine.assign(mine * 2.0)
    return [
        hook_of(
            before_run=lambda context: args(double),
            after_run=lambda context, values: env.note(
                "", [values.results, context.session.run(mine)]
            ),
        )
    ]


@suite.case()
def variable_under_a_scope(env):
    with v1.variable_scope("outer"):
        mine = own_variable(1.0)
    env.note("name", mine.name)
    return [v1.train.LoggingTensorHook({"m": mine + 1.0}, every_n_iter=2)]


@suite.case()
def reuse_of_a_weight_by_get_variable(env):
    with v1.variable_scope("", reuse=v1.AUTO_REUSE):
        mine = own_variable(2.0, "again")
    with v1.variable_scope("", reuse=True):
        again = v1.get_variable("again", [])
    env.note("same", mine is again)
    return []


@suite.case()
def names_of_the_collections(env):
    def begin():
        for key in ("variables", "trainable_variables", "global_step"):
            found = v1.get_collection(key)
            env.note(key, sorted(v.name for v in found))

    return [hook_of(begin=begin)]


@suite.case()
def lookup_table(env):
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)
        ),
        -1,
    )
    found = table.lookup(tf.constant(["b", "c", "a"]))
    return [
        hook_of(
            before_run=lambda context: args(found),
            after_run=lambda context, values: env.note("", values.results),
        )
    ]


@suite.case(
    scaffold=lambda: v1.train.Scaffold(
        init_fn=lambda scaffold, session: session.run("before_all")
    )
)
def scaffold_init_fn(env):
    mine = own_variable(1.0)
    with tf.control_dependencies([mine.assign(5.0)]):
        tf.no_op(name="before_all")
    return [v1.train.LoggingTensorHook({"m": mine + 0.0}, every_n_iter=2)]


@suite.case(
    scaffold=lambda: v1.train.Scaffold(
        init_fn=lambda scaffold, session: session.run("set_the_weight")
    )
)
def scaffold_init_fn_that_sets_a_weight(env):
    with tf.control_dependencies([kernel().assign(tf.ones([2, 1]))]):
        tf.no_op(name="set_the_weight")
    return [v1.train.LoggingTensorHook(["loss:0"], every_n_iter=1)]


# Savers and writers


@suite.case()
def saver_of_its_own(env):
    saver = v1.train.Saver([kernel(), step()])
    return [
        hook_of(
            after_run=lambda context, values: env.note(
                "path",
                saver.save(
                    context.session,
                    "mine/model",
                    global_step=step(),
                    write_meta_graph=False,
                ),
            )
        )
    ]


@suite.case()
def saver_saves_and_restores(env):
    saver = v1.train.Saver([kernel()])

    def created(session, coord):
        saver.save(session, "mine/first", write_meta_graph=False)

    def after(context, values):
        if context.session.run(step()) == 4:
            saver.restore(context.session, "mine/first")

    return [hook_of(after_create_session=created, after_run=after)]


@suite.case()
def saver_with_other_names(env):
    saver = v1.train.Saver({"w": kernel(), "b": bias()})
    return [
        hook_of(
            end=lambda session: saver.save(
                session, "mine/model", write_meta_graph=False
            )
        )
    ]


@suite.case()
def init_from_checkpoint(env):
    first = v1.train.Saver([kernel()])
    mine = own_variable(np.zeros([2, 1], "float32").tolist(), "dense/copy")

    def created(session, coord):
        first.save(session, "mine/first", write_meta_graph=False)

    restore = v1.train.Saver({"dense/kernel": mine})

    def after(context, values):
        restore.restore(context.session, "mine/first")
        env.note("copy", context.session.run(mine))

    return [hook_of(after_create_session=created, after_run=after)]


@suite.case()
def file_writer(env):
    writer = v1.summary.FileWriter("mine")
    summary = v1.summary.scalar("norm", tf.norm(kernel()))

    def after(context, values):
        found, at = context.session.run([summary, step()])
        writer.add_summary(found, at)

    return [
        hook_of(after_run=after, end=lambda session: writer.close()),
    ]


@suite.case()
def summaries_merged_in_begin(env):
    made = []
    writer = v1.summary.FileWriterCache.get("mine")

    def begin():
        v1.summary.scalar("the_loss", tensor("loss:0"))
        v1.summary.histogram("kernel", kernel())
        made.append(v1.summary.merge_all())

    return [
        hook_of(
            begin=begin,
            before_run=lambda context: args([made[0], step()]),
            after_run=lambda context, values: writer.add_summary(
                *values.results
            ),
        )
    ]


# Several hooks, and threads


@suite.case()
def order_of_several_hooks(env):
    def noisy(name):
        return hook_of(
            begin=lambda: env.note(f"{name} begin"),
            after_create_session=lambda session, coord: env.note(
                f"{name} created"
            ),
            before_run=lambda context: env.note(f"{name} before"),
            after_run=lambda context, values: env.note(f"{name} after"),
            end=lambda session: env.note(f"{name} end"),
        )

    return [noisy("a"), noisy("b"), noisy("c")]


@suite.case()
def before_run_writes_are_seen_by_all_fetches(env):
    zero = bias().assign([9.0])
    return [
        hook_of(
            before_run=lambda context: args(bias()),
            after_run=lambda context, values: env.note("", values.results),
        ),
        hook_of(before_run=lambda context: run_it(context.session, zero)),
    ]


def run_it(session, fetch):
    """Run a fetch, and give nothing back."""
    session.run(fetch)


@suite.case()
def after_run_writes_are_not_seen_by_later_fetches(env):
    zero = bias().assign([9.0])
    return [
        hook_of(
            after_run=lambda context, values: run_it(context.session, zero)
        ),
        hook_of(
            before_run=lambda context: args(bias()),
            after_run=lambda context, values: env.note(
                "", [values.results, context.session.run(bias())]
            ),
        ),
    ]


@suite.case()
def builds_ops_in_its_constructor(env):
    class Built(v1.train.SessionRunHook):
        def __init__(self):
            self._norm = tf.norm(kernel())
            self.seen = []

        def before_run(self, context):
            return args(self._norm)

        def after_run(self, context, values):
            self.seen.append(float(values.results))

    return [Built(), Built()]


@suite.case()
def renames_the_parameters(env):
    class Renamed(v1.train.SessionRunHook):
        def after_create_session(self, sess, coordinator):
            env.note("made", sess.run(step()))

        def before_run(self, ctx):
            return args("loss:0")

        def after_run(self, ctx, run_vals):
            env.note("after", run_vals.results)

        def end(self, sess):
            env.note("end", sess.run(step()))

    return [Renamed()]


@suite.case()
def duck_typed_by_a_mixin(env):
    class Mixin:
        def after_run(self, context, values):
            env.note("mixin", values.results)

    class Mixed(Mixin, v1.train.SessionRunHook):
        pass

    return [Mixed()]


@suite.case()
def thread_that_runs_the_session(env):
    norm = tf.norm(kernel())

    def after(context, values):
        run = threading.Thread(
            target=lambda: env.note("norm", context.session.run(norm))
        )
        run.start()
        run.join()

    return [hook_of(after_run=after)]


@suite.case()
def no_hooks(env):
    return []


@suite.case()
def hook_that_does_nothing(env):
    return [v1.train.SessionRunHook()]


@pytest.mark.parametrize("name", suite)
def test_same_as_the_original(name, tmp_path):
    """A user-defined hook leaves the same trace under both drivers."""
    make, options = suite[name]

    found = disagreements(make, options, tmp_path)

    assert not found, "\n".join(found)


def test_a_difference_is_noticed(tmp_path):
    """Two hooks that see different values do not compare as equal."""
    from tests.contract import drivers

    one = drivers.run_v1(fetching(kernel), tmp_path / "one")
    other = drivers.run_v1(fetching(bias), tmp_path / "other")

    assert drivers.differences(one, other)
