# SPDX-License-Identifier: Apache-2.0
"""Reads facts about a Keras model that a run needs, and builds the model."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers

logger = logging.getLogger("final_ops_callback")


def step_counter(model: Any) -> Any:
    """Returns the variable in which a model counts its steps.

    It is `optimizer.iterations`, except with gradient accumulation in Keras 3:
    there the variable counts batches, and `iterations` is computed from it.
    """
    return step_counter_of(model.optimizer)


def step_counter_of(optimizer: Any) -> Any:
    """Returns the variable in which an optimizer counts its steps.

    `step_counter` does the same for the optimizer of a model.
    """
    if compat.is_variable(optimizer.iterations):
        return optimizer.iterations
    variables = (
        v for v in optimizer.variables if v.path.endswith("/iteration")
    )
    return next(variables)


def learning_rate_of(model: Any) -> Any:
    """Returns the learning rate of a model's next step.

    A constant rate is a variable, which has a twin in the hook graph; the rate
    of a schedule is computed and has no twin.
    """
    optimizer = model.optimizer
    schedule = optimizer_compat.schedule_of(optimizer)
    if schedule is None:
        return optimizer.learning_rate
    return schedule(optimizer.iterations)


def steps_per_execution(model: Any) -> int:
    """Returns how many steps one call of a model's step function runs."""
    steps = getattr(model, "steps_per_execution", None)
    # Keras 2 has a variable, one for each replica, or `None` before compile.
    if isinstance(steps, tf.Variable):
        steps = compat.to_numpy(compat.components(steps)[0])
    return 1 if steps is None else int(steps)


def is_built(model: Any) -> bool:
    """Returns whether a model has all of its variables.

    No public attribute lists all layers with those inside of others. Without
    the list, `built` alone would decide (tests/test_private_api.py notices a
    change).
    """
    return bool(model.built) and all(
        layer.built for layer in getattr(model, "_flatten_layers", list)()
    )


def data_spec(data: Any) -> Any:
    """Returns the structure, shapes and dtypes of a batch without taking one.

    Args:
        data: The argument of a step function: an iterator, or (in the predict
            of Keras 3) a list of batches.
    """
    spec = getattr(data, "element_spec", None)
    if spec is not None:
        return spec
    # A batch itself: later batches may have other numbers of rows.
    return tf.nest.map_structure(_of_any_length, data[0])


def _of_any_length(value: Any) -> Any:
    if not tf.is_tensor(value) or not is_dense(value) or not value.shape.rank:
        return value
    return tf.TensorSpec([None, *value.shape[1:]], value.dtype)


def build_for(model: Any, phase: str, batch_spec: Any) -> None:
    """Builds a model and its optimizers as their first batch would.

    If only its own step can build a model, that step is traced, but not run.
    The same is done for several optimizers, because only the step determines
    which variables each of them updates. If that fails, too, a warning is
    logged and the model stays as it is: hooks see the variables that exist.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.
        batch_spec: The structure of `tf.TensorSpec`s (or tensors) of a batch:
            the inputs, or a tuple that begins with them.
    """
    errors: list[Exception] = []
    if not is_built(model):
        try:
            _call_symbolically(model, batch_spec)
        except Exception as error:
            errors.append(error)
    if errors or (phase == "train" and optimizers.unbuilt(model)):
        try:
            _trace_step(model, phase, batch_spec)
            errors = []
        except Exception as error:
            errors.append(error)
    if errors:
        logger.warning(
            "The model %r can't be built from its inputs (%s): hooks see only "
            "the %d variables that it has now. Build the model and its "
            "optimizers before the call, so that hooks see all variables.",
            model.name,
            errors[0],
            len(model.variables),
        )


def _call_symbolically(model: Any, batch_spec: Any) -> None:
    inputs = batch_spec[0] if isinstance(batch_spec, tuple) else batch_spec
    flavor = compat.flavor_of(model)

    def symbolic(spec: Any) -> Any:
        return flavor.Input(
            batch_shape=(None, *spec.shape[1:]), dtype=spec.dtype.name
        )

    with compat.strategy_scope(model):
        model(tf.nest.map_structure(symbolic, inputs))


def _trace_step(model: Any, phase: str, batch_spec: Any) -> None:
    step = getattr(model, f"{phase}_step")
    strategy = getattr(model, "distribute_strategy", None)

    def run(batch: Any) -> Any:
        if strategy is None:
            return step(batch)
        return strategy.run(step, args=(batch,))

    # As Keras itself does: Keras 3 traces without autograph.
    autograph = compat.is_keras_2(model)
    with compat.strategy_scope(model):
        tf.function(run, autograph=autograph).get_concrete_function(batch_spec)
    if phase == "train":
        optimizers.note_traced(model)


def build_metrics(model: Any, batch_spec: Any) -> None:
    """Builds the metrics of a model, if no step has done so.

    Keras 3 reads their results at the end of an epoch, even of one in which a
    hook let no step run. No public method builds them
    (tests/test_private_api.py notices a change).

    Args:
        model: A Keras model of any flavor.
        batch_spec: The structure of `tf.TensorSpec`s of a batch.
    """
    if hasattr(model, "_symbolic_build"):
        model._symbolic_build(data_batch=batch_spec)


def path_of(variable: Any) -> str:
    """Returns the path (Keras 3) or the name (Keras 2) of a variable."""
    if not isinstance(variable, tf.Variable):
        return str(variable.path)
    # The variable of the first replica has the name of the whole variable,
    # and can be read even where the replicas have no common value.
    return str(compat.components(variable)[0].name.partition(":")[0])


def layers_by_path(model: Any) -> dict[str, Any]:
    """Lists the layers of a model, including those inside other layers.

    Args:
        model: A Keras model of any flavor.

    Returns:
        Dict from the path of a layer (its name, prefixed with the path of the
        layer that contains it) to the layer. If two layers have the same path,
        the first one is listed. Input layers are left out, because Keras never
        calls them.
    """
    found: dict[str, Any] = {}
    seen = {id(model)}

    def add(layer: Any, prefix: str) -> None:
        for part in compat.sublayers(layer):
            if type(part).__name__ == "InputLayer":
                continue
            path = prefix + part.name
            found.setdefault(path, part)
            if id(part) not in seen:
                seen.add(id(part))
                add(part, f"{path}/")

    add(model, "")
    return found


def seed_paths(model: Any) -> dict[int, str]:
    """Names the states of the random layers of a model after these layers.

    Keras 3 numbers the states (`seed_generator_2/seed_generator_state`), and
    nobody can name them: a checkpoint would fit only the model that is the
    second of a process again.

    Args:
        model: A Keras model of any flavor.

    Returns:
        Dict from the id of a state to the path of its layer and the attribute
        that holds it: `dropout/seed_generator`. Empty in Keras 2.
    """
    random = getattr(compat.flavor_of(model), "random", None)
    kind = getattr(random, "SeedGenerator", None)
    if kind is None:
        return {}
    found: dict[int, str] = {}
    for path, layer in layers_by_path(model).items():
        for attribute, value in vars(layer).items():
            if isinstance(value, kind):
                key = id(compat.backing(value.state))
                found.setdefault(key, f"{path}/{attribute}")
    return found


def symbolic(layer: Any, side: str) -> Any:
    """Returns the symbolic tensors of a layer or model, if it has any.

    Args:
        layer: A layer or a model.
        side: String. `"input"` or `"output"`.

    Returns:
        A structure of symbolic tensors (those of the first call, if there were
        several calls), or `None` if there are none, as for a model whose class
        overrides `call`.
    """
    try:
        return getattr(layer, side)
    except (AttributeError, ValueError):
        pass
    # A Sequential model has only lists of one tensor.
    several = getattr(layer, f"{side}s", None)
    return several[0] if several and len(several) == 1 else None


def input_names(model: Any) -> list[str]:
    """Returns the names of a model's inputs; none if it has no known inputs."""
    return [tensor.name for tensor in getattr(model, "inputs", None) or ()]


def log_names(model: Any) -> list[str]:
    """Returns the names under which the metrics of `compile` are logged.

    Metrics that a step makes by itself may add other logs.

    Args:
        model: A Keras model of any flavor.
    """
    outputs = list(getattr(model, "output_names", None) or ())
    metrics = [
        metric if isinstance(metric, str) else _own_name(metric)
        for metric in compat.compiled_metrics_of(model)
    ]
    if len(outputs) < 2:
        return [name for name in metrics if name]
    return [f"{output}_loss" for output in outputs] + [
        f"{output}_{name}" for output in outputs for name in metrics if name
    ]


def _own_name(metric: Any) -> str | None:
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None)
    return name if isinstance(name, str) else None


def is_dense(tensor: Any) -> bool:
    """Returns whether a tensor, symbolic or not, is dense."""
    if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False):
        return False
    # Keras 2 has a type of its own for each kind of symbolic tensor.
    kind = getattr(tensor, "type_spec", tensor)
    return not isinstance(
        kind,
        tf.SparseTensor
        | tf.RaggedTensor
        | tf.IndexedSlices
        | tf.SparseTensorSpec
        | tf.RaggedTensorSpec,
    ) and hasattr(tensor, "dtype")


def replicas(model: Any) -> int:
    """Returns the number of replicas on which a step of the model runs."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else int(strategy.num_replicas_in_sync)


def unpacked(model: Any, data: Any) -> tuple[Any, Any, Any]:
    """Returns the features, labels and sample weights of a batch.

    Args:
        model: A Keras model of any flavor.
        data: The batch that its step is called with.

    Returns:
        Tuple of three structures; `None` for each one that is missing.
    """
    flavor = compat.flavor_of(model)
    try:
        return flavor.utils.unpack_x_y_sample_weight(data)
    except ValueError:  # only the model's own step can unpack the batch
        return None, None, None
