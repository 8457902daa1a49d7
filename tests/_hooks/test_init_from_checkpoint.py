# SPDX-License-Identifier: Apache-2.0
"""`init_from_checkpoint` and `warm_start` on the variables of the model.

The oracle is the original: the same call on the same variables in a v1 graph
whose initializers a real session runs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.flavors import keras
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
SHAPES = {
    "new/first/kernel": (3, 2),
    "new/first/bias": (2,),
    "new/last/kernel": (2, 1),
    "new/last/bias": (1,),
}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of v1, whose names and values are of another training."""
    prefix = str(tmp_path_factory.mktemp("old") / "model.ckpt")
    with tf.Graph().as_default(), v1.Session() as session:
        for index, (name, shape) in enumerate(SHAPES.items()):
            value = np.arange(np.prod(shape), dtype="f").reshape(shape) + index
            v1.get_variable(name.replace("new/", "old/"), initializer=value)
        v1.get_variable("global_step", initializer=np.int64(70))
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, prefix)
    return prefix


def model() -> Any:
    """Returns a model with the layers `first` and `last`."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="first")(inputs)
    outputs = keras.layers.Dense(1, name="last")(outputs)
    made = keras.Model(inputs, outputs)
    made.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False
    )
    return made


NAMES = {name.removeprefix("new/"): name for name in SHAPES}


def previous(*indices: int) -> dict[str, str]:
    """Returns the old names of some of the variables."""
    names = [list(SHAPES)[index] for index in indices]
    return {name: name.replace("new/", "old/") for name in names}


CALLS: dict[str, Callable[[str], Any]] = {
    "a scope": lambda old: v1.train.init_from_checkpoint(old, {"old/": "new/"}),
    "a part": lambda old: v1.train.init_from_checkpoint(
        old, {"old/first/": "new/first/"}
    ),
    "one variable": lambda old: v1.train.init_from_checkpoint(
        old, {"old/first/kernel": "new/first/kernel"}
    ),
    "a variable itself": lambda old: v1.train.init_from_checkpoint(
        old, {"old/last/bias": v1.trainable_variables()[-1]}
    ),
    "the step": lambda old: v1.train.init_from_checkpoint(
        old, {"global_step": "global_step"}
    ),
    "twice": lambda old: [
        v1.train.init_from_checkpoint(old, {"old/": "new/"}),
        v1.train.init_from_checkpoint(old, {"old/first/": "new/first/"}),
    ],
    "a list of patterns": lambda old: v1.train.warm_start(
        old,
        ["new/first/.*", "new/last/b"],
        var_name_to_prev_var_name=previous(0, 1, 3),
    ),
    "a list of variables": lambda old: v1.train.warm_start(
        old,
        v1.trainable_variables()[1:3],
        var_name_to_prev_var_name=previous(1, 2),
    ),
    "warm start": lambda old: v1.train.warm_start(
        old,
        vars_to_warm_start=".*kernel.*",
        var_name_to_prev_var_name=previous(0, 2),
    ),
}


class Calls(v1.train.SessionRunHook):
    """Makes a call in `begin`, and notes the values before the first step."""

    def __init__(self, call: Callable[[], Any] = lambda: None) -> None:
        self.call = call

    def begin(self) -> None:
        self.call()
        self.values: dict[str, Any] = {}
        self.read = {
            v.op.name: v
            for v in v1.global_variables()
            if v.op.name in SHAPES or v.op.name == "global_step"
        }

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.values = session.run(self.read)


def original(call: Callable[[], Any], weights: list[Any]) -> dict[str, Any]:
    """Returns what the hook sees under the real MonitoredSession."""
    with tf.Graph().as_default():
        for (name, _), value in zip(SHAPES.items(), weights, strict=True):
            v1.get_variable(name, initializer=value)
        v1.train.get_or_create_global_step()
        hook = Calls(call)
        with v1.train.MonitoredSession(hooks=[hook]):
            pass
    return hook.values


def fit(made: Any, hooks: Any, **options: Any) -> None:
    """Fits one step."""
    x = np.ones((4, 3), "f")
    callback = SessionRunHookCallback(hooks, variable_names=NAMES, **options)
    made.fit(x, x[:, :1], verbose=0, callbacks=[callback])


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras 2 and 3 give the variables of such a model these paths."""
    made = model()
    paths = [
        getattr(w, "path", w.name).removesuffix(":0") for w in made.weights
    ]
    assert paths == list(NAMES)


@pytest.mark.parametrize("call", CALLS)
def test_begin(old: str, call: str) -> None:
    """Values that `begin` restores are set before the first step, as in v1."""
    made = model()
    weights = made.get_weights()
    hook = Calls(lambda: CALLS[call](old))
    fit(made, hook)
    expected = original(lambda: CALLS[call](old), weights)

    assert hook.values.keys() == expected.keys() == {*SHAPES, "global_step"}
    for name, value in expected.items():
        np.testing.assert_array_equal(hook.values[name], value)


@pytest.mark.parametrize("where", ["factory", "scaffold", "init_op"])
def test_other_places(old: str, where: str) -> None:
    """The function of the hooks and that of the scaffold may ask, too."""
    made = model()
    expected = original(lambda: CALLS["a scope"](old), made.get_weights())
    hook = Calls()

    def make_hooks() -> Any:
        if where == "factory":
            CALLS["a scope"](old)
        return hook

    def make_scaffold() -> Any:
        if where != "factory":
            CALLS["a scope"](old)
        if where == "init_op":
            everything = v1.global_variables_initializer()
            return v1.train.Scaffold(init_op=everything)
        return v1.train.Scaffold()

    fit(made, make_hooks, scaffold=make_scaffold)

    for name, value in expected.items():
        np.testing.assert_array_equal(hook.values[name], value)


def test_training_starts_from_it(old: str) -> None:
    """The first step trains the restored weights, as plain Keras would."""
    made, plain = model(), model()
    fit(made, Calls(lambda: CALLS["a scope"](old)))
    reader = tf.train.load_checkpoint(old)
    plain.set_weights(
        [reader.get_tensor(n.replace("new/", "old/")) for n in SHAPES]
    )
    x = np.ones((4, 3), "f")
    plain.fit(x, x[:, :1], verbose=0)

    for one, other in zip(made.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_once_in_each_fit_that_asks(old: str) -> None:
    """A second fit restores again if its hook asks, and only then."""
    made = model()
    asks = Calls(lambda: CALLS["a scope"](old))
    fit(made, asks)
    first = asks.values["new/last/kernel"]
    trained = to_numpy(made.layers[-1].kernel)
    assert (trained != first).any()

    silent = Calls()
    fit(made, silent)
    np.testing.assert_array_equal(silent.values["new/last/kernel"], trained)

    fit(made, asks)
    np.testing.assert_array_equal(asks.values["new/last/kernel"], first)


def test_a_plain_initializer_does_nothing(old: str) -> None:
    """Without a replaced initializer, Keras keeps its weights."""
    made = model()
    weights = made.get_weights()

    def run_all() -> Any:
        hook = Calls()
        hook.after_create_session = lambda session, coord: session.run(
            v1.get_default_graph().get_collection("all inits")
        )
        v1.add_to_collection("all inits", v1.global_variables_initializer())
        return hook

    hook = Calls()
    fit(made, lambda: [run_all(), hook])

    for name, value in zip(SHAPES, weights, strict=True):
        np.testing.assert_array_equal(hook.values[name], value)


def test_another_checkpoint_is_an_error(old: str) -> None:
    """A name that the checkpoint lacks is v1's own error; nothing changes."""
    made = model()
    weights = made.get_weights()
    hook = Calls(lambda: v1.train.init_from_checkpoint(old, {"none/": "new/"}))
    with pytest.raises(ValueError, match="is not found in"):
        fit(made, hook)

    for one, other in zip(weights, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
