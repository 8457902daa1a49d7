# SPDX-License-Identifier: Apache-2.0
"""The testing helpers record the same under the original and under Keras."""

import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import FinalOpsCallbackError
from final_ops_callback.errors import NotAHookError
from final_ops_callback.testing import METHODS
from final_ops_callback.testing import Event
from final_ops_callback.testing import RecordingHook
from final_ops_callback.testing import differences
from final_ops_callback.testing import record
from final_ops_callback.testing import trace_v1
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

FEATURES = np.linspace(-1, 1, 12, dtype="float32").reshape(6, 2)
LABELS = np.arange(6, dtype="float32").reshape(6, 1)
STEPS = 6
RATE = 0.125


def build() -> Any:
    """Builds the v1 twin of `fit`'s model; an update waits for the reads."""
    data = tf.data.Dataset.from_tensor_slices((FEATURES, LABELS))
    batches = v1.data.make_one_shot_iterator(data.batch(2).repeat())
    x, y = batches.get_next()
    kernel = v1.get_variable("dense/kernel", initializer=np.ones((2, 1), "f"))
    loss = tf.reduce_mean(tf.square(x @ kernel - y))
    loss = tf.identity(loss, name="loss")
    [gradient] = tf.gradients(loss, [kernel])
    with tf.control_dependencies([loss, gradient]):
        # v1 orders no reads and writes of one run: this is time to read.
        pause = tf.numpy_function(lambda: time.sleep(0.004), [], [])
    with tf.control_dependencies([pause]):
        update = kernel.assign_sub(RATE * gradient, read_value=False)
    with tf.control_dependencies([update]):
        step = v1.train.get_or_create_global_step()
        return step.assign_add(1, read_value=False)


def fit(hooks: Any) -> None:
    """Trains for as many steps under Keras."""
    dense = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="ones", name="dense"
    )
    inputs = keras.Input((2,))
    model = keras.Model(inputs, dense(inputs))
    model.compile(keras.optimizers.SGD(RATE), "mse")
    model.fit(
        FEATURES,
        LABELS,
        batch_size=2,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[SessionRunHookCallback(hooks)],
    )


def kernel() -> Any:
    """Returns the weights, from the default graph."""
    return v1.trainable_variables()[0]


def everything() -> RecordingHook:
    """Makes a hook that uses every option but `raises`."""
    fed: list[Any] = []

    def fetches() -> Any:
        fed.append(v1.placeholder(tf.float32, []))
        return {"loss": "loss:0", "norm": tf.norm(kernel()), "fed": fed[-1] * 2}

    return RecordingHook(
        fetches,
        lambda: {fed[-1]: 4.0},
        reads=lambda: [kernel(), v1.train.get_global_step()],
        stop_at=4,
    )


class Halving(v1.train.SessionRunHook):
    """A user-defined hook: halves the weights in each step, stops by itself."""

    def begin(self) -> None:
        self.halve = kernel().assign(kernel() / 2)

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("loss:0")

    def after_run(self, run_context: Any, run_values: Any) -> None:
        run_context.session.run(self.halve)
        if run_values.results < 1:
            run_context.request_stop()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(RecordingHook, id="nothing"),
        pytest.param(lambda: RecordingHook("loss:0"), id="fetch"),
        pytest.param(everything, id="everything"),
        pytest.param(lambda: record(Halving()), id="own"),
        pytest.param(lambda: record(Halving(), kernel), id="own-read"),
        pytest.param(
            lambda: record(v1.train.StopAtStepHook(num_steps=3)), id="stock"
        ),
    ],
)
def test_a_recording_is_the_same_under_both(make: Any) -> None:
    """A hook records the same under Keras as under v1."""
    [expected] = trace_v1(make(), build, steps=STEPS)
    hook = make()

    fit(hook)

    assert differences(expected, hook.events) == []
    assert [event.method for event in expected[:2]] == list(METHODS[:2])


def test_every_event_is_recorded() -> None:
    """Results, reads and the stop are in the events, as plain values."""
    [events] = trace_v1(everything(), build, steps=STEPS)

    read_steps = [event.read[1] for event in events[1:]]
    assert [event.method for event in events] == [
        *METHODS[:2],
        *(METHODS[2:4] * 4),
        METHODS[4],
    ]
    assert [e.stop for e in events].index(True) == len(events) - 2
    assert read_steps == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert events[3].results["fed"] == 8
    assert isinstance(events[3].results["norm"], np.float32)


@pytest.mark.parametrize("method", METHODS)
def test_it_raises_where_it_is_told(method: str) -> None:
    """The exception escapes from both, after the same events."""
    hooks = [RecordingHook(raises={method: KeyError("told")}) for _ in "ab"]
    for hook, run in zip(
        hooks, (lambda h: trace_v1(h, build, steps=STEPS), fit), strict=True
    ):
        with pytest.raises(KeyError, match="told"):
            run(hook)

    assert hooks[0].events[-1] == Event(method, raised="KeyError")
    assert differences(hooks[0].events, hooks[1].events) == []


def test_several_hooks_made_in_the_graph_have_lists_of_their_own() -> None:
    """A function that returns hooks is called in the graph, after `build`."""

    def hooks() -> list[Any]:
        return [RecordingHook(kernel()), v1.train.StopAtStepHook(last_step=1)]

    first, second = trace_v1(hooks, build, steps=STEPS)

    assert first[3].results.tolist() == [[1], [1]]
    assert second[3].stop


def test_a_hook_begins_anew_in_its_second_session() -> None:
    """`stop_at` counts from the start of each session, events stay."""
    hook = everything()
    trace_v1(hook, build, steps=STEPS)
    first = list(hook.events)

    trace_v1(hook, build, steps=STEPS)

    assert differences(first * 2, hook.events) == []


def array(*values: float) -> Any:
    return np.array(values, "float32")


@pytest.mark.parametrize(
    ("expected", "actual", "line"),
    [
        (1.0, 1.1, ": 1.0 is expected, 1.1 is there"),
        (1, 1.0, ": 1 is expected, 1.0 is there"),
        (b"a", b"b", ": b'a' is expected, b'b' is there"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "['a'][1]: 2 is"),
        ({"a": 1}, {"b": 1}, ": {'a': 1} is"),
        ([1], [1, 2], ": [1] is"),
        ([1], (1,), ": [1] is"),
        (array(1, 2), array(1, 3), ": array([1., 2.]"),
        (array(1), array(1, 1), ": array([1.]"),
        (array(1), np.array([1.0]), ": array([1.]"),
        ([[Event("end")]], [[Event("begin")]], "[0][0].method: 'end'"),
    ],
)
def test_a_difference_is_found(expected: Any, actual: Any, line: str) -> None:
    """Another value, type, shape or length is one line that says where."""
    [found] = differences(expected, actual)

    assert found.startswith(line)


def test_a_changed_value_of_a_recording_is_found() -> None:
    """One number that is off is one line that names its place."""
    [events] = trace_v1(everything(), build, steps=STEPS)
    changed = list(events)
    results = events[3].results
    changed[3] = events[3]._replace(
        results={**results, "norm": results["norm"] * np.float32(1.001)}
    )

    [found] = differences([events], [changed])

    assert found.startswith("[0][3].results['norm']: ")


@pytest.mark.parametrize(
    "value", [1.0, array(1, np.nan), None, [b"a", ("x", True)], {"a": ()}]
)
def test_equal_values_do_not_differ(value: Any) -> None:
    """A value is equal to itself, NaN too, and to one that is close."""
    assert differences(value, value) == []
    assert differences(array(1), array(1 + 1e-6)) == []


@pytest.mark.parametrize(
    ("misuse", "kind", "match"),
    [
        (
            lambda: RecordingHook(stop_at=0),
            ArgumentError,
            r"0 is not a count \(at stop_at\). Give a positive integer.",
        ),
        (
            lambda: RecordingHook(raises={"before": ValueError()}),
            ArgumentError,
            r"'before' can't raise ValueError\(\) \(at raises\). Map one of",
        ),
        (
            lambda: RecordingHook(raises={"end": "ValueError"}),
            ArgumentError,
            r"'end' can't raise 'ValueError' \(at raises\). Map one of",
        ),
        (
            lambda: record(Halving),
            NotAHookError,
            r"is not a SessionRunHook \(at record\). Give an object with the",
        ),
        (
            lambda: trace_v1([print], build, steps=1),
            NotAHookError,
            r"print> is not a SessionRunHook \(at record\). Give an object",
        ),
        (
            lambda: trace_v1([], build, steps=0),
            ArgumentError,
            r"0 is not a count \(at steps\). Give a positive integer.",
        ),
        (
            lambda: trace_v1([], lambda: None, steps=1),
            ArgumentError,
            r"returns nothing \(at build\). Return the train op.",
        ),
    ],
)
def test_misuse_is_told(
    misuse: Any, kind: type[FinalOpsCallbackError], match: str
) -> None:
    """A wrong argument gets an error that says what, where, and the way out."""
    with pytest.raises(kind, match=match):
        misuse()
