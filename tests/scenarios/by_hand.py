# SPDX-License-Identifier: Apache-2.0
"""Computes the values inside each step again, in eager TensorFlow.

A copy of the model gets the weights that plain Keras showed a callback before
the step, and computes the step of that batch with a `GradientTape`.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import path_of
from tests.flavors import to_numpy
from tests.flavors import value_of
from tests.scenarios.data import CLASS_WEIGHTS
from tests.scenarios.data import batches_of
from tests.scenarios.data import steps_of_epoch
from tests.scenarios.drawn import Scenario
from tests.scenarios.training import Row
from tests.scenarios.training import model_of
from tests.scenarios.training import policy_of
from tests.scenarios.training import variables_in

Values = dict[str, np.ndarray]


def steps_by_hand(one: Scenario, rows: list[Row], phase: str) -> list[Values]:
    """Computes the values inside the steps of a phase.

    Args:
        one: The scenario.
        rows: What plain Keras showed, one step per execution.
        phase: "train", "test" or "predict".

    Returns:
        For each step, the values by their names; without those of the model
        if it draws numbers that can't be drawn again, or is not built.
    """
    batches = batches_of(one)
    if phase != "train":
        batches = batches[: steps_of_epoch(one)]
    with policy_of(one):
        model, values = model_of(one, 1), []
        model(tf.nest.map_structure(tf.constant, batches[0][0]))
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                (layer.reset_state if IS_KERAS_3 else layer.reset_states)()
        call, endless = 0, iter(batches)
        for row in rows:
            if row.call != call:
                call, endless = row.call, itertools.cycle(batches)
            batch, found = next(endless), {}
            if one.data != "shuffled" or phase != "train":
                found |= _of_batch(one, batch, phase)
            if row.state and not is_unknown(one, phase):
                _restore(model, row.state)
                found |= _of_step(one, model, batch, phase)
            values.append(found)
    return values


def is_unknown(one: Scenario, phase: str) -> bool:
    """Returns whether the steps of a phase can't be computed again."""
    if one.has("adversaries") or one.has("own random"):
        return True
    if one.data == "shuffled" and phase == "train":
        return True
    if one.has("fixed") and phase != "train" and "fit" in one.plan:
        return True  # the state of the layer is that of the training's end
    return phase == "train" and one.has("random") and not IS_KERAS_3


def _restore(model: Any, state: list[np.ndarray]) -> None:
    for variable, value in zip(variables_in(model), state, strict=True):
        value_of(variable).assign(value)


def _named(name: str, structure: Any) -> Values:
    """Names the parts of a structure as documented."""
    if isinstance(structure, dict):
        parts = structure.items()
    elif isinstance(structure, list | tuple):
        parts = enumerate(structure)
    else:
        return {name: structure}
    return {f"{name}/{key}": value for key, value in parts}


def _weight_of(one: Scenario, batch: tuple[Any, ...], phase: str) -> Any:
    if len(batch) == 3:
        return batch[2]
    if one.weights == "class" and phase == "train":
        of_class = [CLASS_WEIGHTS[int(label)] for label in batch[1]]
        return np.array(of_class, "float32")
    return None


def _of_batch(one: Scenario, batch: tuple[Any, ...], phase: str) -> Values:
    found = _named("features", batch[0])
    if phase != "predict":
        found |= _named("labels", batch[1])
        weight = _weight_of(one, batch, phase)
        if weight is not None:
            found["sample_weight"] = weight
    return found


def _of_step(
    one: Scenario, model: Any, batch: tuple[Any, ...], phase: str
) -> Values:
    weight = _weight_of(one, batch, phase)
    weight = None if weight is None else tf.constant(weight)
    x, y, *_ = tf.nest.map_structure(tf.constant, batch)
    outputs: dict[str, Any] = {}
    trained = phase == "train"
    with (
        tf.GradientTape() as tape,
        _recorded(named_layers(model), outputs),
    ):
        predictions = model(x, training=trained)
        if phase == "predict":
            loss = None
        else:
            more = {"training": trained} if IS_KERAS_3 else {}
            given = {"x": x, "y": y, "y_pred": predictions}
            loss = model.compute_loss(**given, sample_weight=weight, **more)
    found: dict[str, Any] = _named("predictions", predictions)
    for name, output in outputs.items():
        found |= _named(name, output)
    if loss is not None:
        found["loss"] = loss
    if trained:
        gradients = tape.gradient(
            loss,
            [value_of(v) for v in model.trainable_variables],
            unconnected_gradients="zero",
        )
        dense = [tf.convert_to_tensor(g) for g in gradients]
        for variable, gradient in zip(
            model.trainable_variables, dense, strict=True
        ):
            found[f"gradients/{path_of(variable)}"] = gradient
        found["gradients/global_norm"] = tf.linalg.global_norm(dense)
    return {name: to_numpy(value) for name, value in found.items()}


def named_layers(model: Any, before: str = "") -> dict[int, str]:
    """Names the layers of a model, and of the models in it."""
    found: dict[int, str] = {}
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            found.setdefault(id(layer), before + layer.name)
            if isinstance(layer, keras.Model):
                found |= named_layers(layer, f"{before}{layer.name}/")
    return found


@contextlib.contextmanager
def _recorded(
    layers: dict[int, str], outputs: dict[str, Any]
) -> Iterator[None]:
    """Keeps the last output of each layer."""
    base = keras.layers.Layer
    call = base.__call__

    def recording_call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = call(layer, *args, **kwargs)
        if id(layer) in layers:
            outputs[layers[id(layer)]] = output
        return output

    with mock.patch.object(base, "__call__", recording_call):
        yield
