# SPDX-License-Identifier: Apache-2.0
"""What a run needs to know of a Keras model, and may do to it."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow as tf

from final_ops_callback import _stack

logger = logging.getLogger("final_ops_callback")


def step_of(model: Any) -> int:
    """Returns the number of updates that a model has seen.

    The batch index is no step count (it jumps with `steps_per_execution`),
    `optimizer.iterations` is. A model without an optimizer is at step 0.
    """
    iterations = getattr(getattr(model, "optimizer", None), "iterations", None)
    return 0 if iterations is None else int(_stack.to_numpy(iterations))


def set_step(model: Any, step: int) -> None:
    """Sets the number of updates that a model has seen."""
    model.optimizer.iterations.assign(step)


def learning_rate_of(model: Any) -> Any:
    """Returns the learning rate of a model's next step, as a schedule has it.

    A constant rate is a variable with a twin; that of a schedule has none.
    """
    rate = model.optimizer.learning_rate
    # Keras 2 hands out the schedule itself.
    return rate(model.optimizer.iterations) if callable(rate) else rate


def steps_per_execution(model: Any) -> int:
    """Returns how many steps one call of a model's step function makes."""
    steps = getattr(model, "steps_per_execution", None)
    if steps is None:  # Keras 2 keeps a variable, or nothing.
        steps = getattr(model, "_steps_per_execution", None)
    return 1 if steps is None else int(steps)


def is_built(model: Any) -> bool:
    """Says whether all variables of a model are there."""
    return bool(model.built) and all(
        layer.built for layer in getattr(model, "_flatten_layers", list)()
    )


def data_spec(data: Any) -> Any:
    """Returns what a batch looks like, without taking one.

    Args:
        data: What a step function is called with: an iterator, or (predict
            of Keras 3) a list of batches.
    """
    spec = getattr(data, "element_spec", None)
    return data[0] if spec is None else spec


def build_for(model: Any, batch_spec: Any) -> None:
    """Builds a model as its first batch would.

    A model that only its own `train_step` can build stays as it is, with a
    warning: its hooks see the variables that are there.

    Args:
        model: A Keras model of any generation.
        batch_spec: The structure of `tf.TensorSpec`s (or tensors) of a batch:
            the inputs, or a tuple that begins with them.
    """
    inputs = batch_spec[0] if isinstance(batch_spec, tuple) else batch_spec
    generation = _stack.generation_of(model)

    def symbolic(spec: Any) -> Any:
        return generation.Input(
            batch_shape=(None, *spec.shape[1:]), dtype=spec.dtype.name
        )

    try:
        with _stack.strategy_scope(model):
            model(tf.nest.map_structure(symbolic, inputs))
    except Exception as error:
        logger.warning(
            "The model %r can't be built from its inputs (%s): hooks see the "
            "%d variables that it has. Build it before the call to show all.",
            model.name,
            error,
            len(model.variables),
        )


def build_metrics(model: Any, batch_spec: Any) -> None:
    """Builds the metrics of a model, if no step has done it.

    Keras 3 asks for their results at the end of an epoch, also of one in
    which a hook let no step run. Nothing public builds them
    (tests/test_private_api.py notices a change).

    Args:
        model: A Keras model of any generation.
        batch_spec: The structure of `tf.TensorSpec`s of a batch.
    """
    if hasattr(model, "_symbolic_build"):
        model._symbolic_build(data_batch=batch_spec)
