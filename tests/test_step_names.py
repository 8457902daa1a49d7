# SPDX-License-Identifier: Apache-2.0
"""The names of what is inside of a step: parts, specs, errors."""

import re
from collections.abc import Iterable
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import _step
from final_ops_callback import errors

v1 = tf.compat.v1

ROWS = np.random.RandomState(0)
A, B = (ROWS.normal(size=(4, n)).astype("float32") for n in (2, 3))
ONE, TWO = (ROWS.normal(size=(4, n)).astype("float32") for n in (1, 2))


@pytest.fixture(params=[keras, tf_keras], ids=["keras", "tf_keras"])
def generation(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


class Fetches(v1.train.SessionRunHook):
    """Fetches by name in each step, and keeps what it got."""

    def __init__(self, names: Iterable[str]) -> None:
        self.fetches = {name: f"{name}:0" for name in names}
        self.seen: list[dict[str, Any]] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs(self.fetches)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)


def fetch(
    model: Any,
    names: Iterable[str],
    x: Any,
    y: Any,
    declared: Mapping[str, Any] | None = None,
    method: str = "fit",
    **options: Any,
) -> dict[str, Any]:
    hook = Fetches(names)
    callback = SessionRunHookCallback(hook, step_tensors=declared)
    args = (x,) if method == "predict" else (x, y)
    getattr(model, method)(
        *args, batch_size=4, verbose=0, callbacks=[callback], **options
    )
    return hook.seen[0]


def two_and_two(generation: ModuleType, kind: type) -> Any:
    """A model of two inputs and two outputs, in dicts or in lists."""
    a = generation.Input((2,), name="a")
    b = generation.Input((3,), name="b")
    both = generation.layers.Concatenate(name="both")([a, b])
    one = generation.layers.Dense(1, name="one")(both)
    two = generation.layers.Dense(2, name="two")(both)
    if kind is dict:
        model = generation.Model(
            {"a": a, "b": b}, {"one": one, "two": two}, name="model"
        )
        model.compile("sgd", {"one": "mse", "two": "mse"})
    else:
        model = generation.Model([a, b], [one, two], name="model")
        model.compile("sgd", ["mse", "mse"])
    return model


def small(generation: ModuleType) -> Any:
    model = generation.Sequential(
        [
            generation.Input((2,), name="image"),
            generation.layers.Dense(1, name="hidden"),
        ],
        name="small",
    )
    model.compile("sgd", "mse")
    return model


def test_the_parts_of_dicts(generation: ModuleType) -> None:
    """A part is named by its key; an input and a layer by their names."""
    model = two_and_two(generation, dict)
    seen = fetch(
        model,
        ["features/a", "b", "both", "predictions/two", "two", "labels/one"],
        {"a": A, "b": B},
        {"one": ONE, "two": TWO},
        {"labels/one": tf.TensorSpec([None, 1], "float32")},
        shuffle=False,
    )

    np.testing.assert_array_equal(seen["features/a"], A)
    np.testing.assert_array_equal(seen["b"], B)
    np.testing.assert_array_equal(seen["both"], np.concatenate([A, B], 1))
    np.testing.assert_array_equal(seen["labels/one"], ONE)
    np.testing.assert_array_equal(seen["predictions/two"], seen["two"])


def test_the_parts_of_lists(generation: ModuleType) -> None:
    """A part is named by its place."""
    model = two_and_two(generation, list)
    seen = fetch(
        model,
        ["features/0", "b", "predictions/1", "two", "labels/0"],
        [A, B],
        [ONE, TWO],
        {"labels/0": tf.TensorSpec([None, 1], "float32")},
        shuffle=False,
    )

    np.testing.assert_array_equal(seen["features/0"], A)
    np.testing.assert_array_equal(seen["b"], B)
    np.testing.assert_array_equal(seen["labels/0"], ONE)
    np.testing.assert_array_equal(seen["predictions/1"], seen["two"])


def test_sample_weights(generation: ModuleType) -> None:
    """They are there if the call has them, and else the error says so."""
    weights = np.arange(1.0, 5.0)
    seen = fetch(
        small(generation),
        ["sample_weight"],
        A,
        ONE,
        sample_weight=weights,
        shuffle=False,
    )

    np.testing.assert_array_equal(seen["sample_weight"].ravel(), weights)
    with pytest.raises(errors.StepTensorError, match="no 'sample_weight'"):
        fetch(small(generation), ["sample_weight"], A, ONE)


def test_a_layer_inside_of_another(generation: ModuleType) -> None:
    """Its path leads to it; dropout is that of the step itself."""
    encoder = generation.Sequential(
        [
            generation.Input((2,)),
            generation.layers.Dense(64, name="code"),
            generation.layers.Dropout(0.5, name="drop"),
        ],
        name="encoder",
    )
    model = generation.Sequential([generation.Input((2,)), encoder])
    model.compile("sgd", "mse")
    seen = fetch(
        model,
        ["encoder/code", "encoder/drop", "predictions"],
        A,
        np.zeros((4, 64), "float32"),
    )
    dropped = seen["encoder/drop"]

    np.testing.assert_array_equal(dropped, seen["predictions"])
    kept = dropped != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(
        dropped[kept], 2 * seen["encoder/code"][kept], rtol=1e-5
    )


def test_a_name_that_is_taken(generation: ModuleType) -> None:
    """A layer called `loss` has a longer name, too."""
    model = generation.Sequential(
        [
            generation.Input((2,)),
            generation.layers.Dense(1, name="loss"),
            generation.layers.Flatten(name="my_layer"),
        ]
    )
    model.compile("sgd", "mse")
    seen = fetch(model, ["loss", "layers/loss", "my_layer"], A, ONE)

    assert seen["loss"].shape == ()
    np.testing.assert_array_equal(seen["layers/loss"], seen["my_layer"])


def test_in_evaluate_and_predict(generation: ModuleType) -> None:
    """The same names are there, as far as the step has them."""
    model = small(generation)
    names = ["features", "predictions", "hidden"]
    tested = fetch(model, [*names, "loss"], A, ONE, method="evaluate")
    predicted = fetch(model, names, A, None, method="predict")

    np.testing.assert_allclose(
        tested["loss"], np.mean((tested["hidden"] - ONE) ** 2), rtol=1e-5
    )
    for name in names:
        np.testing.assert_allclose(tested[name], predicted[name], rtol=1e-5)


def test_mixed_precision(generation: ModuleType) -> None:
    """The dtype is that which the layer computes in."""
    model = generation.Sequential(
        [
            generation.Input((2,)),
            generation.layers.Dense(3, name="half", dtype="mixed_float16"),
            generation.layers.Dense(1, name="full", dtype="float32"),
        ]
    )
    model.compile("sgd", "mse")
    kernel = model.trainable_variables[0]
    path = getattr(kernel, "path", None) or kernel.name.removesuffix(":0")
    seen = fetch(model, ["half", "full", f"gradients/{path}"], A, ONE)

    assert seen["half"].dtype == np.float16
    assert seen["full"].dtype == np.float32
    assert seen[f"gradients/{path}"].dtype == np.float32


def test_a_scaled_loss_is_scaled_back(generation: ModuleType) -> None:
    """Gradients are those of the loss, not of the loss times 1,024."""
    plain, scaled = small(generation), small(generation)
    scaled.set_weights(plain.get_weights())
    if generation is keras:
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.01), initial_scale=1024.0
        )
    else:
        optimizer = tf_keras.mixed_precision.LossScaleOptimizer(
            tf_keras.optimizers.SGD(0.01), initial_scale=1024.0
        )
    scaled.compile(optimizer, "mse")
    norms = [
        fetch(m, ["gradients/global_norm"], A, ONE)["gradients/global_norm"]
        for m in (plain, scaled)
    ]

    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-5)


def test_steps_per_execution(generation: ModuleType) -> None:
    """The values are those of the last step of the execution."""
    model = small(generation)
    model.compile("sgd", "mse", steps_per_execution=2)
    features = np.arange(16, dtype="float32").reshape(8, 2)
    seen = fetch(
        model,
        ["features"],
        features,
        np.zeros((8, 1), "float32"),
        shuffle=False,
    )

    np.testing.assert_array_equal(seen["features"], features[4:])


def test_the_dense_gradient_of_an_embedding(generation: ModuleType) -> None:
    """Slices of a gradient come as the whole of it."""
    model = generation.Sequential(
        [
            generation.Input((2,), dtype="int32"),
            generation.layers.Embedding(5, 3, name="table"),
            generation.layers.Flatten(),
            generation.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    table = model.trainable_variables[0]
    path = getattr(table, "path", None) or table.name.removesuffix(":0")
    before = table.numpy()
    seen = fetch(model, [f"gradients/{path}"], np.ones((4, 2), "int32"), ONE)

    np.testing.assert_allclose(
        before - 0.01 * seen[f"gradients/{path}"], table.numpy(), atol=1e-6
    )


def test_undeclared_labels_show_the_line(generation: ModuleType) -> None:
    """Nothing is trained, and the error says what to write."""
    model = small(generation)

    with pytest.raises(errors.StepTensorError) as caught:
        fetch(model, ["labels"], A, ONE)

    assert 'step_tensors={"labels": tf.TensorSpec(' in str(caught.value)
    assert int(model.optimizer.iterations.numpy()) == 0


@pytest.mark.parametrize(
    "spec", [tf.TensorSpec([None, 1], "int64"), tf.TensorSpec([None])]
)
def test_labels_declared_as_something_else(
    generation: ModuleType, spec: tf.TensorSpec
) -> None:
    """A wrong shape, or a dtype that would lose, shows the right one."""
    with pytest.raises(
        errors.StepTensorError, match=r'tf.TensorSpec\(\[None, 1\], "float32"'
    ):
        fetch(small(generation), ["labels"], A, ONE, {"labels": spec})


def test_a_model_that_is_not_built_knows_its_batch(
    generation: ModuleType,
) -> None:
    """Its hooks begin in the first step: then the data is known."""
    model = generation.Sequential([generation.layers.Dense(1, name="hidden")])
    model.compile("sgd", "mse")
    seen = fetch(model, ["features", "labels"], A, ONE, shuffle=False)

    np.testing.assert_array_equal(seen["features"], A)
    np.testing.assert_array_equal(seen["labels"], ONE)


def test_a_model_with_a_call_of_its_own(generation: ModuleType) -> None:
    """What it does not know has to be declared, layers too."""

    class Own(generation.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = generation.layers.Dense(1, name="hidden")

        def call(self, inputs: Any) -> Any:
            return self.hidden(inputs)

    model = Own()
    model.compile("sgd", "mse")
    with pytest.raises(errors.StepTensorError, match=r'\{"hidden": tf\.Tensor'):
        fetch(model, ["hidden"], A, ONE)
    declared = {"hidden": tf.TensorSpec([None, 1], "float32")}

    assert fetch(model, ["hidden"], A, ONE, declared)["hidden"].shape == (4, 1)


class OwnStep:
    """A train step that tells nobody its loss."""

    def train_step(self: Any, data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        weights = self.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return {"own": loss}


@pytest.mark.parametrize("name", ["loss", "predictions"])
def test_a_step_without_compute_loss(generation: ModuleType, name: str) -> None:
    """It says so before anything is trained; all else is there."""
    kind = type("Model", (OwnStep, generation.Sequential), {})
    model = kind(
        [
            generation.Input((2,)),
            generation.layers.Dense(1, name="hidden"),
        ]
    )
    model.compile("sgd")

    with pytest.raises(errors.StepTensorError, match="compute_loss 0 times"):
        fetch(model, [name], A, ONE)
    assert int(model.optimizer.iterations.numpy()) == 0
    seen = fetch(
        model, ["hidden", "features", "gradients/global_norm", "own"], A, ONE
    )
    assert seen["hidden"].shape == (4, 1)


def test_a_name_that_is_not_there(generation: ModuleType) -> None:
    """The error lists the layers and asks what was meant; a KeyError."""
    model = small(generation)

    def look_up() -> Any:
        graph = v1.get_default_graph()
        return Fetches([graph.get_tensor_by_name("hidden/Relu:0").name])

    with pytest.raises(errors.UnknownNameError) as caught:
        model.fit(
            A, ONE, verbose=0, callbacks=[SessionRunHookCallback(look_up)]
        )

    assert isinstance(caught.value, KeyError)
    assert re.search(r"Did you mean .*'hidden'.*\?", str(caught.value))
    assert "'gradients/global_norm', " in str(caught.value)


def test_a_name_that_may_be_a_log(generation: ModuleType) -> None:
    """It is found in the first step not to be one."""
    with pytest.raises(
        errors.StepTensorError, match="Did you mean 'predictions'"
    ):
        fetch(small(generation), ["predictons"], A, ONE)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("evaluate", "gradients/global_norm"),
        ("predict", "labels"),
        ("predict", "loss"),
    ],
)
def test_names_that_a_phase_has_not(
    generation: ModuleType, method: str, name: str
) -> None:
    """Looking for them is v1's error of a name that is not there."""
    with pytest.raises(ValueError, match="does not exist"):
        fetch(small(generation), [name], A, ONE, method=method)


def test_what_is_computed_in_a_loop(generation: ModuleType) -> None:
    """It can't leave the loop, and the error says so."""

    class Loop(generation.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.inner = generation.layers.ReLU(name="inner")

        def call(self, inputs: Any) -> Any:
            return tf.map_fn(self.inner, inputs)

    model = generation.Sequential(
        [
            generation.Input((2,)),
            generation.layers.Dense(1),
            Loop(name="loop"),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    declared = {"loop/inner": tf.TensorSpec(None, "float32")}

    with pytest.raises(errors.StepTensorError, match="loop, a branch"):
        fetch(model, ["loop/inner"], A, ONE, declared)


def test_steps_that_nobody_asks_are_the_models_own(
    generation: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of every third step costs the others nothing."""
    model = small(generation)
    calls = []
    own = _step.StepTap.call_tapped

    def counted(self: Any, *args: Any) -> Any:
        calls.append(int(model.optimizer.iterations.numpy()))
        return own(self, *args)

    monkeypatch.setattr(_step.StepTap, "call_tapped", counted)
    hook = v1.train.LoggingTensorHook({"h": "hidden:0"}, every_n_iter=3)
    model.fit(
        np.zeros((7, 2), "float32"),
        np.zeros((7, 1), "float32"),
        batch_size=1,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
    )

    assert calls == [0, 3, 6]
