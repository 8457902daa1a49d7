# SPDX-License-Identifier: Apache-2.0
"""The error for a tensor of another graph names it, and what to do."""

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import HookRunner
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
train = v1.train
Args = train.SessionRunArgs

BY_NAME = r"'loss:0' belongs to a graph.*Use 'loss:0' \(the name\).*function"
FUNCTION = r"belongs to a graph that is not.*in a function that is passed as"
TWIN = r"belongs to a graph that is not.*twin of the variable.*in a function"
STALE = r"belongs to the graph of another run.*build in begin.*in a function"


class Hook(train.SessionRunHook):
    """A hook made of functions."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        for name, method in methods.items():
            setattr(self, name, method)


class Old:
    """The objects that a TensorFlow 1 script made before the hooks."""

    def __init__(self) -> None:
        with tf.Graph().as_default():
            self.fed = v1.placeholder(tf.float32, [], name="rate")
            self.loss = tf.identity(self.fed * 2.0, name="loss")
            self.other = tf.identity(self.fed, name="other")
            self.variable = v1.get_variable("v", [], use_resource=True)
            self.reference = v1.get_variable("r", [], use_resource=False)
            self.operation = tf.no_op(name="work")
            self.summary = v1.summary.scalar("loss", self.loss)
            self.sparse = tf.sparse.from_dense(tf.ones([2]) * self.fed)
            self.ragged = tf.RaggedTensor.from_row_splits([self.fed], [0, 1])


def fetching(make: Callable[[Old], Any]) -> Callable[[Old], Any]:
    return lambda old: Hook(before_run=lambda context: Args(make(old)))


def running(make: Callable[[Old], Any]) -> Callable[[Old], Any]:
    return lambda old: Hook(
        after_run=lambda context, values: context.session.run(*make(old))
    )


def step() -> tf.Tensor:
    return tf.cast(train.get_global_step(), tf.float32)


HOOKS: dict[str, tuple[Callable[[Old], Any], str]] = {
    "fetch": (fetching(lambda old: old.loss), BY_NAME),
    "fetch in a dict": (fetching(lambda old: {"a": [old.loss]}), BY_NAME),
    "fetch of another name": (fetching(lambda old: old.other), FUNCTION),
    "fetch of an operation": (fetching(lambda old: old.operation), FUNCTION),
    "fetch of a variable": (fetching(lambda old: old.variable), TWIN),
    "fetch of a reference": (fetching(lambda old: old.reference), TWIN),
    "fetch of a sparse tensor": (fetching(lambda old: old.sparse), FUNCTION),
    "fetch of a ragged tensor": (fetching(lambda old: old.ragged), FUNCTION),
    "feed": (
        lambda old: Hook(before_run=lambda context: Args([], {old.fed: 1.0})),
        r"'rate:0' belongs.*feeds from before_run of Hook.*in a function",
    ),
    "begin": (
        lambda old: Hook(begin=lambda: step() + old.loss),
        r"'loss:0' belongs.*at begin of Hook.*Use 'loss:0'",
    ),
    "session.run": (running(lambda old: (old.loss,)), BY_NAME),
    "session.run with a feed": (
        running(lambda old: ([], {old.fed: 1.0})),
        FUNCTION,
    ),
    "LoggingTensorHook": (
        lambda old: train.LoggingTensorHook({"loss": old.loss}, 1),
        r"'loss:0' belongs.*begin of LoggingTensorHook.*Use 'loss:0'",
    ),
    "NanTensorHook": (lambda old: train.NanTensorHook(old.loss), BY_NAME),
    "SummarySaverHook": (
        lambda old: train.SummarySaverHook(
            1, summary_writer=object(), summary_op=old.summary
        ),
        FUNCTION,
    ),
    "FeedFnHook": (
        lambda old: train.FeedFnHook(lambda: {old.fed: 1.0}),
        FUNCTION,
    ),
    "FinalOpsHook": (
        lambda old: train.FinalOpsHook({"loss": old.loss}),
        r"'loss:0' belongs.*at end of FinalOpsHook.*Use 'loss:0'",
    ),
    "a hook in a hook": (
        lambda old: Hook(begin=train.LoggingTensorHook([old.loss], 1).begin),
        BY_NAME,
    ),
}


@pytest.mark.parametrize(("make", "match"), HOOKS.values(), ids=HOOKS.keys())
def test_a_tensor_of_the_old_graph(
    make: Callable[[Old], Any], match: str
) -> None:
    """The error names the tensor, the hook, and both ways out of it."""
    hook = make(Old())

    with pytest.raises(errors.HookUsageError, match=match):
        models.fit(models.tiny_model(), SessionRunHookCallback(hook))


def test_the_ways_out_are_ways_out() -> None:
    """The name, and a hook made in a function, do what the error says."""

    def make() -> Any:
        made = tf.constant(3.0)
        return Hook(before_run=lambda context: Args(made))

    named = train.NanTensorHook("loss:0")

    for hooks in (named, make):
        models.fit(models.tiny_model(), SessionRunHookCallback(hooks))


class BuildsOnce(train.SessionRunHook):
    """A hook that keeps what it has built in its first run."""

    def __init__(self, use: str) -> None:
        self.built: Any = None
        self.use = use

    def begin(self) -> None:
        if self.built is None:
            loss = v1.get_default_graph().get_tensor_by_name("loss:0")
            self.built = tf.identity(loss)
        if self.use == "begin":
            self.more = self.built * 2.0

    def before_run(self, run_context: Any) -> Any:
        return Args(self.built) if self.use == "before_run" else None

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self.use == "after_run":
            self.more = self.built * 2.0


@pytest.mark.parametrize("use", ["begin", "before_run"])
def test_a_tensor_of_an_earlier_run(use: str) -> None:
    """A hook that builds only once gets an error in its second run."""
    model = models.tiny_model()
    callback = SessionRunHookCallback(BuildsOnce(use))
    models.fit(model, callback)

    with pytest.raises(errors.HookUsageError, match=STALE):
        models.fit(model, callback)


def test_a_hook_in_two_callbacks_is_explained() -> None:
    """The second of them began it anew, in a graph of its own."""
    hook = train.LoggingTensorHook(["loss:0"], every_n_iter=1)
    callbacks = [SessionRunHookCallback(hook) for _ in range(2)]

    with pytest.raises(
        errors.HookUsageError, match=r"another run.*to one callback alone"
    ):
        models.fit(models.tiny_model(), *callbacks)


def test_an_operation_added_too_late_is_no_stale_one() -> None:
    """The error for building in `after_run` says to build in begin."""
    callback = SessionRunHookCallback(BuildsOnce("after_run"))

    with pytest.raises(
        errors.HookUsageError,
        match=r"finalized.*after_run.*in begin, not",
    ):
        models.fit(models.tiny_model(), callback)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda model: model.output, r"symbolic Keras.*'predictions:0' is"),
        (lambda model: model.weights[0], r"variable '.*kernel.*Take its twin"),
        (
            lambda model: tf.constant(1.0),
            r"an eager tensor.*Make a constant",
        ),
    ],
    ids=["symbolic", "variable", "eager"],
)
def test_what_is_of_no_graph(make: Callable[[Any], Any], match: str) -> None:
    """The error for a fetched object of Keras names its twin or name."""
    model = models.tiny_model()
    made = make(model)
    hook = Hook(before_run=lambda context: Args(made))

    with pytest.raises(errors.HookUsageError, match=match):
        models.fit(model, SessionRunHookCallback(hook))


def test_a_symbolic_tensor_that_a_stock_hook_logs() -> None:
    """The error for logging a Keras output says to use its name."""
    model = models.tiny_model()
    hook = train.LoggingTensorHook({"out": model.output}, 1)

    with pytest.raises(
        errors.HookUsageError, match=r"symbolic.*'predictions:0"
    ):
        models.fit(model, SessionRunHookCallback(hook))


@pytest.mark.parametrize("argument", ["init_op", "local_init_op", "ready_op"])
def test_a_scaffold_of_the_old_graph(argument: str) -> None:
    """The error for a scaffold of another graph says to use a function."""
    scaffold = train.Scaffold(**{argument: Old().operation})
    callback = SessionRunHookCallback(Hook(), scaffold=scaffold)

    with pytest.raises(
        errors.HookUsageError,
        match=r"'work' belongs.*at the scaffold.*passed as scaffold",
    ):
        models.fit(models.tiny_model(), callback)


def test_what_is_not_found_is_said_all_the_same() -> None:
    """If the tensor is not found, v1's message still gets a way out."""
    held = Old().loss.ref()
    hook = Hook(
        after_run=lambda context, values: context.session.run(held.deref())
    )

    with pytest.raises(
        errors.HookUsageError,
        match=r"not an element of this graph.*Give tensors by their names",
    ):
        models.fit(models.tiny_model(), SessionRunHookCallback(hook))


def test_a_fetch_of_no_kind_keeps_the_error_of_v1() -> None:
    """Fetching what is not a tensor is v1's error, with a note of the hook."""
    hook = Hook(before_run=lambda context: Args(3))

    with pytest.raises(TypeError, match="has invalid type") as caught:
        models.fit(models.tiny_model(), SessionRunHookCallback(hook))

    assert "Hook returned from before_run" in caught.value.__notes__[0]


def test_in_a_loop_of_ones_own() -> None:
    """HookRunner says the same without Keras."""
    hook = train.NanTensorHook(Old().loss)
    runner = HookRunner(
        hook, step_tensors={"loss": tf.TensorSpec([], tf.float32)}
    )

    with pytest.raises(errors.HookUsageError, match=BY_NAME), runner:
        runner.before_run()
