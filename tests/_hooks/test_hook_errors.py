# SPDX-License-Identifier: Apache-2.0
"""The error of a hook has three parts, and it leaves nothing behind."""

import gc
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import EagerSession
from final_ops_callback import HookRunner
from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests import models
from tests.flavors import KERAS_2
from tests.flavors import keras
from tests.flavors import needs_both
from tests.flavors import needs_keras_3
from tests.flavors import path_of
from tests.flavors import value_of

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
Args = v1.train.SessionRunArgs


class Hook(v1.train.SessionRunHook):
    """A hook made of functions."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        for name, method in methods.items():
            setattr(self, name, method)


@pytest.fixture
def model() -> Iterator[keras.Model]:
    """The tiny model; afterwards nothing of ours may be on it."""
    model = models.tiny_model()
    function = model.train_function
    methods = {n for n in vars(model) if n in ("train_step", "compute_loss")}

    yield model

    assert {
        n for n in vars(model) if n in ("train_step", "compute_loss")
    } == methods
    assert function is None or model.train_function is function
    models.fit(model)


def fit(model: keras.Model, *hooks: Any, **options: Any) -> None:
    models.fit(model, SessionRunHookCallback(list(hooks), **options))


def test_an_eager_variable_in_the_graph(model: keras.Model) -> None:
    """Building on a Keras variable says to take its twin."""
    hook = Hook(begin=lambda: tf.norm(value_of(model.weights[0])))

    with pytest.raises(
        errors.HookUsageError, match=r"begin of Hook.*Take the twin"
    ):
        fit(model, hook)


def test_an_operation_added_too_late(model: keras.Model) -> None:
    """Adding an operation after finalization is v1's error, with a way out."""
    hook = Hook(before_run=lambda context: Args(tf.constant(1.0)))

    with pytest.raises(
        RuntimeError, match=r"Graph is finalized.*before_run of Hook.*in begin"
    ):
        fit(model, hook)


def test_a_name_that_nobody_delivers(model: keras.Model) -> None:
    """The first step lists what there is, and names the hook."""
    hook = Hook(before_run=lambda context: Args("acuracy:0"))

    with pytest.raises(
        errors.StepTensorError, match=r"'acuracy'.*of Hook.*'logs/loss'.*'loss'"
    ):
        fit(model, hook)


def test_a_step_tensor_outside_of_a_step(model: keras.Model) -> None:
    """The loss has no value in after_create_session."""
    hook = Hook(after_create_session=lambda session, _: session.run("loss:0"))

    with pytest.raises(
        errors.StepTensorError,
        match=r"'loss' has a value only.*after_create_session of Hook.*Ask for",
    ):
        fit(model, hook)


def test_two_hooks_that_feed_one_tensor(model: keras.Model) -> None:
    """The error has v1's words, and names both hooks."""
    hooks = [
        Hook(before_run=lambda context: Args([], {"learning_rate:0": 0.1}))
        for _ in range(2)
    ]

    with pytest.raises(
        RuntimeError, match=r"Same tensor is fed.*before_run of Hook and Hook"
    ):
        fit(model, *hooks)


@pytest.mark.parametrize(
    "hook",
    [
        pytest.param(object(), id="object"),
        pytest.param(v1.train.StopAtStepHook, id="class"),
        pytest.param(keras.callbacks.TerminateOnNaN(), id="callback"),
    ],
)
def test_a_hook_that_is_none(hook: Any) -> None:
    """An object that is not a hook is refused in the constructor."""
    good = v1.train.StopAtStepHook(1)

    with pytest.raises(errors.NotAHookError, match=r"hooks\[1\].*derive it"):
        SessionRunHookCallback([good, hook])


def test_a_function_that_returns_no_hook(model: keras.Model) -> None:
    """The hooks that a function returns are checked before any hook begins."""
    with pytest.raises(errors.NotAHookError, match=r"3 is not a S.*hooks\[0\]"):
        models.fit(model, SessionRunHookCallback(lambda: 3))


@pytest.mark.parametrize(
    ("on", "match"),
    [
        ("eval", r"'eval' is not a phase.*on="),
        (("train", "validation"), r"'validation' is not a phase"),
        ((), r"there is no phase"),
        (3, r"3 is not a phase"),
    ],
)
def test_a_wrong_phase(on: Any, match: str) -> None:
    """An unknown phase is refused in the constructor."""
    with pytest.raises(errors.ArgumentError, match=match):
        SessionRunHookCallback(v1.train.StopAtStepHook(1), on=on)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        pytest.param({"nobody": "w"}, r"no variable 'nobody'", id="unknown"),
        pytest.param("twice", r"'w' is given to two", id="twice"),
    ],
)
def test_wrong_variable_names(
    model: keras.Model, names: Any, match: str
) -> None:
    """An unknown path, or a name given twice, is refused."""
    if names == "twice":
        names = {path_of(weight): "w" for weight in model.weights[:2]}

    with pytest.raises(errors.ArgumentError, match=match):
        fit(model, v1.train.StopAtStepHook(1), variable_names=names)


FLOAT = tf.TensorSpec([], "float32")


@pytest.mark.parametrize(
    ("declared", "match"),
    [
        ({"labels": "float32"}, r"'float32' .*\"labels\": tf.TensorSpec\(\["),
        ({"labels": tf.SparseTensorSpec([2])}, r"SparseTensorSpec.*Write"),
        ({"labels:1": FLOAT}, r"'labels:1' is not the name.*'labels:0'"),
        ({":0": FLOAT}, r"':0' is not the name"),
        ({3: FLOAT}, r"3 is not the name"),
        ({"a": FLOAT, "a:0": tf.TensorSpec([2])}, r"'a' is declared twice"),
        ([FLOAT], r"a list is not a mapping.*Use a dict"),
    ],
    ids=str,
)
def test_wrong_step_tensors(declared: Any, match: str) -> None:
    """A wrong declaration is refused, with the line to write."""
    hook = v1.train.StopAtStepHook(1)

    with pytest.raises(errors.ArgumentError, match=match):
        SessionRunHookCallback(hook, step_tensors=declared)
    if isinstance(declared, dict):
        with pytest.raises(errors.ArgumentError, match=match):
            HookRunner(hook, step_tensors=declared)


def test_a_step_tensor_may_be_declared_with_its_output() -> None:
    """`labels:0` declares what `labels` does."""
    seen = []
    hook = Hook(
        before_run=lambda context: Args("labels:0"),
        after_run=lambda context, values: seen.append(values.results.shape),
    )

    models.fit(
        models.tiny_model(),
        SessionRunHookCallback(
            hook, step_tensors={"labels:0": tf.TensorSpec([None, 1])}
        ),
    )

    assert seen == [(4, 1), (4, 1)]


@needs_keras_3
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(
    backend: str, monkeypatch: pytest.MonkeyPatch, model: keras.Model
) -> None:
    """A model of JAX or PyTorch is refused before anything changes."""
    before = dict(vars(model))
    callback = SessionRunHookCallback(v1.train.StopAtStepHook(1))
    with monkeypatch.context() as patched:
        patched.setattr(keras.backend, "backend", lambda: backend)

        with pytest.raises(
            errors.BackendError, match=rf"runs on {backend}.*FinalOpsCallback"
        ):
            callback.set_model(model)

    assert vars(model) == before
    assert callback.model is None


@needs_both
def test_keras_2_beside_another_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model of tf_keras runs on TensorFlow, whatever Keras 3 does."""
    keras_3 = pytest.importorskip("keras")
    monkeypatch.setattr(keras_3.backend, "backend", lambda: "jax")
    callback = SessionRunHookCallback(v1.train.StopAtStepHook(1))
    model = models.tiny_model(KERAS_2)

    callback.set_model(model)

    assert callback.model is model


@pytest.mark.parametrize("moment", ["begin", "before_run", "after_run", "end"])
def test_an_exception_names_hook_and_moment(
    model: keras.Model, moment: str
) -> None:
    """An exception keeps its type, and a note says where it came from."""

    def fail(*_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        fit(model, Hook(**{moment: fail}))

    assert f"raised by {moment} of Hook" in caught.value.__notes__


def test_a_train_step_without_compute_loss(model: keras.Model) -> None:
    """A loss that no compute_loss made is not known; another log is."""

    class Custom(keras.Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            self.optimizer.iterations.assign_add(1)
            return {"loss": tf.reduce_mean(self(data[0]))}

    custom = Custom([keras.Input((3,)), keras.layers.Dense(1)])
    custom.compile("sgd", "mse")
    hook = Hook(before_run=lambda context: Args("loss:0"))

    with pytest.raises(errors.StepTensorError, match=r"logs/loss:0"):
        custom.fit(
            np.zeros((4, 3)),
            np.zeros((4, 1)),
            verbose=0,
            callbacks=[SessionRunHookCallback(hook)],
        )


def queue() -> Any:
    return tf.queue.FIFOQueue(2, [tf.float32], shapes=[[]]).dequeue()


def barrier() -> Any:
    made = tf.raw_ops.Barrier(component_types=[tf.float32])
    return tf.raw_ops.BarrierReadySize(handle=made)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (queue, r"keeps its state in a kernel.*FIFOQueueV2.*Feed the values"),
        (barrier, r"keeps its state in a kernel.*Barrier.*Feed the values"),
    ],
)
def test_what_only_a_v1_session_can_run(
    make: Callable[[], Any], match: str
) -> None:
    """An operation with state in one kernel is refused, with a way out."""
    with tf.Graph().as_default(), EagerSession() as session:
        fetch = make()

        with pytest.raises(errors.UnsupportedOpError, match=match):
            session.run(fetch)


def test_a_session_has_no_other_target() -> None:
    """A session of another process is refused in the constructor."""
    with pytest.raises(errors.ArgumentError, match=r"target='grpc"):
        EagerSession("grpc://localhost:1")


def test_a_feed_without_use_is_warned_of_once(
    model: keras.Model, caplog: pytest.LogCaptureFixture
) -> None:
    """A feed that no fetch consumes warns once in a run."""

    class Feeds(v1.train.SessionRunHook):
        def begin(self) -> None:
            self.knob = v1.placeholder(tf.float32, [], name="knob")

        def before_run(self, context: Any) -> Any:
            return Args([], {self.knob: 1.0})

    fit(model, Feeds())

    warned = [r for r in caplog.records if "can't be fed" in r.getMessage()]
    assert len(warned) == 1


@pytest.mark.parametrize("then", ["used_again", "gone"])
def test_another_callback_that_fails(model: keras.Model, then: str) -> None:
    """A run that Keras never ended is closed with its threads."""
    coordinators: list[Any] = []

    class Fails(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyError("not mine")

    hook = Hook(
        after_create_session=lambda _, coord: coordinators.append(coord)
    )
    callback = SessionRunHookCallback(hook)
    with pytest.raises(KeyError, match="not mine"):
        models.fit(model, callback, Fails())
    before = coordinators[0].should_stop()
    if then == "used_again":
        models.fit(model, callback)
    del callback
    gc.collect()

    assert not before
    assert coordinators[0].should_stop()
