# SPDX-License-Identifier: Apache-2.0

"""Every stock hook sees and leaves behind what it does under the original."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.training import basic_session_run_hooks as basic
from tensorflow.python.training import evaluation

from tests.contract.drivers import hooks_of
from tests.contract.suite import Suite
from tests.contract.suite import disagreements
from tests.contract.suite import kernel
from tests.contract.suite import tensor

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
train = v1.train
suite = Suite()


# LoggingTensorHook

for n in (1, 2, 4):
    suite.add(
        f"logging_every_{n}_iter",
        lambda env, n=n: [train.LoggingTensorHook(["loss:0"], every_n_iter=n)],
    )


@suite.case()
def logging_every_step_by_secs(env):
    return [train.LoggingTensorHook(["loss:0"], every_n_secs=1e-9)]


@suite.case()
def logging_once_by_secs(env):
    return [train.LoggingTensorHook(["loss:0"], every_n_secs=1e9)]


@suite.case()
def logging_at_end_only(env):
    norm = tf.norm(kernel())
    return [train.LoggingTensorHook([norm], at_end=True)]


@suite.case()
def logging_every_3_iter_and_at_end(env):
    step = tf.identity(train.get_global_step(), name="step")
    return [train.LoggingTensorHook([step], every_n_iter=3, at_end=True)]


@suite.case()
def logging_with_formatter(env):
    return [
        train.LoggingTensorHook(
            {"loss": "loss:0"},
            every_n_iter=1,
            formatter=lambda values: "loss is {:.5f}".format(values["loss"]),
        )
    ]


@suite.case()
def logging_dict_of_tensors_and_names(env):
    tensors = {"l": "loss:0", "n": tf.norm(kernel()), "two": tf.constant(2)}
    return [train.LoggingTensorHook(tensors, every_n_iter=2)]


@suite.case()
def logging_list_of_tensors(env):
    norm = tf.norm(kernel(), name="norm")
    mixed = tf.multiply(norm, tensor("loss:0"), name="mixed")
    return [train.LoggingTensorHook([mixed, "norm/Sqrt:0"], every_n_iter=2)]


@suite.case()
def logging_variable_read_by_name(env):
    name = "dense/kernel/Read/ReadVariableOp:0"
    return [train.LoggingTensorHook([name], every_n_iter=2)]


@suite.case()
def logging_learning_rate_by_name(env):
    return [train.LoggingTensorHook(["learning_rate:0"], every_n_iter=2)]


@suite.case(metrics=True, epochs=1)
def logging_metrics(env):
    names = ["loss:0", "mae:0", "logs/loss:0"]
    return [train.LoggingTensorHook(names, every_n_iter=1)]


@suite.case(optimizer="adam")
def logging_with_adam(env):
    return [train.LoggingTensorHook(["loss:0"], every_n_iter=1)]


@suite.case(batch=5)
def logging_with_short_last_batch(env):
    return [train.LoggingTensorHook(["loss:0"], every_n_iter=1)]


# StopAtStepHook

for last in (1, 2, 4, 6, 9):
    suite.add(
        f"stop_at_last_step_{last}",
        lambda env, last=last: [train.StopAtStepHook(last_step=last)],
    )
for start, last in ((10, 12), (10, 5)):
    suite.add(
        f"stop_at_last_step_{last}_from_{start}",
        lambda env, last=last: [train.StopAtStepHook(last_step=last)],
        start_step=start,
    )
for start, num in ((0, 1), (0, 3), (7, 2)):
    suite.add(
        f"stop_after_{num}_steps_from_{start}",
        lambda env, num=num: [train.StopAtStepHook(num_steps=num)],
        start_step=start,
    )


@suite.case()
def stop_at_step_multi_step_hook(env):
    return [basic._MultiStepStopAtStepHook(num_steps=3)]


# CheckpointSaverHook


class Listener(train.CheckpointSaverListener):
    """Notes its calls; asks for a stop at a step."""

    def __init__(self, env, stop_at=None):
        self.env = env
        self.stop_at = stop_at

    def __repr__(self):
        return "a listener"

    def begin(self):
        self.env.note("listener begin")

    def before_save(self, session, step):
        self.env.note("before_save", (step, session.run(kernel())))

    def after_save(self, session, step):
        self.env.note("after_save", (step, session.run(kernel())))
        return self.stop_at is not None and step >= self.stop_at

    def end(self, session, step):
        self.env.note("listener end", step)


for n in (1, 2, 3, 10):
    suite.add(
        f"checkpoint_every_{n}_steps",
        lambda env, n=n: [train.CheckpointSaverHook("ckpt", save_steps=n)],
    )


@suite.case()
def checkpoint_every_step_by_secs(env):
    return [train.CheckpointSaverHook("ckpt", save_secs=1e-9)]


@suite.case()
def checkpoint_first_and_last_by_secs(env):
    return [train.CheckpointSaverHook("ckpt", save_secs=1e9)]


@suite.case(start_step=5, optimizer="adam")
def checkpoint_of_adam_from_a_later_step(env):
    return [train.CheckpointSaverHook("ckpt", save_steps=4)]


@suite.case()
def checkpoint_listener_calls(env):
    return [
        train.CheckpointSaverHook(
            "ckpt", save_steps=2, listeners=[Listener(env), Listener(env)]
        )
    ]


for stop in (0, 2, 4):
    suite.add(
        f"checkpoint_listener_stops_at_{stop}",
        lambda env, stop=stop: [
            train.CheckpointSaverHook(
                "ckpt", save_steps=2, listeners=[Listener(env, stop)]
            )
        ],
    )


@suite.case()
def checkpoint_with_own_saver(env):
    saver = train.Saver([kernel()], max_to_keep=2)
    return [train.CheckpointSaverHook("ckpt", save_steps=1, saver=saver)]


@suite.case(scaffold=train.Scaffold)
def checkpoint_with_scaffold(env):
    return [
        train.CheckpointSaverHook(
            "ckpt",
            save_steps=3,
            scaffold=env.scaffold,
            checkpoint_basename="other.ckpt",
        )
    ]


@suite.case()
def checkpoint_without_graph(env):
    return [
        train.CheckpointSaverHook("ckpt", save_steps=3, save_graph_def=False)
    ]


@suite.case()
def checkpoint_holds_variable_of_a_hook(env):
    v1.get_variable("mine", initializer=tf.constant([1.0, 2.0]))
    return [train.CheckpointSaverHook("ckpt", save_steps=3)]


# StepCounterHook


for n in (1, 2, 3):
    suite.add(
        f"step_counter_every_{n}",
        lambda env, n=n: [
            train.StepCounterHook(every_n_steps=n, output_dir="logs")
        ],
    )


@suite.case()
def step_counter_by_secs(env):
    return [
        train.StepCounterHook(
            every_n_steps=None, every_n_secs=1e-9, output_dir="logs"
        )
    ]


# NanTensorHook


@suite.case()
def nan_never(env):
    return [train.NanTensorHook(tensor("loss:0"))]


for at in (0, 1, 2):
    suite.add(
        f"nan_raises_at_{at}",
        lambda env: [train.NanTensorHook(tensor("loss:0"))],
        nan_at=at,
    )
    suite.add(
        f"nan_stops_at_{at}",
        lambda env: [
            train.NanTensorHook(tensor("loss:0"), fail_on_nan_loss=False)
        ],
        nan_at=at,
    )


# SummarySaverHook


def loss_summary():
    """Build a summary of the loss."""
    return v1.summary.scalar("the_loss", tensor("loss:0"))


for n in (1, 2, 3, 5):
    suite.add(
        f"summary_every_{n}_steps",
        lambda env, n=n: [
            train.SummarySaverHook(
                save_steps=n, output_dir="logs", summary_op=loss_summary()
            )
        ],
    )


@suite.case()
def summary_by_secs(env):
    return [
        train.SummarySaverHook(
            save_secs=1e-9, output_dir="logs", summary_op=loss_summary()
        )
    ]


@suite.case()
def summary_of_several_ops(env):
    ops = [loss_summary(), v1.summary.histogram("kernel", kernel())]
    return [
        train.SummarySaverHook(save_steps=2, output_dir="logs", summary_op=ops)
    ]


@suite.case(scaffold=train.Scaffold)
def summary_of_scaffold(env):
    loss_summary()
    v1.summary.scalar("norm", tf.norm(kernel()))
    return [
        train.SummarySaverHook(
            save_steps=2, output_dir="logs", scaffold=env.scaffold
        )
    ]


@suite.case(start_step=3)
def summary_from_a_later_step(env):
    return [
        train.SummarySaverHook(
            save_steps=2, output_dir="logs", summary_op=loss_summary()
        )
    ]


# GlobalStepWaiterHook


@suite.case()
def waiter_for_step_0(env):
    return [train.GlobalStepWaiterHook(wait_until_step=0)]


@suite.case(start_step=4)
def waiter_for_a_step_long_past(env):
    return [train.GlobalStepWaiterHook(wait_until_step=3)]


@suite.case()
def waiter_for_a_step_that_another_hook_sets(env):
    class Sets(train.SessionRunHook):
        def begin(self):
            self._set = train.get_global_step().assign(20)

        def after_create_session(self, session, coord):
            session.run(self._set)

    return [Sets(), train.GlobalStepWaiterHook(wait_until_step=20)]


# FinalOpsHook


@suite.case()
def final_ops_of_each_kind(env):
    ops = {"k": kernel(), "norm": tf.norm(kernel()), "c": [tf.constant(b"x")]}
    return [train.FinalOpsHook(ops)]


@suite.case()
def final_ops_none(env):
    return [train.FinalOpsHook(None)]


@suite.case()
def final_ops_fed(env):
    fed = v1.placeholder(tf.float32, [2, 1])
    return [train.FinalOpsHook(fed - kernel(), {fed: np.ones([2, 1])})]


@suite.case(error_text=False)
def final_ops_out_of_range(env):
    data = tf.data.Dataset.range(0)
    item = v1.data.make_one_shot_iterator(data).get_next()
    return [train.FinalOpsHook(item)]


@suite.case(mode="evaluate")
def final_ops_of_evaluate(env):
    return [train.FinalOpsHook({"step": train.get_global_step()})]


# FeedFnHook


@suite.case()
def feed_fn_for_a_hook_of_its_own(env):
    fed = v1.placeholder(tf.float32, [])
    counter = iter(range(100))
    return [
        train.FeedFnHook(lambda: {fed: float(next(counter))}),
        train.LoggingTensorHook({"f": fed * kernel()[0, 0]}, every_n_iter=1),
    ]


@suite.case()
def feed_fn_by_name(env):
    v1.placeholder(tf.float32, [], name="fed")
    doubled = tf.multiply(tensor("fed:0"), 2.0, name="doubled")
    return [
        train.FeedFnHook(lambda: {"fed:0": 4.0}),
        train.LoggingTensorHook([doubled], every_n_iter=1),
    ]


@suite.case()
def feed_fn_learning_rate(env):
    rates = iter([0.1, 0.2, 0.0, 0.3, 0.05, 0.01])
    return [
        train.FeedFnHook(lambda: {"learning_rate:0": next(rates)}),
        train.LoggingTensorHook(["loss:0", "learning_rate:0"], every_n_iter=1),
    ]


# ProfilerHook

for n in (1, 2, 4):
    suite.add(
        f"profiler_every_{n}_steps",
        lambda env, n=n: [train.ProfilerHook(save_steps=n, output_dir="prof")],
    )


@suite.case()
def profiler_by_secs(env):
    return [train.ProfilerHook(save_secs=1e9, output_dir="prof")]


# StopAfterNEvals

for n in (1, 2, 3, None):
    suite.add(
        f"stop_after_{n}_evals",
        lambda env, n=n: [evaluation._StopAfterNEvalsHook(n)],
        mode="evaluate",
    )


@suite.case(mode="evaluate")
def stop_after_evals_silently(env):
    return [
        evaluation._StopAfterNEvalsHook(2, log_progress=False),
        train.LoggingTensorHook(["loss:0"], every_n_iter=1),
    ]


@suite.case(mode="evaluate")
def stop_after_evals_multi_step(env):
    return [evaluation._MultiStepStopAfterNEvalsHook(2)]


# Several at once, and the other modes


@suite.case()
def several_stock_hooks(env):
    return [
        train.StopAtStepHook(last_step=5),
        train.NanTensorHook(tensor("loss:0")),
        train.LoggingTensorHook({"l": "loss:0"}, every_n_iter=2),
        train.StepCounterHook(every_n_steps=2, output_dir="logs"),
        train.SummarySaverHook(
            save_steps=2, output_dir="logs", summary_op=loss_summary()
        ),
        train.CheckpointSaverHook("logs", save_steps=3),
        train.FinalOpsHook(kernel()),
    ]


# Uncompiled, Keras counts a step too many there: see test_oracle.py.
@suite.case(unknown_length=True, epochs=1, variant="jit_compile")
def several_stock_hooks_until_the_data_ends(env):
    return [
        train.LoggingTensorHook(["loss:0"], every_n_iter=2),
        train.CheckpointSaverHook("ckpt", save_steps=2),
    ]


@suite.case(mode="evaluate")
def logging_under_evaluate(env):
    names = ["loss:0", train.get_global_step()]
    return [train.LoggingTensorHook(names, every_n_iter=1)]


@suite.case(mode="predict")
def logging_under_predict(env):
    norm = {"norm": tf.norm(kernel())}
    return [train.LoggingTensorHook(norm, every_n_iter=2)]


@pytest.mark.parametrize("name", suite)
def test_same_as_the_original(name, tmp_path):
    """A stock hook leaves the same trace under both drivers."""
    make, options = suite[name]

    found = disagreements(make, options, tmp_path)

    assert not found, "\n".join(found)


def stock_hooks():
    """Find the stock hook classes: the public ones and the evaluator's.

    Returns:
        A set of classes.
    """
    found = {
        getattr(module, name)
        for module in (train, evaluation)
        for name in dir(module)
        if name.endswith("Hook") and inspect.isclass(getattr(module, name))
    }
    return found - {train.SessionRunHook}


def covered(names):
    """Collect the classes of the hooks that some cases build.

    Args:
        names: Names of cases.

    Returns:
        A set of classes.
    """
    return {
        type(hook)
        for make, options in map(suite.get, names)
        for hook in hooks_of(make, **options)
    }


def test_no_stock_hook_is_forgotten(tmp_path, monkeypatch):
    """Each stock hook that TensorFlow has is built in some case."""
    monkeypatch.chdir(tmp_path)  # some make a folder when they are built

    assert stock_hooks() <= covered(suite)


def test_a_forgotten_stock_hook_is_noticed(tmp_path, monkeypatch):
    """Without the cases of a hook, the hook counts as forgotten."""
    monkeypatch.chdir(tmp_path)
    names = [name for name in suite if "nan" not in name]

    forgotten = stock_hooks() - covered(names[:20])

    assert train.NanTensorHook in forgotten
