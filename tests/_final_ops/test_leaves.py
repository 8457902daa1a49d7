# SPDX-License-Identifier: Apache-2.0
"""Each kind of leaf has its value, and anything else is refused."""

import collections
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import _structure
from final_ops_callback import errors
from final_ops_callback._final_ops import leaf_kinds
from final_ops_callback._keras import compat
from tests import models
from tests import original
from tests.flavors import KERAS_2
from tests.flavors import keras

BATCH = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float32")
LOGS = {"loss": 0.5, "accuracy": np.float32(0.25)}


class Pair(NamedTuple):
    first: Any
    second: Any


class Case(NamedTuple):
    """A leaf, its feeds, and its expected value."""

    leaf: Any
    feeds: dict[Any, Any]
    expected: Any


class Scaler:
    """A callable object, with a method that is a leaf, too."""

    def __call__(self, x: Any) -> Any:
        return tf.constant(x) * 2

    def method(self, x: Any) -> Any:
        return tf.constant(x) * 2


class DictMetric(keras.metrics.Mean):
    def result(self) -> Any:
        return {"mean": super().result(), "all": [self.count]}


def named(model: Any, name: str) -> Any:
    """The metric of a model that has a name."""
    return next(m for m in compat.metrics_of(model) if m.name == name)


def updated(metric: Any) -> Any:
    """A metric that has seen three values."""
    metric.update_state([1.0, 2.0, 4.0])
    return metric


def dict_metric(_: Any) -> Case:
    """A metric whose result is a dict."""
    mean = updated(keras.metrics.Mean()).result().numpy()
    expected = {"mean": mean, "all": [tf.constant(3.0).numpy()]}
    return Case(updated(DictMetric()), {}, expected)


def metric(_: Any) -> Case:
    """A metric of no model."""
    leaf = updated(keras.metrics.Mean())
    return Case(leaf, {}, leaf.result().numpy())


def a_function(x: Any, *, times: Any = 2) -> Any:
    """Doubles by default."""
    return x * times


def positional_only(x: Any, model: Any, /) -> Any:
    """Takes its arguments by position alone."""
    return model(x, training=False)


def doubled(leaf: Any, name: str = "x") -> Case:
    """A leaf that doubles the batch."""
    return Case(leaf, {name: BATCH}, (tf.constant(BATCH) * 2).numpy())


def on_model(make: Callable[[Any], tuple[Any, Any]]) -> Any:
    """A case whose value is the output of the model on the batch."""

    def case(model: Any) -> Case:
        leaf, feed = make(model)
        return Case(leaf, feed, model(BATCH, training=False).numpy())

    return case


tf_function = tf.function(a_function)
SPEC = tf.TensorSpec((None, 3), tf.float32, name="named otherwise")
COMPLEX_RESULT = {"a": [tf.constant(1), None, "text"], "b": tf.Variable(2.0)}
HOST_RESULT = {"a": [np.int32(1), None, "text"], "b": np.float32(2.0)}

CASES: dict[str, Callable[[Any], Case]] = {
    "metric": metric,
    "metric with a dict": dict_metric,
    "function": lambda _: doubled(a_function),
    "default replaced": lambda _: Case(
        a_function, {"x": BATCH, "times": 3}, (tf.constant(BATCH) * 3).numpy()
    ),
    "positional only": on_model(lambda _: (positional_only, {"x": BATCH})),
    "positional only, default kept": lambda _: Case(
        lambda x, y=2, z=0, /: [x, y, z], {"x": 1, "z": 3}, [1, 2, 3]
    ),
    "partial": lambda _: doubled(functools.partial(a_function, times=2)),
    "partial, positional": lambda _: doubled(
        functools.partial(lambda times, x: a_function(x, times=times), 2)
    ),
    "bound method": lambda _: doubled(Scaler().method),
    "callable object": lambda _: doubled(Scaler()),
    "lambda": lambda _: doubled(lambda x: tf.constant(x) * 2),
    "stars are not fed": lambda _: doubled(lambda x, *a, **k: a_function(x)),
    "tf.function": lambda _: doubled(tf_function),
    "concrete function": lambda _: doubled(
        tf_function.get_concrete_function(SPEC)
    ),
    "concrete function, flag first": lambda _: doubled(
        tf.function(lambda flag, x: x * 2 if flag else x).get_concrete_function(
            True, SPEC
        )
    ),
    "wrapped v1 function": lambda _: doubled(
        tf.compat.v1.wrap_function(lambda x: x * 2, [SPEC]), "arg_0"
    ),
    "concrete function of a dict": lambda _: Case(
        tf.function(lambda d: d["x"] * 2).get_concrete_function({"x": SPEC}),
        {"d": {"x": tf.constant(BATCH)}},
        (tf.constant(BATCH) * 2).numpy(),
    ),
    "concrete function with a flag": lambda _: doubled(
        tf.function(lambda x, flag: x * 2 if flag else x).get_concrete_function(
            SPEC, True
        )
    ),
    "layer": on_model(lambda m: (m.layers[-1], {"inputs": BATCH})),
    "model": on_model(lambda m: (m, {"inputs": BATCH})),
    "asks for the model": lambda model: Case(
        lambda model: model.layers[-1].kernel,
        {},
        model.layers[-1].kernel.numpy(),
    ),
    "asks for the logs": lambda _: Case(lambda logs: logs, {}, LOGS),
    "nested result": lambda _: Case(lambda: COMPLEX_RESULT, {}, HOST_RESULT),
    "side effect": lambda _: Case(lambda: None, {}, None),
    "built-in": lambda _: Case(dict, {}, {}),
    "tf.Variable": lambda _: Case(
        tf.Variable(BATCH), {}, tf.Variable(BATCH).numpy()
    ),
    "Keras variable": lambda m: Case(
        m.layers[-1].kernel, {}, m.layers[-1].kernel.numpy()
    ),
    "eager tensor": lambda _: Case(tf.constant(1), {}, tf.constant(1).numpy()),
    "sparse tensor": lambda _: Case(
        tf.sparse.from_dense(BATCH),
        {},
        original.session_run(lambda: tf.sparse.from_dense(BATCH)),
    ),
    "symbolic, by name": on_model(lambda m: (m.output, {"x": BATCH})),
    "symbolic, by tensor": on_model(
        lambda m: (m.output, {models.key_of(m.input): BATCH})
    ),
    "symbolic input": lambda m: Case(m.input, {"x": BATCH}, BATCH),
    "symbolic, fed itself": lambda m: Case(
        m.output, {models.key_of(m.output): BATCH[:, :1]}, BATCH[:, :1]
    ),
    "symbolic, computed": on_model(lambda m: (m.output + 0, {"x": BATCH})),
    "log": lambda _: Case("accuracy", {}, LOGS["accuracy"]),
    "metric by name": lambda m: Case(
        "mae", {}, named(m, "mae").result().numpy()
    ),
    "None": lambda _: Case(None, {}, None),
    "number": lambda _: Case(1.5, {}, 1.5),
    "NumPy array": lambda _: Case(BATCH, {}, BATCH),
    "NumPy string": lambda _: Case(np.str_("loss"), {}, np.str_("loss")),
    "bytes": lambda _: Case(b"loss", {}, b"loss"),
}
NESTINGS: dict[str, Callable[[Any], Any]] = {
    "list": lambda leaf: [leaf],
    "tuple": lambda leaf: (leaf, leaf),
    "dict": lambda leaf: {"a": leaf},
    "named tuple": lambda leaf: Pair(leaf, [leaf]),
    "deep": lambda leaf: {"a": [{1: (leaf, Pair(leaf, {}))}]},
}


@pytest.fixture(scope="module")
def evaluated() -> Any:
    """A model with something in its metrics, that no leaf changes."""
    model = models.tiny_model()
    x, y, _ = models.tiny_data()
    model.evaluate(x, y, verbose=0)
    return model


@pytest.mark.parametrize("nest", NESTINGS.values(), ids=NESTINGS)
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_each_kind_of_leaf_on_each_nesting(
    make: Any, nest: Any, evaluated: Any
) -> None:
    """A leaf of each kind has its value, wherever it stands."""
    leaf, feeds, expected = make(evaluated)
    callback = FinalOpsCallback(nest(leaf), feeds)

    values = models.finish(callback, evaluated, LOGS)

    assert original.is_same(nest(expected), values), (expected, values)


@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_leaf_alone_is_a_structure(make: Any, evaluated: Any) -> None:
    """A leaf that is the whole of `final_ops` has the same value."""
    leaf, feeds, expected = make(evaluated)
    callback = FinalOpsCallback(leaf, feeds)

    values = models.finish(callback, evaluated, LOGS)

    assert original.is_same(expected, values), (expected, values)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1)])
def test_a_symbolic_feed_fits_as_keras_fits_it(shape: Any) -> None:
    """Every shape that Keras takes for an input of one feature can be fed."""
    inputs = keras.Input((1,), batch_size=4, name="x")
    model = keras.Model(inputs, inputs * 2)
    batch = np.ones(shape, "float32")

    values = models.finish(FinalOpsCallback(model.output, {"x": batch}))

    assert original.is_same(model(batch, training=False).numpy(), values)


def test_a_symbolic_feed_may_be_a_reference() -> None:
    """The `.ref()` of a symbolic input of Keras 2 is a key of the feeds."""
    model = models.tiny_model(KERAS_2)
    callback = FinalOpsCallback(model.output, {model.input.ref(): BATCH})

    values = models.finish(callback, model)

    assert original.is_same(model(BATCH, training=False).numpy(), values)


@pytest.mark.parametrize(
    "feeds",
    [{"x": BATCH.tolist()}, {"x": BATCH.astype("float64")}],
    ids=["list", "float64"],
)
def test_a_symbolic_feed_converts_to_the_input(model: Any, feeds: Any) -> None:
    """A fed value takes the dtype of the symbolic input."""
    values = models.finish(FinalOpsCallback(model.output, feeds), model)

    assert original.is_same(model(BATCH, training=False).numpy(), values)


def test_a_callable_in_two_places_is_called_once() -> None:
    """One op that is fetched twice runs once, as in v1."""
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return len(calls)

    values = models.finish(FinalOpsCallback({"a": count, "b": [count]}))

    assert values == {"a": len(calls), "b": [len(calls)]}


def test_equal_leaves_are_not_one_op() -> None:
    """Two variables of the same value stay two leaves."""
    first, second = tf.Variable(1.0), tf.Variable(1.0)
    callback = FinalOpsCallback([first, lambda: second.assign(3.0), second])

    values = models.finish(callback)

    assert values == [first.numpy(), second.numpy(), second.numpy()]


def test_leaves_that_live_for_a_moment_are_told_apart() -> None:
    """A mapping may make new leaves each time that it is read."""

    class Lazy(dict):
        def items(self) -> Any:
            return [(key, functools.partial(str, key)) for key in self]

    values = models.finish(FinalOpsCallback([Lazy(dict.fromkeys("abcdef"))]))

    assert values == [{key: key for key in "abcdef"}]


def test_symbolic_leaves_are_computed_together(model: Any) -> None:
    """One forward pass serves the outputs of several layers."""
    calls: list[int] = []

    class Counting(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            calls.append(1)
            return x * 2

    first = keras.Input((3,), name="first")
    second = keras.Input((3,), name="second")
    both = Counting()(first) + second
    ops = {"both": both, "more": [both * 2, keras.layers.ReLU()(both)]}
    feeds = {"first": BATCH, "second": -BATCH}
    callback = FinalOpsCallback(ops, feeds)
    calls.clear()

    values = models.finish(callback)

    assert len(calls) == 1
    np.testing.assert_array_equal(values["both"], BATCH * 2 - BATCH)
    np.testing.assert_array_equal(values["more"], [BATCH * 2, BATCH])


class Trains(keras.layers.Layer):
    """A layer that trains unless it is told not to."""

    def call(self, x: Any, training: bool = True) -> Any:
        return x * 0 if training else x


@pytest.mark.parametrize(
    "layer", [keras.layers.Dropout(0.9), Trains()], ids=["dropout", "default"]
)
def test_symbolic_leaves_run_in_inference_mode(layer: Any) -> None:
    """A dropout layer drops nothing, a layer that would train does not."""
    inputs = keras.Input((3,), name="x")

    values = models.finish(FinalOpsCallback(layer(inputs), {"x": BATCH}))

    np.testing.assert_array_equal(values, BATCH)


def test_a_path_is_written_for_an_error_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths are written only for errors, so the time of leaves is linear."""
    calls: list[Any] = []
    monkeypatch.setattr(
        _structure, "as_expression", lambda *call: calls.append(call)
    )
    callback = FinalOpsCallback(dict.fromkeys(range(20000), str))

    values = models.finish(callback)

    assert values == dict.fromkeys(range(20_000), "")
    assert calls == []


def warnings_of(ops: Any, model: Any, caplog: Any) -> list[str]:
    """Returns what is logged while a callback finishes."""
    caplog.set_level(logging.WARNING, "final_ops_callback")
    models.finish(FinalOpsCallback(ops), model, LOGS)
    return [r.getMessage() for r in caplog.records]


def test_a_metric_that_nothing_updates_is_warned_of(
    evaluated: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A metric of no model that is still zero is named, with the way out."""
    ops = {"a": [keras.metrics.MeanAbsoluteError(name="other")]}

    (message,) = warnings_of(ops, evaluated, caplog)

    assert message.startswith("final_ops['a'][0]: ")
    assert "'other'" in message
    assert "compile(metrics=[...])" in message


def test_a_metric_that_something_updates_is_not_warned_of(
    evaluated: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a metric of the model nor one that was filled is named."""
    fresh = models.tiny_model()
    fresh.held = keras.metrics.Mean(name="held")
    filled = updated(keras.metrics.Mean())

    assert (
        warnings_of([named(evaluated, "mae"), filled], evaluated, caplog) == []
    )
    assert warnings_of(fresh.held, fresh, caplog) == []


class Tagged(dict):
    """A dict with a constructor of its own."""

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag = tag


class Strict(tuple):
    """A tuple that can't be built from values."""

    def __new__(cls, *values: Any) -> Any:
        if len(values) != 2:
            raise TypeError("two values")
        return super().__new__(cls, values)


@pytest.mark.parametrize(
    "result",
    [sys.version_info, Tagged("a"), collections.Counter("aab"), Strict(1, 2)],
    ids=["version", "tagged", "counter", "strict"],
)
def test_a_result_without_tensors_is_itself(result: Any) -> None:
    """A container of another type that holds no tensor is not rebuilt."""
    values = models.finish(FinalOpsCallback([lambda: result]))

    assert values[0] is result


def test_a_result_with_tensors_keeps_its_type_where_it_can() -> None:
    """A dict of any type is copied with values; else it is plain."""
    counter = collections.Counter(a=tf.constant(2))
    tagged = Tagged("t")
    tagged["a"] = tf.constant(1)
    strict = Strict(tf.constant(1), 2)

    values = models.finish(FinalOpsCallback(lambda: [counter, tagged, strict]))

    assert original.is_same(collections.Counter(a=np.int32(2)), values[0])
    assert (type(values[1]), values[1].tag) == (Tagged, "t")
    assert dict(values[1]) == {"a": np.int32(1)}
    assert isinstance(tagged["a"], tf.Tensor)
    assert original.is_same((np.int32(1), 2), values[2])


def test_a_result_that_holds_itself_is_an_error() -> None:
    """A list that holds itself is refused, with the path of the leaf."""
    callback = FinalOpsCallback({"a": endless})

    with pytest.raises(errors.LeafError, match=r"itself.*final_ops\['a'\]"):
        models.finish(callback)


def test_a_result_with_a_graph_tensor_is_an_error() -> None:
    """A callable that returns a tensor of a graph is refused, by path."""
    tensor = graph_elements()["tensor"]
    callback = FinalOpsCallback({"a": lambda: [tensor]})

    with pytest.raises(
        errors.GraphTensorError, match=r"at final_ops\['a'\].*FinalOpsHook"
    ):
        models.finish(callback)


@pytest.mark.parametrize("make", [lambda a: a, lambda a: lambda: {"a": [a]}])
def test_an_array_is_a_copy(make: Any) -> None:
    """A later write into an array does not change the values."""
    array = np.array([1.0, 2.0])
    before = array.copy()
    values = models.finish(FinalOpsCallback({"a": make(array)}))

    array[:] = 0

    value = (
        values["a"]
        if isinstance(values["a"], np.ndarray)
        else values["a"]["a"][0]
    )
    np.testing.assert_array_equal(value, before)


def test_leaves_are_evaluated_in_the_order_written() -> None:
    """Side effects happen in the order that the leaves are written."""
    order: list[str] = []
    ops = {key: functools.partial(order.append, key) for key in "bca"}

    models.finish(FinalOpsCallback(ops))

    assert order == list(ops)


def test_nothing_happens_without_final_ops(tmp_path: Any) -> None:
    """If `final_ops` is `None`, nothing is evaluated or written."""
    callback = FinalOpsCallback(
        None, {"x": 1}, filepath=tmp_path / "values.json", verbose=1
    )

    values = models.finish(callback)

    assert values is None
    assert callback.final_ops_values_by_phase == {}
    assert list(tmp_path.iterdir()) == []


def graph_elements() -> dict[str, Any]:
    """One of each kind of thing that lives in a v1 graph."""
    with tf.Graph().as_default():
        tensor = tf.constant([1.0])
        return {
            "tensor": tensor,
            "operation": tensor.op,
            "variable": tf.Variable(1.0),
            "v1 variable": tf.compat.v1.get_variable(
                "v", (), use_resource=False
            ),
            "sparse": tf.SparseTensor([[0]], tensor, [1]),
            "ragged": tf.ragged.constant([[1]]),
            "slices": tf.IndexedSlices(tensor, tf.constant([0])),
        }


@pytest.mark.parametrize("kind", graph_elements())
def test_a_graph_element_is_refused(kind: str) -> None:
    """A tensor, operation or variable of a v1 graph is not a final op."""
    ops = {"auc": [graph_elements()[kind]]}

    with pytest.raises(
        errors.GraphTensorError,
        match=r"belongs to a graph.*at final_ops\['auc'\]\[0\].*FinalOpsHook",
    ):
        FinalOpsCallback(ops)


def endless() -> Any:
    """A list that holds itself."""
    result: list[Any] = [1]
    result.append(result)
    return result


def symbolic() -> Any:
    """A symbolic tensor that depends on the input `x`."""
    return models.tiny_model().output


BAD_ARGUMENTS: dict[str, tuple[Any, type[Exception], str]] = {
    "symbolic without its feed": (
        lambda: FinalOpsCallback([symbolic()]),
        errors.FeedError,
        r"nothing feeds the symbolic input 'x' \(at final_ops\[0\]\)",
    ),
    "parameter without a feed": (
        lambda: FinalOpsCallback({"f": a_function}),
        errors.FeedError,
        r"nothing feeds the parameter 'x' \(at final_ops\['f'\]\)",
    ),
    "concrete function without a feed": (
        lambda: FinalOpsCallback(tf_function.get_concrete_function(SPEC)),
        errors.FeedError,
        "nothing feeds the parameter 'x'",
    ),
    "feed without a use": (
        lambda: FinalOpsCallback(a_function, {"x": 1, "y": 2}),
        errors.FeedError,
        r"no leaf uses the feed of 'y' .* use \['x'\]",
    ),
    "symbolic feed without a use": (
        lambda: FinalOpsCallback(
            1, {models.key_of(keras.Input((1,), name="z")): 2}
        ),
        errors.FeedError,
        "no leaf uses the feed of 'z'",
    ),
    "feed for the stars": (
        lambda: FinalOpsCallback(lambda **more: 1, {"more": 2}),
        errors.FeedError,
        "no leaf uses the feed of 'more'",
    ),
    "key that is no key": (
        lambda: FinalOpsCallback(a_function, {"x": 1, 2: 3}),
        errors.FeedError,
        r"2 is not a key that a feed can have \(at final_ops_feed_dict\)",
    ),
    "feeds that are no mapping": (
        lambda: FinalOpsCallback(a_function, [1]),
        errors.FeedError,
        r"a list is not a mapping of feeds \(at final_ops_feed_dict\)",
    ),
    "metric class": (
        lambda: FinalOpsCallback({"auc": keras.metrics.AUC}),
        errors.LeafError,
        r"AUC is the class of a metric.*final_ops\['auc'\].*compile\(metrics=",
    ),
    "unknown phase": (
        lambda: FinalOpsCallback(1, on="fit"),
        errors.ArgumentError,
        r"'fit' is not a phase \(at on='fit'\)\. Use .*'validation'",
    ),
    "unknown phase among others": (
        lambda: FinalOpsCallback(1, on=("train", "eval")),
        errors.ArgumentError,
        "'eval' is not a phase",
    ),
    "no phases": (
        lambda: FinalOpsCallback(1, on=None),
        errors.ArgumentError,
        "None is not a phase",
    ),
    "none of the phases": (
        lambda: FinalOpsCallback(1, on=()),
        errors.ArgumentError,
        r"there is no phase \(at on=\(\)\)\. Use .*'validation'",
    ),
    "verbosity of Keras": (
        lambda: FinalOpsCallback(1, verbose=2),
        errors.ArgumentError,
        r"2 is not a verbosity \(at verbose=2\)\. Use 0 or 1",
    ),
    "verbosity that is no number": (
        lambda: FinalOpsCallback(1, verbose="auto"),
        errors.ArgumentError,
        "'auto' is not a verbosity",
    ),
    "graph tensor as feed": (
        lambda: FinalOpsCallback(a_function, {"x": graph_elements()["tensor"]}),
        errors.GraphTensorError,
        r"no value to feed \(at final_ops_feed_dict\['x'\]\)\. Feed an array",
    ),
    "symbolic tensor as feed": (
        lambda: FinalOpsCallback(symbolic(), {"x": keras.Input((3,))}),
        errors.FeedError,
        r"no value to feed \(at final_ops_feed_dict\['x'\]\)\. Feed a batch",
    ),
    "feed of another dtype": (
        lambda: FinalOpsCallback(symbolic(), {"x": [["a", "b", "c"]]}),
        errors.FeedError,
        r"list does not convert to float32 .*dict\['x'\]\)\. Feed an array",
    ),
    "feed of another shape": (
        lambda: FinalOpsCallback(symbolic(), {"x": np.zeros((2, 4))}),
        errors.FeedError,
        r"shape \(2, 4\) does not fit into \(None, 3\) .*\. Feed a batch",
    ),
    "feed of another rank": (
        lambda: FinalOpsCallback(symbolic(), {"x": np.zeros(3)}),
        errors.FeedError,
        r"shape \(3,\) does not fit into \(None, 3\)",
    ),
    "container that holds itself": (
        lambda: FinalOpsCallback({"a": endless()}),
        errors.LeafError,
        r"holds itself.*at final_ops\)\. Use a nesting that ends",
    ),
}


@pytest.mark.parametrize(
    ("make", "kind", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS
)
def test_a_bad_argument_is_refused_at_once(
    make: Any, kind: type[Exception], message: str
) -> None:
    """The constructor says what is wrong, where, and the way out."""
    with pytest.raises(kind, match=message):
        make()


def test_an_unknown_name_lists_what_there_is(evaluated: Any) -> None:
    """The error for an unknown string lists the logs and metrics."""
    callback = FinalOpsCallback(["recall"])

    with pytest.raises(
        errors.LeafError,
        match=r"'recall' \(at final_ops\[0\]\).*\['accuracy', 'loss'\].*'mae'",
    ):
        models.finish(callback, evaluated, LOGS)


@pytest.mark.parametrize(
    "error",
    [tf.errors.OutOfRangeError(None, None, "end"), StopIteration()],
    ids=["OutOfRangeError", "StopIteration"],
)
def test_an_op_that_wants_input_gets_the_advice_of_v1(
    error: Exception, model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the input is raised as it is, with advice in the log."""

    def leaf() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        models.fit(model, FinalOpsCallback(leaf))

    assert caught.value is error
    assert "depends on the input" in caplog.text
    assert type(error).__name__ in caplog.text


def test_an_exception_names_the_leaf(
    model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of a leaf keeps its type and gets a note with its path."""
    caplog.set_level(logging.WARNING)
    callback = FinalOpsCallback({"a": [1, lambda: 1 / 0]})

    with pytest.raises(ZeroDivisionError) as caught:
        models.fit(model, callback)

    assert caught.value.__notes__ == ["raised by final_ops['a'][1]"]
    assert callback.final_ops_values is None
    assert "final_ops_callback" not in {r.name for r in caplog.records}


@pytest.mark.parametrize("change", [{"accuracy": "accuracy"}, {"loss": 1}])
def test_a_structure_that_has_changed_is_an_error(
    evaluated: Any, change: dict[str, Any]
) -> None:
    """Leaves are compiled once: one that comes later was never checked."""
    ops: dict[str, Any] = {"loss": "loss"}
    callback = FinalOpsCallback(ops)
    ops |= change

    with pytest.raises(
        errors.LeafError, match=r"has changed since .*final_ops\). Make a new"
    ):
        models.finish(callback, evaluated, LOGS)


def test_a_leaf_is_classified_once(
    monkeypatch: pytest.MonkeyPatch, evaluated: Any
) -> None:
    """A run does not determine the kind of a leaf again."""
    callback = FinalOpsCallback({"a": ["loss", 1]})
    monkeypatch.setattr(leaf_kinds, "KINDS", ())

    values = models.finish(callback, evaluated, LOGS)

    assert values == {"a": [0.5, 1]}
