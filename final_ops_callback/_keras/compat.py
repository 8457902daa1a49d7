# SPDX-License-Identifier: Apache-2.0
"""Hides the differences between Keras 2, Keras 3 and tf_keras.

The functions here read the state of a model and find its parts. The callback
base class that all three accept is in `callback_base`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def flavors() -> list[ModuleType]:
    """Returns the Keras packages that are imported in this process."""
    names = ("keras", "tf_keras")
    return [sys.modules[name] for name in names if name in sys.modules]


def is_metric(value: Any) -> bool:
    """Returns whether a value is a metric object of any flavor of Keras."""
    return isinstance(value, tuple(k.metrics.Metric for k in flavors()))


def is_metric_class(value: Any) -> bool:
    """Returns whether a value is a metric class, not a metric object."""
    bases = tuple(k.metrics.Metric for k in flavors())
    return isinstance(value, type) and issubclass(value, bases)


def is_layer(value: Any) -> bool:
    """Returns whether a value is a layer or model of any flavor of Keras."""
    return isinstance(value, tuple(k.layers.Layer for k in flavors()))


def is_symbolic(value: Any) -> bool:
    """Returns whether a value is a symbolic Keras tensor of any flavor."""
    # By name, because Keras 2 does not export the class.
    names = [kind.__name__ for kind in type(value).__mro__]
    return any(name.endswith("KerasTensor") for name in names)


def is_variable(value: Any) -> bool:
    """Returns whether a value is a variable, of TensorFlow or of Keras."""
    return isinstance(value, tf.Variable) or _is_keras_variable(value)


def is_graph_element(value: Any) -> bool:
    """Returns whether a value is a tensor or operation of a v1 graph."""
    if isinstance(value, tf.Operation):
        return True
    if isinstance(value, tf.SparseTensor | tf.IndexedSlices):
        return is_graph_element(value.values)
    if isinstance(value, tf.RaggedTensor):
        return is_graph_element(value.flat_values)
    if isinstance(value, tf.Variable):
        # Only the handle of a resource variable shows where it lives; a
        # variable with replicas has no handle itself.
        return any(
            not hasattr(part, "handle")  # v1's reference variables
            or _is_graph_tensor(part.handle)
            for part in components(value)
        )
    return _is_graph_tensor(value)


def _is_graph_tensor(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and not hasattr(value, "numpy")


def metrics_of(model: Any) -> list[Any]:
    """Returns the metric objects of a model, including the compiled ones."""
    found: list[Any] = []
    for metric in getattr(model, "metrics", ()):
        # Keras 3 keeps the compiled metrics in one metric of this name.
        is_container = metric.name == "compile_metrics"
        found += metric.metrics if is_container else [metric]
    return found


def compiled_metrics_of(model: Any) -> list[Any]:
    """Returns the metrics that `compile` was given: objects, names, classes.

    Keras makes metric objects of them in the first step. No public attribute
    keeps them as they were given (tests/test_private_api.py notices a change).
    """
    container = getattr(model, "_compile_metrics", None)  # Keras 3
    if container is None:
        container = getattr(model, "compiled_metrics", None)
    found: list[Any] = []
    for name in ("_user_metrics", "_user_weighted_metrics"):
        found += tf.nest.flatten(getattr(container, name, None))
    return [metric for metric in found if metric is not None]


def is_stock(model: Any, method: str) -> bool:
    """Returns whether a method of a model is Keras's own, not overridden.

    Args:
        model: A Keras model of any flavor.
        method: String. The name of a method.
    """
    if method in vars(model):
        return False
    keras_own = {flavor.__name__ for flavor in flavors()}
    for kind in type(model).__mro__:
        if method in vars(kind):
            return kind.__module__.partition(".")[0] in keras_own
    return True


def sublayers(layer: Any) -> list[Any]:
    """Returns the direct sublayers of a layer or model.

    No public attribute lists the sublayers of a layer that is not a model
    (tests/test_private_api.py notices a change).
    """
    listed = getattr(layer, "layers", None)  # with the inputs of a model
    if isinstance(listed, list | tuple):
        return [part for part in listed if is_layer(part)]
    return list(layer._flatten_layers(recursive=False, include_self=False))


def is_keras_2(model: Any) -> bool:
    """Returns whether a model belongs to Keras 2, which includes tf_keras."""
    return not hasattr(flavor_of(model), "ops")


def components(variable: Any) -> list[Any]:
    """Returns the variables that hold the value of a variable.

    Under a distribution strategy, there is one for each replica; otherwise it
    is the variable itself. A replica's variable can be read and assigned
    without a collective operation.
    """
    backing = variable
    if _is_keras_variable(variable) and isinstance(variable.value, tf.Variable):
        backing = variable.value
    return list(getattr(backing, "values", None) or (backing,))


def backing(variable: Any) -> Any:
    """Returns the `tf.Variable` behind a variable of any flavor."""
    is_own = isinstance(variable, tf.Variable | tf.Tensor)
    return variable if is_own else variable.value


@contextlib.contextmanager
def strategy_scope(model: Any) -> Iterator[None]:
    """Enters the scope of a model's distribution strategy, if it has one.

    tf_keras calls callbacks inside the strategy's scope; Keras 3 does not.
    Reading a metric or a variable needs no scope.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or tf.distribute.in_cross_replica_context():
        yield
        return
    with strategy.scope():
        yield


def is_chief(model: Any) -> bool:
    """Returns whether this process is the one that writes files."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy is None or bool(strategy.extended.should_checkpoint)


def to_numpy(tensor: Any) -> Any:
    """Returns a NumPy copy of a tensor or variable of any backend.

    Args:
        tensor: A dense tensor or a variable.

    Returns:
        An array of the same shape and dtype (bfloat16, too), a NumPy scalar
        for a scalar, bytes for strings, as a v1 `Session.run` returned them.
    """
    if isinstance(tensor, tf.Tensor | tf.Variable):
        return tensor.numpy()
    if _is_keras_variable(tensor):
        tensor = tensor.value
        if isinstance(tensor, tf.Variable):
            return tensor.numpy()
    array = np.array(keras.ops.convert_to_numpy(tensor))
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":
        array = array.astype(tf.bfloat16.as_numpy_dtype)
    return array[()]


def backend_of(model: Any) -> str:
    """Returns the name of the backend that a model runs on.

    Keras 2 always runs on TensorFlow, even beside a Keras 3 that does not.
    """
    flavor = flavor_of(model)
    if not hasattr(flavor, "ops"):
        return "tensorflow"
    return str(flavor.backend.backend())


def logs_of(outputs: Any) -> dict[str, Any]:
    """Returns the logs of a step as one flat dict, as callbacks get them.

    Args:
        outputs: What the step function of a model returned for a training or
            test step. In Keras 3, a log may be a dict of logs.

    Returns:
        Dict from the name of a log to its unconverted value; empty if the
        step returned something else.
    """
    if not isinstance(outputs, dict):
        return {}
    logs: dict[str, Any] = {}
    for name, value in outputs.items():
        logs |= logs_of(value) if isinstance(value, dict) else {name: value}
    return logs


def floatx_of(model: Any) -> str:
    """Returns the default float dtype of the flavor that a model belongs to.

    Each flavor has its own setting: that of tf_keras may differ.
    """
    return str(flavor_of(model).backend.floatx())


def is_backend_tensor(value: Any) -> bool:
    """Returns whether a value is a concrete dense tensor of any backend."""
    if isinstance(value, tf.Tensor):
        return True
    return (
        hasattr(keras, "ops")
        and keras.backend.backend() != "tensorflow"
        and keras.ops.is_tensor(value)
    )


def _is_keras_variable(value: Any) -> bool:
    return hasattr(keras, "Variable") and isinstance(value, keras.Variable)


def flavor_of(value: Any) -> ModuleType:
    """Returns the Keras package that an object or its class comes from."""
    known = {flavor.__name__: flavor for flavor in flavors()}
    for kind in type(value).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in known:
            return known[package]
    return keras
