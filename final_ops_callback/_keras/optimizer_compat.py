# SPDX-License-Identifier: Apache-2.0
"""Hides the differences between optimizers of Keras 2, Keras 3 and tf_keras."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat


def is_optimizer(value: Any) -> bool:
    """Returns whether a value is an optimizer of any flavor of Keras."""
    kinds: list[Any] = []
    for flavor in compat.flavors():
        optimizers = flavor.optimizers
        kinds.append(optimizers.Optimizer)
        legacy = getattr(getattr(optimizers, "legacy", None), "Optimizer", None)
        if isinstance(legacy, type):
            kinds.append(legacy)
    return isinstance(value, tuple(kinds))


def inner_of(optimizer: Any) -> Any:
    """Returns the optimizer that updates: the one inside a loss scale."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def name_of(optimizer: Any) -> str:
    """Returns the name of an optimizer.

    In Keras 2, a loss-scale optimizer takes the name of the optimizer inside
    it, and the legacy optimizers have their name only in their configuration.
    """
    for one in (optimizer, inner_of(optimizer)):
        if name := getattr(one, "name", None):
            return str(name)
    return str(inner_of(optimizer).get_config()["name"])


def uncounted_name(optimizer: Any) -> str:
    """Returns the default name of the first optimizer of a class.

    Keras 3 names the next one `adam_1`; Keras 2 names all of them `Adam`.
    """
    kind = type(optimizer).__name__
    if not hasattr(optimizer, "apply"):
        return kind
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()


def is_legacy(optimizer: Any) -> bool:
    """Returns whether an optimizer is one of Keras 2's `optimizers.legacy`."""
    return hasattr(inner_of(optimizer), "get_slot_names")


def is_built(optimizer: Any) -> bool:
    """Returns whether an optimizer has its slots.

    Keras 2 keeps it in a private name, where Keras 3 has `built`
    (tests/test_private_api.py notices a change).
    """
    if is_legacy(optimizer):
        # The slots appear with the first update, beside the count of steps.
        return len(inner_of(optimizer).weights) > 1
    return not hasattr(optimizer, "build") or bool(
        getattr(optimizer, "built", False)
        or getattr(optimizer, "_built", False)
        or getattr(inner_of(optimizer), "_built", False)
    )


def build(optimizer: Any, variables: Any) -> None:
    """Makes the slots of an optimizer for variables.

    No public method does this for the legacy optimizers
    (tests/test_private_api.py notices a change).
    """
    if is_legacy(optimizer):
        inner_of(optimizer)._create_all_weights(variables)
    else:
        optimizer.build(variables)


def momentums_of(optimizer: Any) -> list[Any]:
    """Returns the slots in which Keras's own SGD keeps its momentum.

    The list is empty for a subclass that overrides the update: the meaning of
    its slots is unknown.
    """
    flavor = compat.flavor_of(optimizer)
    if is_legacy(optimizer):
        kind = flavor.optimizers.legacy.SGD
        if not isinstance(optimizer, kind):
            return []
        return [
            variable
            for variable in optimizer.variables()
            if "momentum" in optimizer.get_slot_names()
            and variable.name.partition(":")[0].endswith("/momentum")
        ]
    kind = flavor.optimizers.SGD
    if not isinstance(optimizer, kind):
        return []
    if type(optimizer).update_step is not kind.update_step:
        return []
    return list(getattr(optimizer, "momentums", None) or ())


def slot_scope(optimizer: Any) -> contextlib.AbstractContextManager[Any]:
    """Returns the name scope in which Keras itself builds an optimizer.

    Keras 2 builds an optimizer in the first step, in a scope with the
    optimizer's name, which becomes part of the names of the slots. Keras 3
    enters such a scope in `build`.
    """
    if hasattr(optimizer, "apply"):
        return contextlib.nullcontext()
    return tf.name_scope(name_of(optimizer))


def unlisted(optimizer: Any) -> list[Any]:
    """Returns the variables of an optimizer that it does not list.

    Nadam of Keras 2 keeps a product of its momentums without which it does not
    go on where it was (tests/test_private_api.py notices a change).
    """
    inner = inner_of(optimizer)
    product = getattr(inner, "_u_product", None)
    is_keras_2 = not hasattr(inner, "apply")
    return [product] if is_keras_2 and isinstance(product, tf.Variable) else []


def schedule_of(optimizer: Any) -> Any:
    """Returns the learning rate schedule, if the rate can't be read without it.

    `learning_rate` in Keras 2 is a variable that holds the rate of the
    previous step; no public attribute has the schedule itself
    (tests/test_private_api.py notices a change). `learning_rate` in Keras 3 is
    the rate of the next step.

    Args:
        optimizer: An optimizer of any flavor.

    Returns:
        A function of the step, or `None`.
    """
    inner = inner_of(optimizer)
    if is_legacy(inner):
        rate = inner.learning_rate
    else:
        rate = getattr(inner, "_learning_rate", None)
    is_keras_2 = not hasattr(inner, "apply")
    is_variable = compat.is_variable(rate)
    return rate if is_keras_2 and callable(rate) and not is_variable else None


def rate_variable_of(optimizer: Any) -> Any:
    """Returns the variable that holds a learning rate, or `None`.

    There is none if a schedule computes the rate.

    Args:
        optimizer: An optimizer of any flavor, or `None`.
    """
    rate = getattr(optimizer, "learning_rate", None)
    has_variable = compat.is_variable(rate) and not schedule_of(optimizer)
    return rate if has_variable else None


def rate_of_next(optimizer: Any) -> Any:
    """Returns the learning rate of the next update.

    The legacy optimizers of Keras 2 have a `decay`, and their updates divide
    `learning_rate` accordingly (tests/test_private_api.py notices a change).

    Args:
        optimizer: An optimizer of any flavor.

    Returns:
        Scalar tensor or variable.
    """
    inner = inner_of(optimizer)
    schedule = schedule_of(inner)
    step = inner.iterations
    rate = inner.learning_rate if schedule is None else schedule(step)
    decay = getattr(inner, "_initial_decay", 0.0) if is_legacy(inner) else 0.0
    return rate / (1.0 + decay * tf.cast(step, rate.dtype)) if decay else rate


def gradients_given(optimizer: Any) -> tuple[str, Callable[..., Any]]:
    """Returns the method that receives the gradients of an optimizer.

    Args:
        optimizer: An optimizer of any flavor.

    Returns:
        Pair of the name of the method and a function of its arguments. The
        function returns a list of triples (the gradient, its variable, whether
        it is already aggregated over all replicas), and the arguments to call
        the method with, because one of the originals may be an iterator. The
        gradients of a scaled loss are unscaled.
    """

    def of_apply(
        grads: Any, trainable_variables: Any = None, **kwargs: Any
    ) -> Any:
        grads = list(grads)
        # In Keras 3 the variables may be omitted: then they are the ones that
        # the optimizer was built with, which no public attribute lists
        # (tests/test_private_api.py notices a change).
        variables = trainable_variables
        if variables is None:
            variables = optimizer._trainable_variables
        variables = list(variables)
        scale = _loss_scale(optimizer)
        found = [
            (_scaled_back(gradient, scale), variable, False)
            for gradient, variable in zip(grads, variables, strict=False)
        ]
        return found, (grads, trainable_variables), kwargs

    def of_apply_gradients(
        grads_and_vars: Any, *args: Any, **kwargs: Any
    ) -> Any:
        pairs = list(grads_and_vars)
        is_aggregated = kwargs.get(
            "skip_gradients_aggregation", False
        ) or not kwargs.get("experimental_aggregate_gradients", True)
        found = [(g, variable, is_aggregated) for g, variable in pairs]
        return found, (pairs, *args), kwargs

    if hasattr(optimizer, "apply"):
        return "apply", of_apply
    return "apply_gradients", of_apply_gradients


def _loss_scale(optimizer: Any) -> Any:
    if not hasattr(optimizer, "dynamic_scale"):
        return getattr(optimizer, "loss_scale_factor", None)
    built = optimizer.built
    return optimizer.dynamic_scale if built else optimizer.initial_scale


def _scaled_back(gradient: Any, scale: Any) -> Any:
    if gradient is None or scale is None:
        return gradient
    tensor = tf.convert_to_tensor(gradient)
    return tensor / tf.cast(scale, tensor.dtype)
