# SPDX-License-Identifier: Apache-2.0
"""Less simple models have step tensors, too: names, specs, gradients."""

from collections.abc import Iterable
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from tests.flavors import FLAVORS

pytestmark = pytest.mark.slow

v1 = tf.compat.v1

ROWS = np.random.RandomState(0)
A, ONE = (ROWS.normal(size=(4, n)).astype("float32") for n in (2, 1))


@pytest.fixture(params=FLAVORS.values(), ids=FLAVORS.keys())
def flavor(request: pytest.FixtureRequest) -> ModuleType:
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


def small(flavor: ModuleType) -> Any:
    model = flavor.Sequential(
        [
            flavor.Input((2,), name="image"),
            flavor.layers.Dense(1, name="hidden"),
        ],
        name="small",
    )
    model.compile("sgd", "mse")
    return model


def test_a_name_that_is_taken(flavor: ModuleType) -> None:
    """A layer called `loss` has a longer name, too."""
    model = flavor.Sequential(
        [
            flavor.Input((2,)),
            flavor.layers.Dense(1, name="loss"),
            flavor.layers.Flatten(name="my_layer"),
        ]
    )
    model.compile("sgd", "mse")
    seen = fetch(model, ["loss", "layers/loss", "my_layer"], A, ONE)

    assert seen["loss"].shape == ()
    np.testing.assert_array_equal(seen["layers/loss"], seen["my_layer"])


def test_a_scaled_loss_is_scaled_back(flavor: ModuleType) -> None:
    """Gradients are those of the loss, not of the loss times 1,024."""
    plain, scaled = small(flavor), small(flavor)
    scaled.set_weights(plain.get_weights())
    if hasattr(flavor, "ops"):
        optimizer = flavor.optimizers.LossScaleOptimizer(
            flavor.optimizers.SGD(0.01), initial_scale=1024.0
        )
    else:
        optimizer = flavor.mixed_precision.LossScaleOptimizer(
            flavor.optimizers.SGD(0.01), initial_scale=1024.0
        )
    scaled.compile(optimizer, "mse")
    norms = [
        fetch(m, ["gradients/global_norm"], A, ONE)["gradients/global_norm"]
        for m in (plain, scaled)
    ]

    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-5)


def test_the_dense_gradient_of_an_embedding(flavor: ModuleType) -> None:
    """A gradient of slices comes as a dense tensor."""
    model = flavor.Sequential(
        [
            flavor.Input((2,), dtype="int32"),
            flavor.layers.Embedding(5, 3, name="table"),
            flavor.layers.Flatten(),
            flavor.layers.Dense(1),
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


@pytest.mark.parametrize(
    "spec", [tf.TensorSpec([None, 1], "int64"), tf.TensorSpec([None])]
)
def test_labels_declared_as_something_else(
    flavor: ModuleType, spec: tf.TensorSpec
) -> None:
    """The error for a wrong shape or a narrow dtype shows the right one."""
    with pytest.raises(
        errors.StepTensorError, match=r'tf.TensorSpec\(\[None, 1\], "float32"'
    ):
        fetch(small(flavor), ["labels"], A, ONE, {"labels": spec})


def test_a_model_that_is_not_built_knows_its_batch(
    flavor: ModuleType,
) -> None:
    """Its hooks begin in the first step: then the data is known."""
    model = flavor.Sequential([flavor.layers.Dense(1, name="hidden")])
    model.compile("sgd", "mse")
    seen = fetch(model, ["features", "labels"], A, ONE, shuffle=False)

    np.testing.assert_array_equal(seen["features"], A)
    np.testing.assert_array_equal(seen["labels"], ONE)


def test_a_model_with_a_call_of_its_own(flavor: ModuleType) -> None:
    """Tensors that the model does not know have to be declared, layers too."""

    class Own(flavor.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = flavor.layers.Dense(1, name="hidden")

        def call(self, inputs: Any) -> Any:
            return self.hidden(inputs)

    model = Own()
    model.compile("sgd", "mse")
    with pytest.raises(errors.StepTensorError, match=r'\{"hidden": tf\.Tensor'):
        fetch(model, ["hidden"], A, ONE)
    declared = {"hidden": tf.TensorSpec([None, 1], "float32")}

    assert fetch(model, ["hidden"], A, ONE, declared)["hidden"].shape == (4, 1)


def test_what_is_computed_in_a_loop(flavor: ModuleType) -> None:
    """A tensor in a loop can't be fetched, and the error says so."""

    class Loop(flavor.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.inner = flavor.layers.ReLU(name="inner")

        def call(self, inputs: Any) -> Any:
            return tf.map_fn(self.inner, inputs)

    model = flavor.Sequential(
        [
            flavor.Input((2,)),
            flavor.layers.Dense(1),
            Loop(name="loop"),
        ]
    )
    model.compile("sgd", "mse", jit_compile=False)
    declared = {"loop/inner": tf.TensorSpec(None, "float32")}

    with pytest.raises(errors.StepTensorError, match="loop, a branch"):
        fetch(model, ["loop/inner"], A, ONE, declared)


def test_a_layer_that_is_called_twice(flavor: ModuleType) -> None:
    """The value of a layer that is called twice is its last output."""
    shared = flavor.layers.Dense(2, name="shared")
    inputs = flavor.Input((2,))
    first = shared(inputs)
    model = flavor.Model(inputs, shared(first))
    model.compile("sgd", "mse")
    labels = np.zeros((4, 2), "float32")
    seen = fetch(model, ["shared", "predictions"], A, labels)

    np.testing.assert_array_equal(seen["shared"], seen["predictions"])
