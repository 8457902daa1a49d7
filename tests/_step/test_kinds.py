# SPDX-License-Identifier: Apache-2.0
"""The kinds of step tensors: their names, their specs, and one kind more."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._keras import model_info
from final_ops_callback._keras.wrapping import Place
from final_ops_callback._keras.wrapping import unconverted
from final_ops_callback._step import kinds
from final_ops_callback._step.kind import Collected
from final_ops_callback._step.kind import ModelStep
from final_ops_callback._step.kind import Record
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.kind import part_of
from final_ops_callback._step.lookup import StepNames
from final_ops_callback._step.replicas import BATCH
from final_ops_callback._step.replicas import Share
from tests.flavors import keras
from tests.flavors import path_of

v1 = tf.compat.v1

X = np.arange(12, dtype="float32").reshape(4, 3)
Y = X[:, :1]


@pytest.fixture
def model() -> Any:
    """A model of two layers and one metric, whose metrics are built."""
    inputs = keras.Input((3,), name="image")
    hidden = keras.layers.Dense(2, name="hidden")(inputs)
    outputs = keras.layers.Dense(1, name="out")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def found(model: Any, phase: str, name: str) -> Any:
    return StepNames(model, phase).find(name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loss", kinds.Loss()),
        ("features", kinds.Data()),
        ("labels/1", kinds.Data("1", "labels")),
        ("sample_weight", kinds.Data(role="sample_weight")),
        ("predictions", kinds.Predictions()),
        ("image", kinds.Data("image")),
        ("hidden", kinds.LayerOutput(path="hidden")),
        ("layers/hidden", kinds.LayerOutput(path="hidden")),
        ("hidden/0", kinds.LayerOutput("0", "hidden")),
        ("gradients/global_norm", kinds.GradientNorm()),
        ("learning_rate", kinds.LearningRate()),
        ("logs/mae", kinds.Log("mae")),
        ("anything", kinds.Log("anything")),
        ("loss/Mean", None),
        ("global_step", None),
    ],
)
def test_what_a_name_means_in_training(
    model: Any, name: str, kind: Any
) -> None:
    """A name leads to one kind; two names of one tensor are equal."""
    assert found(model, "train", name) == kind


def test_a_gradient_has_the_name_of_its_variable(model: Any) -> None:
    """It is found by the path, and by the name of the twin."""
    path = path_of(model.layers[1].kernel)
    twins = {path: "old/name"}
    names = StepNames(model, "train", variable_names=twins)

    assert names.find(f"gradients/{path}") == kinds.Gradient(path)
    assert names.find("gradients/old/name") == kinds.Gradient(path)
    assert "gradients/old/name" in names.known()
    assert names.find(f"gradients/{path}/x") is None


@pytest.mark.parametrize("name", ["loss", "labels", "sample_weight"])
def test_what_predict_does_not_have(model: Any, name: str) -> None:
    """A name that is reserved is no layer, also where no step delivers it."""
    layer = keras.layers.Dense(1, name=name)
    other = keras.Sequential([keras.Input((3,)), layer])

    assert found(model, "predict", name) is None
    assert found(other, "predict", name) is None
    assert found(other, "predict", f"layers/{name}") == kinds.LayerOutput(
        path=name
    )


@pytest.mark.parametrize("phase", ["train", "test", "predict"])
def test_each_known_name_is_found_and_has_a_spec(
    model: Any, phase: str
) -> None:
    """What a step says it delivers, it delivers, or says how to declare it."""
    names = StepNames(model, phase)
    for name in names.known():
        assert names.find(name) is not None, name
        try:
            assert isinstance(names.spec(name), tf.TensorSpec), name
        except errors.StepTensorError:
            assert name == "labels"


def test_the_spec_of_each_kind(model: Any) -> None:
    """Shapes and dtypes are those of the model's own tensors."""
    kernel = model.layers[1].kernel
    names = StepNames(model, "train")
    specs = {
        "loss": ([], "float32"),
        "features": ([None, 3], "float32"),
        "predictions": ([None, 1], "float32"),
        "hidden": ([None, 2], "float32"),
        f"gradients/{path_of(kernel)}": (kernel.shape, "float32"),
        "gradients/global_norm": ([], "float32"),
        "logs/loss": ([], "float32"),
    }
    for name, (shape, dtype) in specs.items():
        assert names.spec(name) == tf.TensorSpec(shape, dtype), name
    for name in ("sample_weight", "mae", "logs/mae"):
        assert names.spec(name) == tf.TensorSpec(None, "float32"), name
    assert names.spec("hidden/Relu") is None


def test_labels_have_to_be_declared_until_a_batch_is_known(model: Any) -> None:
    """Nothing of a model tells what its labels look like."""
    names = StepNames(model, "train")
    with pytest.raises(errors.StepTensorError, match="are not known before"):
        names.spec("labels")
    names.learn((tf.TensorSpec([4, 3]), tf.TensorSpec([4, 1], tf.int64)))

    assert names.spec("labels") == tf.TensorSpec([4, 1], tf.int64)


def test_taken_leaves_out_what_is_beside_the_step(model: Any) -> None:
    """Logs and the learning rate are not outputs of the compiled step."""
    names = StepNames(model, "train")

    assert names.taken(["mae", "learning_rate", "logs/loss"]) == {}
    assert names.taken(["loss", "mae"]) == {"loss": kinds.Loss()}


@pytest.mark.parametrize(
    ("part", "expected"),
    [("a/1", 2), ("b", 3), ("", None), ("a", None)],
)
def test_a_part_is_found_by_its_path(part: str, expected: int | None) -> None:
    """Keys and indices lead to a leaf, and to nothing else."""
    assert part_of({"a": [1, 2], "b": 3}, part) == expected


@pytest.mark.parametrize(
    ("part", "expected"), [("first", 1), ("second", 2), ("third", None)]
)
def test_a_part_is_found_by_the_name_of_an_input(
    part: str, expected: int | None
) -> None:
    """The names of the inputs stand for their places."""
    assert part_of([1, 2], part, ["first", "second"]) == expected


# A kind that somebody adds


@dataclasses.dataclass(frozen=True)
class LayerInput(TakenTensor):
    """What a layer gets: `inputs/hidden`."""

    path: str = ""

    @classmethod
    def names(cls, step: ModelStep) -> Iterable[str]:
        return [f"inputs/{path}" for path in step.layers]

    @classmethod
    def find(cls, step: ModelStep, name: str) -> Any:
        path = name.removeprefix("inputs/")
        return cls(path) if name in cls.names(step) else None

    def spec(self, step: ModelStep, name: str) -> tf.TensorSpec | None:
        whole = model_info.symbolic(step.layers[self.path], "input")
        return step.symbolic_spec(whole)

    def install(self, step: ModelStep, record: Record) -> Iterable[Place]:
        @unconverted
        def note(inputs: Any) -> None:
            collected = record()
            if collected is not None:
                collected.noted[self] = inputs

        def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
            def noting_build(inputs: Any, *args: Any, **kwargs: Any) -> Any:
                note(inputs)
                return method(inputs, *args, **kwargs)

            return noting_build

        yield step.layers[self.path], "call", wrap

    def collect(self, name: str, collected: Collected) -> Share:
        if self not in collected.noted:
            raise collected.error(name, f"nothing calls {self.path!r}", "Call.")
        return collected.share(name, collected.noted[self], BATCH)


class Fetches(v1.train.SessionRunHook):
    """Fetches one name in each step."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.seen: list[Any] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs([f"{name}:0" for name in self.names])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.seen.append(run_values.results)


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
def test_a_new_kind_needs_a_class_and_a_row(
    model: Any, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kind that stands in `KINDS` is delivered like those that are there."""
    monkeypatch.setattr(kinds, "KINDS", (LayerInput, *kinds.KINDS))
    hook = Fetches("inputs/out", "inputs/hidden", "features")
    layer = model.get_layer("hidden")
    expected = X @ layer.kernel.numpy() + layer.bias.numpy()
    args = (X,) if call == "predict" else (X, Y)
    getattr(model, call)(
        *args,
        batch_size=4,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
        **({"shuffle": False} if call == "fit" else {}),
    )
    [(of_out, of_hidden, features)] = hook.seen

    np.testing.assert_allclose(of_out, expected, rtol=1e-5)
    np.testing.assert_array_equal(of_hidden, X)
    np.testing.assert_array_equal(features, X)


def test_a_name_of_a_kind_that_is_not_there(model: Any) -> None:
    """Without the row in `KINDS`, the same name is not found."""
    with pytest.raises(ValueError, match="inputs/out:0 cannot be"):
        model.fit(
            X,
            Y,
            verbose=0,
            callbacks=[SessionRunHookCallback(Fetches("inputs/out"))],
        )
