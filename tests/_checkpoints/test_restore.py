# SPDX-License-Identifier: Apache-2.0
"""Keras trains on from a checkpoint of v1 as v1 itself does."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import restore_v1
from final_ops_callback import save_v1
from final_ops_callback._checkpoints.model_state import ModelState
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import BackendError
from final_ops_callback.errors import CheckpointError
from tests._checkpoints import models
from tests._checkpoints import training
from tests._checkpoints.training import OPTIMIZERS
from tests._checkpoints.training import PAIRS
from tests._checkpoints.training import TRAIN
from tests._checkpoints.training import WEIGHTS
from tests._checkpoints.training import Original
from tests._checkpoints.training import model_of
from tests._checkpoints.training import read_v1
from tests._checkpoints.training import snapshot
from tests._checkpoints.training import write_v1
from tests.flavors import IS_KERAS_3
from tests.flavors import LossScaleOptimizer
from tests.flavors import keras
from tests.flavors import needs_keras_3
from tests.flavors import to_numpy

pytestmark = pytest.mark.slow

V1 = tf.compat.v1.train.SaverDef.V1


def trained(path: Path, name: str, steps: int = 3, **program: Any) -> Any:
    """Trains under v1 and saves; returns the program and the path."""
    original = Original(PAIRS[name].original, **program)
    original.train(steps)
    return original, original.save(path / "model.ckpt", global_step=steps)


@pytest.mark.parametrize("name", PAIRS)
def test_keras_goes_on_from_v1(name: str, tmp_path: Path) -> None:
    """The losses after a restore are those of v1 going on."""
    program, prefix = trained(tmp_path, name)
    expected = program.train(5)

    model = model_of(PAIRS[name].ours())
    report = restore_v1(model, prefix)

    np.testing.assert_allclose(training.train(model, 5), expected, rtol=2e-5)
    assert report.step == 3
    assert report.kept == report.unused == ()
    assert report.guessed == {}


def test_the_guard_can_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Momentum that is not converted gives other losses."""
    program, prefix = trained(tmp_path, "momentum")
    expected = program.train(5)
    monkeypatch.setattr(
        "final_ops_callback._keras.optimizers.meanings_of", lambda *_: {}
    )
    model = model_of(PAIRS["momentum"].ours())
    restore_v1(model, prefix)

    losses = training.train(model, 5)

    assert losses[0] == pytest.approx(expected[0], rel=2e-5)
    assert np.abs(np.subtract(losses, expected))[1:].max() > 0.01


@pytest.mark.parametrize("saver", [{"sharded": True}, {"write_version": V1}])
def test_other_formats(saver: dict[str, Any], tmp_path: Path) -> None:
    """Checkpoints in parts, and of the old format, are as good."""
    program, prefix = trained(tmp_path, "adam", **saver)
    model = model_of(PAIRS["adam"].ours())
    restore_v1(model, prefix)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)


OF_HOOKS = [
    name
    for name in PAIRS
    if name.removeprefix("legacy ") in ("adam", "momentum", "rmsprop", "ftrl")
]


@pytest.mark.parametrize("name", OF_HOOKS)
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_what_a_hook_saved(name: str, tmp_path: Path) -> None:
    """A checkpoint of a hook under Keras is restored as one of v1 is."""
    model = training.begin(model_of(PAIRS[name].ours()))
    hook = TRAIN.CheckpointSaverHook(str(tmp_path), save_steps=100)
    model.fit(
        training.X[0],
        training.Y[0],
        epochs=3,
        verbose=0,
        callbacks=[SessionRunHookCallback(hook)],
    )
    other = model_of(PAIRS[name].ours())
    report = restore_v1(other, tmp_path)

    assert (report.step, report.kept, report.unused) == (3, (), ())
    for one, two in zip(snapshot(model), snapshot(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_parts_of_variables(tmp_path: Path) -> None:
    """Weights and slots that v1 had divided are restored whole."""
    program, prefix = trained(tmp_path, "momentum", parts=2)
    assert "hidden/kernel/part_1" in program.variables
    model = model_of(PAIRS["momentum"].ours())
    report = restore_v1(model, prefix)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)
    assert report.unused == ()


def test_inside_of_a_graph(tmp_path: Path) -> None:
    """A default graph of v1, as in a hook, does not stand in the way."""
    model = training.begin(model_of(PAIRS["adam"].ours()))
    training.train(model, 2)
    other = model_of(PAIRS["adam"].ours())
    with tf.Graph().as_default() as graph:
        restore_v1(other, save_v1(model, tmp_path / "m"))

    assert graph.get_operations() == []
    for one, two in zip(snapshot(model), snapshot(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_a_built_optimizer_is_restored_too(tmp_path: Path) -> None:
    """Slots that training has filled get the values of v1."""
    program, prefix = trained(tmp_path, "adam")
    model = training.begin(model_of(PAIRS["adam"].ours()))
    training.train(model, 7)
    restore_v1(model, prefix)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)


def test_moving_averages_take_the_place_of_weights(tmp_path: Path) -> None:
    """The weights are those that v1's variables_to_restore restores."""
    _, prefix = trained(tmp_path, "momentum", average=True)
    model = model_of(PAIRS["momentum"].ours())
    report = restore_v1(model, prefix, moving_averages=True)
    averages = read_v1(prefix)

    for weight, name in zip(model.get_weights(), WEIGHTS, strict=True):
        average = averages[f"{name}/ExponentialMovingAverage"]
        np.testing.assert_array_equal(weight, average)
        assert (average != averages[name]).any()
    assert set(WEIGHTS) == set(report.unused)


def test_averages_alone_are_enough(tmp_path: Path) -> None:
    """A checkpoint that has only the averages is restored by their names."""
    suffix = "/ExponentialMovingAverage"
    values = {f"{name}{suffix}": value for name, value in WEIGHTS.items()}
    prefix = write_v1(tmp_path / "m", values)
    model = model_of(OPTIMIZERS.SGD(0.1))
    with pytest.raises(CheckpointError, match="lacks 4 of the 4 weights"):
        restore_v1(model, prefix)
    report = restore_v1(
        model, prefix, moving_averages="ExponentialMovingAverage"
    )

    for weight, value in zip(
        model.get_weights(), WEIGHTS.values(), strict=True
    ):
        np.testing.assert_array_equal(weight, value)
    assert report.unused == ()


def rename(name: str) -> str:
    """Returns a name as a script without Keras would give it."""
    layer, _, last = name.partition("/")
    number = {"hidden": 1, "out": 2}[layer]
    return f"net/layer{number}/{ {'kernel': 'w', 'bias': 'b'}[last] }"


@pytest.mark.parametrize(
    "names",
    [
        None,
        {name: rename(name) for name in WEIGHTS},
        {f"{name}:0": f"{rename(name)}:0" for name in WEIGHTS},
    ],
    ids=["guessed", "mapped", "with :0"],
)
def test_other_names(
    names: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Names are mapped, or found by shape and order, which is said."""
    program, prefix = trained(tmp_path, "adam", rename=rename)
    model = model_of(PAIRS["adam"].ours())
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        report = restore_v1(model, prefix, names=names)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)
    assert report.kept == report.unused == ()
    by_shape = dict.fromkeys(WEIGHTS, "shape and order")
    assert report.guessed == ({} if names else by_shape)
    assert len(caplog.records) == bool(report.guessed)
    assert caplog.text.count("by shape and order") == len(report.guessed)


def encoder_and_decoder() -> Any:
    """Returns a model of two models with layers of one name."""
    inputs = outputs = keras.Input((3,))
    for name in ("encoder", "decoder"):
        part = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(3, name="dense")], name=name
        )
        outputs = part(outputs)
    return keras.Model(inputs, outputs, name="net")


def counted() -> Any:
    """Returns a model whose layers have numbers, and no scopes."""
    inputs = outputs = keras.Input((3,))
    for name in ("dense", "dense_1"):
        outputs = keras.layers.Dense(3, name=name)(outputs)
    return keras.Model(inputs, outputs, name="net")


def numbered(path: Path, *layers: str) -> str:
    """Writes layers of the same shapes that hold their numbers."""
    values = {
        f"{layer}/{last}": np.full(shape, number, "f")
        for number, layer in enumerate(layers)
        for last, shape in (("kernel", (3, 3)), ("bias", (3,)))
    }
    return write_v1(path, values)


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (encoder_and_decoder, ("dense", "dense_1")),
        (encoder_and_decoder, ("enc/dense", "dec/dense")),
        (counted, ("enc/dense", "dec/dense")),
        (counted, ("dense_3", "dense_4")),
    ],
)
def test_layers_of_one_name_are_never_swapped(
    make: Any, layers: Any, tmp_path: Path
) -> None:
    """Scopes don't tell the order of numbers: it is right, or an error."""
    prefix = numbered(tmp_path / "m", *layers)
    model = make()
    paths = list(ModelState(model, False, None).weights)
    has_scopes = "enc/dense" in layers or "encoder/" in paths[0]
    if has_scopes:
        with pytest.raises(CheckpointError, match="shapes do not decide"):
            restore_v1(model, prefix)
    lasts = ("kernel", "bias")
    names = [f"{layer}/{last}" for layer in layers for last in lasts]
    restore_v1(
        model,
        prefix,
        names=dict(zip(paths, names, strict=True)) if has_scopes else None,
    )

    means = [float(weight.mean()) for weight in model.get_weights()]
    assert means == [0, 0, 1, 1]


def test_a_name_of_the_optimizer(tmp_path: Path) -> None:
    """Slots that v1 named after its optimizer are found by that name."""
    original = Original(lambda: TRAIN.AdamOptimizer(0.1, name="mine"))
    original.train(2)
    prefix = original.save(tmp_path / "m")
    model = model_of(OPTIMIZERS.Adam(0.1, epsilon=1e-8))
    with pytest.raises(CheckpointError, match=r"\['mine'\].*optimizer_name="):
        restore_v1(model, prefix)
    restore_v1(model, prefix, optimizer_name="mine")

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, original.train(3), rtol=2e-5)


def test_what_is_left_is_told(tmp_path: Path) -> None:
    """The report names what stays, on both sides."""
    _, prefix = trained(tmp_path, "momentum")
    model = model_of(OPTIMIZERS.SGD(0.1))
    report = restore_v1(
        model, prefix, names={"out/": None, "global_step": None}
    )

    assert report.restored == {
        "hidden/kernel": "hidden/kernel",
        "hidden/bias": "hidden/bias",
    }
    assert report.kept == ("out/kernel", "out/bias")
    assert report.step is None
    assert set(report.unused) == {
        *(f"{name}/Momentum" for name in WEIGHTS),
        "out/kernel",
        "out/bias",
        "global_step",
    }
    assert "slots of Momentum, which the optimizer" in "".join(report.notes)
    assert not model.get_weights()[2].any()


def test_a_model_that_is_not_compiled(tmp_path: Path) -> None:
    """Without an optimizer, only weights are restored."""
    _, prefix = trained(tmp_path, "adam")
    model = model_of()
    report = restore_v1(model, prefix)

    assert report.step is None
    assert restore_v1(model_of(), prefix, slots=False).notes == ()
    assert report.restored == {name: name for name in WEIGHTS}
    assert {"global_step", "beta1_power"} <= set(report.unused)


def test_without_slots(tmp_path: Path) -> None:
    """With slots=False, weights and step are restored, slots stay."""
    _, prefix = trained(tmp_path, "momentum")
    model = training.begin(model_of(OPTIMIZERS.Adam(0.1)))
    training.train(model, 1)
    before = snapshot(model)
    report = restore_v1(model, prefix, slots=False)
    after = snapshot(model)

    assert report.step == int(model.optimizer.iterations) == 3
    changed = [
        (one != other).any() for one, other in zip(before, after, strict=True)
    ]
    assert sum(changed) == len(WEIGHTS) + 1


@pytest.mark.parametrize("make", models.MODELS)
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_each_kind_of_model(make: str, tmp_path: Path) -> None:
    """A model gets the state that another one of its kind was saved with."""
    saved = models.MODELS[make]()
    models.fit(saved)
    prefix = save_v1(saved, tmp_path / "model.ckpt")
    model = models.MODELS[make]()
    assert any((to_numpy(w) != 0).any() for w in model.weights)

    report = restore_v1(model, prefix)

    for one, other in zip(saved.weights, model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    assert report.step == 1
    assert report.kept == report.unused == report.notes == ()
    assert report.guessed == {}
    again = read_v1(save_v1(model, tmp_path / "again"))
    for name, value in read_v1(prefix).items():
        np.testing.assert_allclose(
            np.float64(again[name]), np.float64(value), rtol=1e-6
        )


@needs_keras_3
@pytest.mark.parametrize("is_scaled", [False, True])
def test_gradient_accumulation(
    is_scaled: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The step counts updates, where Keras counts batches."""

    def make() -> Any:
        adam = keras.optimizers.Adam(0.1, gradient_accumulation_steps=2)
        return model_of(LossScaleOptimizer(adam) if is_scaled else adam)

    model = make()
    for _ in range(3):
        model.train_on_batch(training.X[0], training.Y[0])
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        prefix = save_v1(model, tmp_path / "m")
    other = make()

    assert restore_v1(other, prefix).step == 1
    assert int(other.optimizer.iterations) == 1
    assert "accumulated gradients of 1 batches" in caplog.text


def test_all_or_nothing(tmp_path: Path) -> None:
    """After an error, weights, slots and step are as they were."""
    model = training.begin(model_of(PAIRS["adam"].ours()))
    training.train(model, 2)
    before = snapshot(model)
    _, prefix = trained(tmp_path, "adam")
    whole = read_v1(prefix)
    broken: dict[str, dict[str, Any]] = {
        "the last bias": {"out/bias": np.zeros(2, "f")},
        "a slot": {"out/bias/Adam_1": np.zeros(3, "f")},
        "a dtype": {"out/bias": np.zeros(1, "d")},
        "the step": {"global_step": np.float32("nan")},
        "half a step": {"global_step": np.float32(2.5)},
        "several steps": {"global_step": np.zeros(2, "i8")},
        "a negative step": {"global_step": np.int64(-1)},
    }
    for index, changes in enumerate(broken.values()):
        path = write_v1(tmp_path / f"m{index}", whole | changes)
        with pytest.raises(CheckpointError, match=r"in the (model|check)|fit"):
            restore_v1(model, path)
    for name in ("out/bias", "out/bias/Adam", "hidden/kernel/Adam_1"):
        less = {key: value for key, value in whole.items() if key != name}
        path = write_v1(tmp_path / "less", less)
        with pytest.raises(CheckpointError, match="lacks"):
            restore_v1(model, path)
    (data,) = tmp_path.glob("model.ckpt-3.data*")
    data.write_bytes(data.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="can't be read at"):
        restore_v1(model, prefix)

    for one, other in zip(before, snapshot(model), strict=True):
        np.testing.assert_array_equal(one, other)


SLOT_ERRORS = {
    "of another optimizer": (
        "momentum",
        "adam",
        r"has those of \['Momentum'\]",
    ),
    "none": ("gradient descent", "adam", "slots=False to start with new"),
    "of some weights": (
        "momentum of one layer",
        "momentum",
        r"'hidden/kernel/Momentum', 'hidden/bias/Mom.*freeze the layers",
    ),
    "not centered": (
        "rmsprop",
        "rmsprop centered",
        "lacks slots of the optimizer: 'hidden/kernel/RMSProp_2'",
    ),
    "centered": (
        "rmsprop centered",
        "rmsprop with momentum",
        r"has 'hidden/kernel/RMSProp_2': v1's optimizer.*centered=True",
    ),
}


@pytest.mark.parametrize("case", SLOT_ERRORS)
def test_slots_that_do_not_fit(case: str, tmp_path: Path) -> None:
    """Slots of another optimizer, or of other options, are an error."""
    theirs, ours, text = SLOT_ERRORS[case]
    if theirs == "momentum of one layer":
        _, whole = trained(tmp_path, "momentum")
        values = read_v1(whole)
        del values["hidden/kernel/Momentum"], values["hidden/bias/Momentum"]
        prefix = write_v1(tmp_path / "some", values)
    else:
        _, prefix = trained(tmp_path, theirs)
    model = model_of(PAIRS[ours].ours())

    with pytest.raises(CheckpointError, match=text):
        restore_v1(model, prefix)


def test_averages_that_v1_did_not_keep(tmp_path: Path) -> None:
    """The way out of missing averages is an option, not an optimizer."""
    program, prefix = trained(tmp_path, "adam")

    def make(use_ema: bool) -> Any:
        return model_of(OPTIMIZERS.Adam(0.1, epsilon=1e-7, use_ema=use_ema))

    with pytest.raises(CheckpointError) as caught:
        restore_v1(make(True), prefix)
    assert "lacks moving averages" in str(caught.value)
    assert "Compile with use_ema=False, or use slots=False" in str(caught.value)
    assert "of ['Adam']" not in str(caught.value)
    model = make(False)
    restore_v1(model, prefix)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)


def test_a_frozen_layer(tmp_path: Path) -> None:
    """Slots of a layer that Keras does not train are left, without a note."""
    _, prefix = trained(tmp_path, "momentum")
    model = model_of()
    model.get_layer("hidden").trainable = False
    model.compile(PAIRS["momentum"].ours(), "mse")
    report = restore_v1(model, prefix)

    assert report.unused == ("hidden/bias/Momentum", "hidden/kernel/Momentum")
    assert report.notes == ()
    assert "out/kernel/Momentum" in report.restored


def test_a_schedule(tmp_path: Path) -> None:
    """Momentum is converted by the rate of the step that is restored."""
    program, prefix = trained(tmp_path, "momentum")
    rates = OPTIMIZERS.schedules.PiecewiseConstantDecay([2], [5.0, 0.1])
    model = model_of(OPTIMIZERS.SGD(rates, momentum=0.9))
    restore_v1(model, prefix)

    losses = training.train(model, 3)

    np.testing.assert_allclose(losses, program.train(3), rtol=2e-5)


def test_a_rate_that_is_set_before(tmp_path: Path) -> None:
    """Momentum is converted by a rate that is set before the restore."""
    _, prefix = trained(tmp_path, "momentum")
    program = Original(lambda: TRAIN.MomentumOptimizer(0.02, 0.9))
    program.restore(prefix)
    expected = program.train(3)
    model = model_of(PAIRS["momentum"].ours())
    model.optimizer.learning_rate = 0.02
    restore_v1(model, prefix)

    np.testing.assert_allclose(training.train(model, 3), expected, rtol=2e-5)


def test_slots_that_are_made_before_an_error(tmp_path: Path) -> None:
    """With the wrong optimizer, values stay; new slots begin as Keras's."""
    _, prefix = trained(tmp_path, "momentum")
    model = training.begin(model_of(PAIRS["adam"].ours()))
    other = training.begin(model_of(PAIRS["adam"].ours()))
    with pytest.raises(CheckpointError, match="lacks slots"):
        restore_v1(model, prefix)
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(two))

    losses = training.train(model, 3, 0)

    np.testing.assert_array_equal(losses, training.train(other, 3, 0))


def test_a_rate_of_zero_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keras can't keep a momentum at a rate of 0: a warning says so."""
    _, prefix = trained(tmp_path, "momentum")
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        restore_v1(model_of(OPTIMIZERS.SGD(0.0, momentum=0.9)), prefix)

    assert "multiplied by it: the momentum is lost" in caplog.text


class Odd(keras.layers.Layer):
    """A layer with weights of all dtypes, without elements and axes."""

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        for name, shape, dtype in (
            ("scalar", (), "float32"),
            ("empty", (0, 3), "float32"),
            ("half", (2,), "float16"),
            ("brain", (2,), "bfloat16"),
            ("double", (2,), "float64"),
            ("count", (2,), "int64"),
            ("flags", (2,), "bool"),
        ):
            self.add_weight(
                name=name,
                shape=shape,
                dtype=dtype,
                initializer="zeros",
                trainable=False,
            )

    def call(self, inputs: Any) -> Any:
        """Returns the inputs."""
        return inputs


def test_weights_of_all_dtypes(tmp_path: Path) -> None:
    """Each dtype and shape comes back as it was."""

    def make() -> Any:
        return keras.Sequential([keras.Input((3,)), Odd(name="odd")])

    model, other = make(), make()
    model.set_weights([np.ones(w.shape) for w in model.get_weights()])
    report = restore_v1(other, save_v1(model, tmp_path / "m"))

    assert len(report.restored) == 7
    assert report.notes == ()
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)
    assert other.get_weights()[0] == 1


def test_a_layer_that_is_never_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A layer without weights is left out, with a warning."""
    model = models.Shared(unused=True)
    model(np.zeros((1, 3), "f"))
    models.compiled(model)
    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        report = restore_v1(model, save_v1(model, tmp_path / "m"))

    assert report.kept == report.unused == ()
    assert "have no weights yet, and are left out" in caplog.text


def test_an_optimizer_that_v1_had_not(tmp_path: Path) -> None:
    """Slots of an optimizer without a counterpart are an error."""
    _, prefix = trained(tmp_path, "adam")
    for optimizer in (OPTIMIZERS.Nadam(0.1), OPTIMIZERS.Adam(amsgrad=True)):
        with pytest.raises(CheckpointError, match="v1 had no optimizer with"):
            restore_v1(model_of(optimizer), prefix)


def test_several_optimizers(tmp_path: Path) -> None:
    """A model with several optimizers is restored without their slots."""
    _, prefix = trained(tmp_path, "adam")
    model = model_of(OPTIMIZERS.Adam(0.1))
    model.other = OPTIMIZERS.SGD(0.1)
    with pytest.raises(ArgumentError, match="has several optimizers"):
        restore_v1(model, prefix)

    assert restore_v1(model, prefix, slots=False).step == 3


def test_a_dtype_that_holds_all_values(tmp_path: Path) -> None:
    """Values get a wider dtype, which is said, and never a narrower one."""
    values = {"out/kernel": np.ones((3, 1), "e"), "out/bias": np.ones(1, "f")}
    prefix = write_v1(tmp_path / "m", values)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(inputs))
    report = restore_v1(model, prefix)

    assert report.notes == (
        "out/kernel was float16 in the checkpoint, and is float32 in the "
        "model.",
    )
    np.testing.assert_array_equal(model.get_weights()[0], np.ones((3, 1)))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(1)]), "no weights yet"),
        (lambda: None, "a NoneType is not a Keras model"),
        (lambda: keras.layers.Dense(1), "a Dense is not a Keras model"),
    ],
)
def test_what_is_no_model_with_weights(model: Any, text: str) -> None:
    """A model without weights, or something else, is an error."""
    with pytest.raises(ArgumentError, match=text):
        restore_v1(model(), "model.ckpt")


@pytest.mark.parametrize(
    "options", [{"moving_averages": 1}, {"optimizer_name": 1}, {"names": "a"}]
)
def test_arguments_are_checked(options: Any, tmp_path: Path) -> None:
    """An argument of another type is an error that names it."""
    with pytest.raises(ArgumentError, match=next(iter(options))):
        restore_v1(model_of(), tmp_path, **options)


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of another backend can't be restored."""
    monkeypatch.setattr(
        "final_ops_callback._keras.compat.backend_of", lambda _: "jax"
    )
    with pytest.raises(BackendError, match="the model runs on jax"):
        restore_v1(model_of(), "model.ckpt")


def test_a_missing_average_is_an_error(tmp_path: Path) -> None:
    """A trained weight without a moving average is never left out."""
    _, prefix = trained(tmp_path, "adam")
    with pytest.raises(CheckpointError, match="no moving average 'hidden/k"):
        restore_v1(model_of(), prefix, moving_averages=True)


@pytest.mark.skipif(not IS_KERAS_3, reason="Keras 2 freezes the optimizer, too")
def test_weights_that_changed_after_compile(tmp_path: Path) -> None:
    """An optimizer that was built for other weights is an error."""
    _, prefix = trained(tmp_path, "adam")
    model = model_of(OPTIMIZERS.Adam(0.1))
    model.layers[1].trainable = False
    model.optimizer.build(model.trainable_variables)
    model.layers[1].trainable = True

    with pytest.raises(ArgumentError, match="not built for 'hidden/kernel'"):
        restore_v1(model, prefix)
