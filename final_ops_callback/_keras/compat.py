# SPDX-License-Identifier: Apache-2.0
"""What differs between Keras 2, Keras 3 and tf_keras, in one place.

How the state of a model is read, and where its parts are found. The callback
base that all three accept is in `callback_base`.
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
    """Returns the Keras packages of this process, imported by anyone."""
    names = ("keras", "tf_keras")
    return [sys.modules[name] for name in names if name in sys.modules]


def is_metric(value: Any) -> bool:
    """Says whether a value is a metric object of any flavor of Keras."""
    return isinstance(value, tuple(k.metrics.Metric for k in flavors()))


def is_metric_class(value: Any) -> bool:
    """Says whether a value is the class of a metric, not a metric."""
    bases = tuple(k.metrics.Metric for k in flavors())
    return isinstance(value, type) and issubclass(value, bases)


def is_layer(value: Any) -> bool:
    """Says whether a value is a layer or model of any flavor of Keras."""
    return isinstance(value, tuple(k.layers.Layer for k in flavors()))


def is_symbolic(value: Any) -> bool:
    """Says whether a value is a symbolic Keras tensor of any flavor."""
    # By name, because Keras 2 does not export the class.
    names = [kind.__name__ for kind in type(value).__mro__]
    return any(name.endswith("KerasTensor") for name in names)


def is_variable(value: Any) -> bool:
    """Says whether a value is a variable, of TensorFlow or of Keras."""
    return isinstance(value, tf.Variable) or _is_keras_variable(value)


def is_graph_element(value: Any) -> bool:
    """Says whether a value is a tensor or operation of a v1 graph."""
    if isinstance(value, tf.Operation):
        return True
    if isinstance(value, tf.SparseTensor | tf.IndexedSlices):
        return is_graph_element(value.values)
    if isinstance(value, tf.RaggedTensor):
        return is_graph_element(value.flat_values)
    if isinstance(value, tf.Variable):
        # Only the handle of a resource variable knows where it lives; a
        # variable of replicas has none of its own.
        return any(
            not hasattr(part, "handle")  # v1's variables without resource
            or _is_graph_tensor(part.handle)
            for part in components(value)
        )
    return _is_graph_tensor(value)


def _is_graph_tensor(value: Any) -> bool:
    return isinstance(value, tf.Tensor) and not hasattr(value, "numpy")


def metrics_of(model: Any) -> list[Any]:
    """Returns the metric objects of a model, the compiled ones too."""
    found: list[Any] = []
    for metric in getattr(model, "metrics", ()):
        # Keras 3 keeps the compiled metrics in one metric of this name.
        is_container = metric.name == "compile_metrics"
        found += metric.metrics if is_container else [metric]
    return found


def compiled_metrics_of(model: Any) -> list[Any]:
    """Returns what a model was compiled with as metrics: names, too.

    Keras makes metrics of them in the first step. Nothing public keeps them
    as they were given (tests/test_private_api.py notices a change).
    """
    container = getattr(model, "_compile_metrics", None)  # Keras 3
    if container is None:
        container = getattr(model, "compiled_metrics", None)
    found: list[Any] = []
    for name in ("_user_metrics", "_user_weighted_metrics"):
        found += tf.nest.flatten(getattr(container, name, None))
    return [metric for metric in found if metric is not None]


def is_stock(model: Any, method: str) -> bool:
    """Says whether a method of a model is Keras's own.

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
    """Returns the layers that a layer or model is made of, not theirs.

    Nothing public lists those of a layer that is no model
    (tests/test_private_api.py notices a change).
    """
    listed = getattr(layer, "layers", None)  # with the inputs of a model
    if isinstance(listed, list | tuple):
        return [part for part in listed if is_layer(part)]
    return list(layer._flatten_layers(recursive=False, include_self=False))


def is_keras_2(model: Any) -> bool:
    """Returns whether a model is one of Keras 2, which tf_keras is, too."""
    return not hasattr(flavor_of(model), "ops")


def components(variable: Any) -> list[Any]:
    """Returns the variables that really hold a value.

    One for each replica under a distribution strategy, else the variable
    itself. A replica's share can be read and put back without a collective.
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
    """Enters the distribution strategy of a model, if it has one.

    In a callback, tf_keras is in the strategy's scope and Keras 3 is not. To
    read a metric or a variable needs no scope.
    """
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or tf.distribute.in_cross_replica_context():
        yield
        return
    with strategy.scope():
        yield


def is_chief(model: Any) -> bool:
    """Says whether this process is the one that writes files."""
    strategy = getattr(model, "distribute_strategy", None)
    return strategy is None or bool(strategy.extended.should_checkpoint)


def to_numpy(tensor: Any) -> Any:
    """Returns a copy of a tensor or variable of any backend, as NumPy.

    Args:
        tensor: A dense tensor or a variable.

    Returns:
        An array of the same shape and dtype (also bfloat16), a NumPy scalar
        for a scalar, bytes for strings: what a v1 `Session.run` returned.
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

    Keras 2 has no other than TensorFlow, also beside a Keras 3 that has.
    """
    flavor = flavor_of(model)
    if not hasattr(flavor, "ops"):
        return "tensorflow"
    return str(flavor.backend.backend())


def logs_of(outputs: Any) -> dict[str, Any]:
    """Returns the logs of a step as callbacks get them, values as they are.

    Args:
        outputs: What the step function of a model returned for a training or
            test step. In Keras 3, a log may be a dict of logs.

    Returns:
        Dict from the name of a log to its value; empty if the step has
        returned something else.
    """
    if not isinstance(outputs, dict):
        return {}
    logs: dict[str, Any] = {}
    for name, value in outputs.items():
        logs |= logs_of(value) if isinstance(value, dict) else {name: value}
    return logs


def floatx_of(model: Any) -> str:
    """Returns the dtype that Keras gives to numbers of a model by default.

    Each Keras keeps one of its own: that of tf_keras may be another.
    """
    return str(flavor_of(model).backend.floatx())


def is_backend_tensor(value: Any) -> bool:
    """Says whether a value is a concrete dense tensor of any backend."""
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
