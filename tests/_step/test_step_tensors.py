# SPDX-License-Identifier: Apache-2.0
"""Step tensors by name where v1 has no counterpart: errors, Keras, leftovers.

What a hook sees of a plain step is compared with v1 itself in
tests/contract/test_inside_the_step.py.
"""

import gc
import os
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._step import instrumented
from final_ops_callback._step import step_function
from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

# Four batches of two.
FEATURES = np.random.RandomState(0).normal(size=(8, 3)).astype("float32")
LABELS = FEATURES[:, :1] * 2 + 1
LABELS_SPEC = tf.TensorSpec([None, 1], "float32")
DECLARED = {"labels": LABELS_SPEC}
KERNELS = ["gradients/hidden/kernel", "gradients/out/kernel"]


class Sees(v1.train.SessionRunHook):
    """Keeps what it fetches by name, in every `every`-th step."""

    def __init__(self, *names: str, every: int = 1) -> None:
        self.names = names
        self.every = every
        self.steps = 0
        self.seen: list[dict[str, Any]] = []

    def begin(self) -> None:
        graph = v1.get_default_graph()
        self.tensors = {
            name: graph.get_tensor_by_name(f"{name}:0") for name in self.names
        }

    def before_run(self, run_context: Any) -> Any:
        self.steps += 1
        if self.steps % self.every:
            return None
        return v1.train.SessionRunArgs(self.tensors)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if run_values.results is not None:
            self.seen.append(run_values.results)

    def all(self, name: str) -> list[Any]:
        return [each[name] for each in self.seen]


class Raises(Sees):
    """Raises in one of its methods in the second step."""

    def __init__(self, method: str, *names: str) -> None:
        super().__init__(*names)
        self.method = method

    def before_run(self, run_context: Any) -> Any:
        found = super().before_run(run_context)
        if self.method == "before_run" and self.steps == 2:
            raise ZeroDivisionError
        return found

    def after_run(self, run_context: Any, run_values: Any) -> None:
        super().after_run(run_context, run_values)
        if self.method == "after_run" and self.steps == 2:
            raise ZeroDivisionError


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
    """Each Keras package, in one process."""
    return request.param


@pytest.fixture
def model(flavor: ModuleType) -> Any:
    """A built model of two layers."""
    return built(flavor)


def built(
    flavor: ModuleType, kind: Any = None, seed: int = 0, **options: Any
) -> Any:
    flavor.utils.set_random_seed(seed)
    inputs = flavor.Input((3,), name="image")
    hidden = flavor.layers.Dense(4, activation="tanh", name="hidden")
    outputs = flavor.layers.Dense(1, name="out")(hidden(inputs))
    model = (kind or flavor.Model)(inputs, outputs)
    compiled(model, flavor, **options)
    return model


def compiled(model: Any, flavor: ModuleType, **options: Any) -> None:
    options = {"jit_compile": False, "loss": "mse"} | options
    model.compile(flavor.optimizers.SGD(0.1), **options)


def fit(
    model: Any, hooks: Any = (), labels: Any = LABELS, **options: Any
) -> None:
    declared = options.pop("step_tensors", DECLARED)
    callbacks = [SessionRunHookCallback(hooks, step_tensors=declared)]
    options = {"batch_size": 2, "shuffle": False, "verbose": 0} | options
    model.fit(
        FEATURES,
        labels,
        callbacks=callbacks if hooks else [],
        **options,
    )


def evaluate(model: Any, hooks: Any) -> None:
    callback = SessionRunHookCallback(hooks, step_tensors=DECLARED)
    model.evaluate(
        FEATURES, LABELS, batch_size=2, verbose=0, callbacks=[callback]
    )


def predict(model: Any, hooks: Any, data: Any = FEATURES, **more: Any) -> Any:
    callback = SessionRunHookCallback(hooks, **more)
    return model.predict(data, batch_size=2, verbose=0, callbacks=[callback])


def batches(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, 2, array.shape[-1])


def assert_untouched(model: Any, weights: list[np.ndarray]) -> None:
    """Nothing has updated the model."""
    assert int(model.optimizer.iterations.numpy()) == 0
    for before, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, now)


# Errors


def test_labels_have_to_be_declared(model: Any) -> None:
    """The error at begin shows the line that declares them."""
    weights = model.get_weights()
    hook = Sees("labels")
    with pytest.raises(errors.StepTensorError) as caught:
        fit(model, hook, step_tensors={})

    assert 'step_tensors={"labels": tf.TensorSpec(' in str(caught.value)
    assert hook.steps == 0
    assert_untouched(model, weights)


def test_the_line_of_the_error_works(model: Any) -> None:
    """The line that the error shows, pasted, lets the hook run."""
    with pytest.raises(errors.StepTensorError) as caught:
        fit(model, Sees("labels"), step_tensors={})
    text = str(caught.value)
    start = text.index("SessionRunHookCallback(")
    line = text[start : text.index("})", start) + 2]
    hook = Sees("labels")
    names = {
        "hooks": hook,
        "tf": tf,
        "SessionRunHookCallback": SessionRunHookCallback,
    }
    callback = eval(line, names)

    model.fit(FEATURES, LABELS, batch_size=2, verbose=0, callbacks=[callback])

    assert len(hook.seen) == 4


@pytest.mark.parametrize("name", ["hidden/Relu", "hiden/Relu", "gradients/x"])
def test_a_path_that_is_not_there(model: Any, name: str) -> None:
    """An unknown path is an error at begin, which lists the known ones."""
    weights = model.get_weights()
    with pytest.raises(errors.UnknownNameError) as caught:
        fit(model, Sees(name))

    assert isinstance(caught.value, KeyError)
    text = str(caught.value)
    for known in ("'hidden'", "'out'", "'loss'", f"'{KERNELS[0]}'"):
        assert known in text
    if name.startswith("hi"):
        asked = text.partition("Did you mean ")[2].partition("?")[0]
        assert "'hidden'" in asked.split(" or ")
    assert_untouched(model, weights)


def test_a_misspelled_layer_in_predict(model: Any) -> None:
    """In predict a name can't be a log: an unknown one is an error at begin."""
    with pytest.raises(errors.UnknownNameError) as caught:
        predict(model, Sees("hiden"))

    text = str(caught.value)
    assert "Did you mean 'hidden'?" in text
    assert "'out'" in text
    assert "'loss'" not in text


def test_a_misspelled_layer_that_may_be_a_log(model: Any) -> None:
    """Such a name is an error at the first step, which lists the others."""
    hook = Sees("hiden")
    with pytest.raises(errors.StepTensorError) as caught:
        fit(model, hook)

    text = str(caught.value)
    assert "Did you mean 'hidden'?" in text
    for known in ("'hidden'", "'out'", "'loss'", f"'{KERNELS[0]}'"):
        assert known in text
    assert (hook.steps, hook.seen) == (1, [])


@pytest.mark.parametrize("name", ["loss", "labels", "gradients/out/bias"])
def test_what_predict_has_not(model: Any, name: str) -> None:
    """Under predict there is no loss, no label and no gradient."""
    with pytest.raises(errors.UnknownNameError):
        predict(model, Sees(name))


def without_loss(flavor: ModuleType) -> Any:
    class WithoutLoss(flavor.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(self(x, training=True) - y))
            weights = self.trainable_variables
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, weights), weights, strict=True)
            )
            return {"loss": loss}

    return WithoutLoss


@pytest.mark.parametrize("name", ["loss", "predictions"])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_step_that_computes_its_loss_by_itself(
    flavor: ModuleType, run_eagerly: bool, name: str
) -> None:
    """Such a loss is unknown: an error, in a trace before any update."""
    kind = without_loss(flavor)
    model = built(flavor, kind, run_eagerly=run_eagerly)
    weights = model.get_weights()
    with pytest.raises(errors.StepTensorError, match="compute_loss"):
        fit(model, Sees(name))

    if not run_eagerly:  # else the step has run when it turns out
        assert_untouched(model, weights)


def test_the_rest_of_such_a_step_is_there(flavor: ModuleType) -> None:
    """Layers, data and gradients are known without `compute_loss`."""
    model = built(flavor, without_loss(flavor))
    hook = Sees("features", "labels", "hidden", *KERNELS, "logs/loss")
    fit(model, hook)

    np.testing.assert_array_equal(hook.all("features"), batches(FEATURES))
    np.testing.assert_array_equal(hook.all("labels"), batches(LABELS))
    assert len(hook.all(KERNELS[0])) == 4


# Features that Keras has and v1 did not have


def test_steps_per_execution(flavor: ModuleType) -> None:
    """The values are those of the last step of an execution."""
    names = ["features", "labels", "hidden", "predictions", "loss", *KERNELS]
    single, double = Sees(*names), Sees(*names)
    fit(built(flavor), single)
    fit(built(flavor, steps_per_execution=2), double)

    assert len(double.seen) == 2
    for name in names:
        for expected, found in zip(
            single.all(name)[1::2], double.all(name), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_steps_per_execution_in_predict(flavor: ModuleType) -> None:
    """The batches of an execution are concatenated."""
    model = built(flavor, steps_per_execution=2)
    hook = Sees("features", "predictions", "hidden")
    predictions = predict(model, hook)

    found = np.concatenate(hook.all("predictions"))
    np.testing.assert_array_equal(found, predictions)
    features = np.concatenate(hook.all("features"))
    np.testing.assert_array_equal(features, FEATURES)
    hidden = model.get_layer("hidden")(FEATURES)
    np.testing.assert_allclose(
        np.concatenate(hook.all("hidden")), hidden, rtol=1e-5
    )


def test_mixed_precision(flavor: ModuleType) -> None:
    """A layer's output has the dtype in which it is computed."""
    inputs = flavor.Input((3,), name="image")
    hidden = flavor.layers.Dense(4, dtype="mixed_float16", name="hidden")
    outputs = flavor.layers.Dense(1, name="out")(hidden(inputs))
    model = flavor.Model(inputs, outputs)
    compiled(model, flavor)
    kernel = model.get_weights()[0]
    hook = Sees("hidden", "predictions", "loss", *KERNELS)
    fit(model, hook)

    assert hook.tensors["hidden"].dtype == tf.float16
    assert {each.dtype for each in hook.all("hidden")} == {np.dtype("float16")}
    assert hook.seen[0]["predictions"].dtype == np.float32
    assert hook.seen[0][KERNELS[0]].dtype == np.float32
    np.testing.assert_allclose(
        hook.seen[0]["hidden"], FEATURES[:2] @ kernel, rtol=1e-2, atol=1e-2
    )


def parts_model(flavor: ModuleType, kind: str) -> Any:
    """Returns a model of two inputs and two outputs."""
    names = ["left", "right"]
    inputs = [flavor.Input((3,), name=name) for name in names]
    outputs = [
        flavor.layers.Dense(units, name=f"out_{name}")(tensor)
        for units, name, tensor in zip((1, 2), names, inputs, strict=True)
    ]
    if kind == "dict":
        inputs = dict(zip(names, inputs, strict=True))
        outputs = dict(zip(("a", "b"), outputs, strict=True))
    model = flavor.Model(inputs, outputs)
    losses = {"a": "mse", "b": "mse"} if kind == "dict" else ["mse", "mse"]
    compiled(model, flavor, loss=losses)
    return model


@pytest.mark.parametrize("kind", ["dict", "list"])
def test_parts_of_structures(flavor: ModuleType, kind: str) -> None:
    """Each part of a structure has its path as a name."""
    model = parts_model(flavor, kind)
    x: Any = [FEATURES, -FEATURES]
    y: Any = [LABELS, np.tile(LABELS, 2)]
    ins, outs = ["0", "1"], ["0", "1"]
    if kind == "dict":
        ins, outs = ["left", "right"], ["a", "b"]
        x, y = (dict(zip(k, v, strict=True)) for k, v in ((ins, x), (outs, y)))
    names = [f"features/{part}" for part in ins]
    names += [f"{part}/{o}" for part in ("labels", "predictions") for o in outs]
    names += ["left", "right", "out_left", "out_right"]
    specs = {
        f"labels/{part}": tf.TensorSpec([None, units], "float32")
        for units, part in enumerate(outs, 1)
    }
    hook = Sees(*names)
    data = tf.data.Dataset.from_tensor_slices(
        (x, y) if kind == "dict" else (tuple(x), tuple(y))
    ).batch(2)
    model.fit(
        data,
        shuffle=False,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook, step_tensors=specs)],
    )

    for name in (f"features/{ins[0]}", "left"):
        np.testing.assert_array_equal(hook.all(name), batches(FEATURES))
    for name in (f"features/{ins[1]}", "right"):
        np.testing.assert_array_equal(hook.all(name), batches(-FEATURES))
    for part, layer in zip(outs, ("out_left", "out_right"), strict=True):
        np.testing.assert_array_equal(
            hook.all(f"predictions/{part}"), hook.all(layer)
        )
    np.testing.assert_array_equal(
        hook.all(f"labels/{outs[0]}"), batches(LABELS)
    )
    assert hook.seen[0][f"labels/{outs[1]}"].shape == (2, 2)


def test_a_part_that_is_not_there(flavor: ModuleType) -> None:
    """The error lists the parts."""
    model = parts_model(flavor, "dict")
    with pytest.raises(errors.UnknownNameError, match="predictions/a"):
        predict(
            model,
            Sees("predictions/c"),
            {"left": FEATURES, "right": FEATURES},
        )


def test_sample_weight(model: Any) -> None:
    """The sample weight is that of the batch."""
    weights = np.arange(8, dtype="float32")
    hook = Sees("sample_weight", "loss", "predictions")
    fit(model, hook, sample_weight=weights)

    found = np.array(hook.all("sample_weight")).reshape(4, 2)
    np.testing.assert_array_equal(found, weights.reshape(4, 2))
    for each, y, w in zip(hook.seen, batches(LABELS), found, strict=True):
        squares = (each["predictions"] - y)[:, 0] ** 2
        np.testing.assert_allclose(each["loss"], np.mean(squares * w), 1e-5)


def test_no_sample_weight(model: Any) -> None:
    """Data without weights is an error of the first step, before any update."""
    weights = model.get_weights()
    with pytest.raises(errors.StepTensorError, match="sample_weight"):
        fit(model, Sees("sample_weight"))

    assert_untouched(model, weights)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_dropout_is_that_of_the_step(
    flavor: ModuleType, run_eagerly: bool
) -> None:
    """There is no second forward pass: the mask is the step's own."""
    inputs = flavor.Input((3,), name="image")
    hidden = flavor.layers.Dense(64, name="hidden")(inputs)
    outputs = flavor.layers.Dropout(0.5, name="drop")(hidden)
    model = flavor.Model(inputs, outputs)
    compiled(model, flavor, run_eagerly=run_eagerly)
    labels = np.zeros((8, 64), "float32")
    hook = Sees("drop", "predictions", "hidden", "loss")
    fit(model, hook, labels)

    for each in hook.seen:
        np.testing.assert_array_equal(each["drop"], each["predictions"])
        kept = each["drop"] != 0
        assert 0 < kept.mean() < 1
        np.testing.assert_allclose(
            each["drop"], np.where(kept, each["hidden"] * 2, 0), rtol=1e-5
        )
        np.testing.assert_allclose(
            each["loss"], np.mean(each["drop"] ** 2), rtol=1e-5
        )
    masks = [each["drop"] != 0 for each in hook.seen]
    assert not np.array_equal(masks[0], masks[1])


def test_a_layer_inside_of_a_layer(flavor: ModuleType) -> None:
    """A layer inside a layer is found by its path."""
    layers = flavor.layers
    inner = flavor.Sequential(
        [flavor.Input((3,)), layers.Dense(4, name="inner")], name="outer"
    )
    inputs = flavor.Input((3,), name="image")
    model = flavor.Model(inputs, layers.Dense(1, name="out")(inner(inputs)))
    compiled(model, flavor)
    hook = Sees("outer/inner", "outer")
    fit(model, hook)

    np.testing.assert_array_equal(hook.all("outer/inner"), hook.all("outer"))
    assert hook.seen[0]["outer"].shape == (2, 4)


def test_names_in_evaluate(model: Any) -> None:
    """In evaluate, all names but the gradients exist."""
    names = ["features", "image", "labels", "predictions", "hidden", "out"]
    hook = Sees(*names, "loss")
    evaluate(model, hook)

    np.testing.assert_array_equal(hook.all("features"), batches(FEATURES))
    np.testing.assert_array_equal(hook.all("image"), batches(FEATURES))
    np.testing.assert_array_equal(hook.all("labels"), batches(LABELS))
    np.testing.assert_array_equal(hook.all("out"), hook.all("predictions"))
    for each, x, y in zip(
        hook.seen, batches(FEATURES), batches(LABELS), strict=True
    ):
        hidden = model.get_layer("hidden")(x)
        np.testing.assert_allclose(each["hidden"], hidden, rtol=1e-5)
        squares = (each["predictions"] - y) ** 2
        np.testing.assert_allclose(each["loss"], np.mean(squares), rtol=1e-5)


def test_names_in_predict(model: Any) -> None:
    """In predict, the features, the predictions and the layers exist."""
    hook = Sees("features", "image", "predictions", "hidden", "out")
    predictions = predict(model, hook)

    np.testing.assert_array_equal(hook.all("features"), batches(FEATURES))
    np.testing.assert_array_equal(hook.all("image"), batches(FEATURES))
    np.testing.assert_array_equal(hook.all("predictions"), batches(predictions))
    np.testing.assert_array_equal(hook.all("out"), batches(predictions))
    hidden = model.get_layer("hidden")(FEATURES)
    np.testing.assert_allclose(
        hook.all("hidden"), batches(np.array(hidden)), rtol=1e-5
    )


# Several devices

MIRRORED = """
    import numpy as np
    import tensorflow as tf
    import {package} as flavor
    from tests._step import test_step_tensors as tests

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    names = ["features", "image", "labels", "predictions", "hidden", "loss"]
    trained = [
        *tests.KERNELS,
        "gradients/hidden/bias",
        "gradients/out/bias",
        "gradients/global_norm",
    ]
    one = tests.built(flavor)
    with strategy.scope():
        two = tests.built(flavor)
    two.set_weights(one.get_weights())

    def same(first, second, names):
        assert len(first.seen) == len(second.seen) == 2
        for name in names:
            for a, b in zip(first.all(name), second.all(name)):
                np.testing.assert_allclose(
                    b, a, rtol=1e-5, atol=1e-5, err_msg=name
                )

    def hooks(*more):
        return tests.Sees(*names, *more), tests.Sees(*names, *more)

    for options in ({{}}, {{"epochs": 1}}):
        first, second = hooks(*trained)
        tests.fit(one, first, batch_size=4)
        tests.fit(two, second, batch_size=4)
        same(first, second, names + trained)
        found = np.concatenate(second.all("features"))
        np.testing.assert_array_equal(found, tests.FEATURES)
    first, second = hooks()
    declared = tests.DECLARED
    for model, hook in ((one, first), (two, second)):
        callback = tests.SessionRunHookCallback(hook, step_tensors=declared)
        data = tests.FEATURES, tests.LABELS
        model.evaluate(*data, batch_size=4, verbose=0, callbacks=[callback])
    same(first, second, names)
    names = ["features", "predictions", "hidden"]
    first, second = hooks()
    for model, hook in ((one, first), (two, second)):
        callback = tests.SessionRunHookCallback(hook)
        model.predict(
            tests.FEATURES, batch_size=4, verbose=0, callbacks=[callback]
        )
    same(first, second, names)
    for a, b in zip(one.get_weights(), two.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    print("all the same")
"""


@pytest.mark.parametrize("package", FLAVORS)
def test_replicas_are_joined(package: str) -> None:
    """Two replicas deliver what one device does, in their order."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(MIRRORED.format(package=package)),
        ],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=root,
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "all the same" in done.stdout


# What is left behind


def callables(model: Any) -> dict[str, Any]:
    """Returns the callable attributes of a model's parts."""
    parts = {"model": model, "optimizer": model.optimizer}
    parts |= {layer.name: layer for layer in model.layers}
    return {
        f"{name}.{key}": value
        for name, part in parts.items()
        for key, value in vars(part).items()
        if callable(value)
    }


ALL = ["features", "labels", "predictions", "hidden", "loss", *KERNELS]


def assert_left_alone(model: Any, before: dict[str, Any]) -> None:
    """The model is as it was, with its own function, and trains on."""
    after = callables(model)
    assert after.keys() == before.keys()
    history = {key for key in after if key.endswith(".history")}
    for key in after.keys() - history:
        assert after[key] is before[key], key
    assert type(model.train_function).__module__ != step_function.__name__
    weights = model.get_weights()
    fit(model)
    assert model.train_function is before["model.train_function"]
    assert not np.array_equal(weights[0], model.get_weights()[0])


def test_nothing_is_left_on_the_model(model: Any) -> None:
    """The model has no new attribute, and the same function."""
    fit(model)
    before = callables(model)
    hook = Sees(*ALL, "gradients/global_norm")
    fit(model, hook, epochs=2)

    assert len(hook.seen) == 8
    assert_left_alone(model, before)


def test_nothing_is_left_by_a_first_fit(flavor: ModuleType) -> None:
    """A model that never ran before has what any other has after it."""
    model, other = built(flavor), built(flavor)
    fit(model, Sees(*ALL))
    fit(other)

    assert callables(model).keys() == callables(other).keys()
    assert type(model.train_function) is type(other.train_function)


@pytest.mark.parametrize("method", ["before_run", "after_run"])
def test_nothing_is_left_by_a_hook_that_raises(model: Any, method: str) -> None:
    """The model is left alone even by an error in the middle of a fit."""
    fit(model)
    before = callables(model)
    hook = Raises(method, *ALL)
    with pytest.raises(ZeroDivisionError):
        fit(model, hook)

    assert hook.steps == 2
    assert_left_alone(model, before)


def test_nothing_is_left_by_a_step_that_is_refused(
    flavor: ModuleType,
) -> None:
    """After a failed trace, the model has its own function."""
    model = built(flavor, without_loss(flavor))
    fit(model)
    before = callables(model)
    with pytest.raises(errors.StepTensorError):
        fit(model, Sees("loss"))

    assert_left_alone(model, before)


def test_nothing_is_left_by_evaluate_and_predict(model: Any) -> None:
    """The model has no more attributes than without hooks."""
    evaluate(model, Sees("hidden"))
    predict(model, Sees("hidden"))
    before = callables(model)
    evaluate(model, Sees("labels", "loss", "hidden"))
    predict(model, Sees("features", "predictions"))
    after = callables(model)

    assert after.keys() == before.keys()
    for name in ("model.test_function", "model.predict_function"):
        assert after[name] is before[name]
        assert type(after[name]).__module__ != step_function.__name__


@pytest.mark.parametrize("drives", [fit, evaluate, predict])
@pytest.mark.parametrize("fails", [False, True])
def test_hooks_are_let_go(
    model: Any, drives: Callable[..., Any], fails: bool
) -> None:
    """Nothing of the model refers to a hook of a run that is over."""
    hook = Raises("after_run" if fails else "never", "hidden", "predictions")
    if fails:
        with pytest.raises(ZeroDivisionError):
            drives(model, hook)
    else:
        drives(model, hook)
    assert hook.steps >= 2
    ref = weakref.ref(hook)

    del hook
    gc.collect()

    assert ref() is None


@pytest.fixture
def tapped(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The names of each call of a function with extra outputs."""
    calls: list[set[str]] = []
    own = instrumented.InstrumentedStep.call

    def counting(
        self: Any, function: Any, data: Any, sources: Any, *others: Any
    ) -> Any:
        calls.append(set(sources))
        return own(self, function, data, sources, *others)

    monkeypatch.setattr(instrumented.InstrumentedStep, "call", counting)
    return calls


def test_who_fetches_nothing_gets_the_plain_function(
    model: Any, tapped: list[set[str]]
) -> None:
    """Steps without a fetch run the model's own function."""
    fit(model)
    own = model.train_function
    hook = Sees("hidden", "loss", every=3)
    fit(model, hook, epochs=3)

    assert len(hook.seen) == 4
    assert tapped == [{"hidden", "loss"}] * 4
    assert model.train_function is own


def test_what_needs_no_step_gets_the_plain_function(
    model: Any, tapped: list[set[str]]
) -> None:
    """Variables, the step and the logs need no extra outputs."""
    hook = Sees("global_step", "learning_rate", "logs/loss")
    fit(model, hook)

    assert len(hook.seen) == 4
    assert tapped == []


def test_one_trace_serves_all_steps(flavor: ModuleType) -> None:
    """A hook that asks now and then costs no trace each time."""
    traces: list[int] = []

    class Counts(flavor.Model):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            traces.append(1)
            return super().compute_loss(*args, **kwargs)

    model = built(flavor, Counts)
    fit(model)
    traces.clear()
    hook = Sees("hidden", every=2)
    fit(model, [hook, Sees("features", every=3)], epochs=3)

    assert len(hook.seen) == 6
    # A step whose class is the user's own may draw random numbers: it has one
    # function, with all that the hooks look up when they begin.
    assert len(traces) == 1


def test_many_traces_are_said_once(
    model: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A step that is compiled again and again is warned of, with a way out."""

    class Changes(v1.train.SessionRunHook):
        names = ("loss", "features", "predictions", "labels", "hidden")
        step = 0

        def before_run(self, run_context: Any) -> Any:
            name = self.names[self.step % len(self.names)]
            self.step += 1
            return v1.train.SessionRunArgs(f"{name}:0")

    fit(model, Changes(), epochs=6)

    assert caplog.text.count("was compiled 4 times") == 1


def test_gradients_of_layers_of_the_same_path(flavor: ModuleType) -> None:
    """Each variable has its own, under the name of its twin."""

    def part(name: str) -> Any:
        inputs = flavor.Input((3,))
        outputs = flavor.layers.Dense(1, name="same")(inputs)
        return flavor.Model(inputs, outputs, name=name)

    flavor.utils.set_random_seed(0)
    one, other = part("one"), part("other")
    inputs = flavor.Input((3,))
    added = flavor.layers.Add()([one(inputs), 2.0 * other(inputs)])
    model = flavor.Model(inputs, added)
    model.compile(flavor.optimizers.SGD(0.0), "mse", jit_compile=False)
    weights = model.trainable_weights
    with tf.GradientTape() as tape:
        error = model(FEATURES[:2]) - LABELS[:2].reshape(-1, 1)
        loss = tf.reduce_mean(error**2)
    tensors = [getattr(w, "value", w) for w in weights]
    tensors = [
        w if isinstance(w, tf.Variable) else v
        for w, v in zip(tensors, weights, strict=True)
    ]
    expected = tape.gradient(loss, tensors)

    class Gradients(v1.train.SessionRunHook):
        def begin(self) -> None:
            names = [v.op.name for v in v1.trainable_variables()]
            self.fetches = [f"gradients/{name}:0" for name in names]
            self.fetches.append("gradients/global_norm:0")

        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(self.fetches)

        def after_run(self, run_context: Any, run_values: Any) -> None:
            *self.gradients, self.norm = run_values.results

    hook = Gradients()
    model.fit(
        FEATURES[:2],
        LABELS[:2],
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
    )

    for gradient, wanted in zip(hook.gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5)
    np.testing.assert_allclose(
        hook.norm, tf.linalg.global_norm(expected), rtol=1e-5
    )


def test_a_layer_that_is_called_like_a_metric(flavor: ModuleType) -> None:
    """The name refers to the metric; the layer is found by its path."""
    inputs = flavor.Input((3,))
    hidden = flavor.layers.Dense(2, name="mae")(inputs)
    model = flavor.Model(inputs, flavor.layers.Dense(1)(hidden))
    model.compile("sgd", "mse", metrics=["mae"], jit_compile=False)

    class Both(v1.train.SessionRunHook):
        def before_run(self, run_context: Any) -> Any:
            return v1.train.SessionRunArgs(["mae:0", "layers/mae:0"])

        def after_run(self, run_context: Any, run_values: Any) -> None:
            self.log, self.output = run_values.results

    hook = Both()
    history = model.fit(
        FEATURES,
        LABELS,
        batch_size=len(FEATURES),
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
    ).history

    np.testing.assert_allclose(hook.log, history["mae"][0], rtol=1e-6)
    assert hook.output.shape == (len(FEATURES), 2)
