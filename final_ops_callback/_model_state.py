# SPDX-License-Identifier: Apache-2.0
"""The live variables of a Keras model, by the names its twins will have."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _model
from final_ops_callback import _stack
from final_ops_callback._graph import GLOBAL_STEP
from final_ops_callback._graph import LEARNING_RATE
from final_ops_callback._graph import LiveVariable
from final_ops_callback._graph import unique_names
from final_ops_callback.errors import ArgumentError

ROLES = ("weight", GLOBAL_STEP, "slot", LEARNING_RATE, "metric")


def live_variables(
    model: Any, variable_names: Mapping[str, str]
) -> list[LiveVariable]:
    """Lists the variables of a model, its optimizer and its metrics.

    Args:
        model: A built Keras model of any generation.
        variable_names: Mapping from the path of a variable to the name of
            its twin, such as an old checkpoint has it. Other twins are named
            by their paths; that of `optimizer.iterations` is `global_step`.

    Returns:
        List of live variables, each once.

    Raises:
        ArgumentError: `variable_names` has a path that the model has not, or
            gives one name twice.
    """
    _build_optimizer(model)
    found: dict[int, tuple[Any, str]] = {}
    for variable, role in _with_roles(model):
        found.setdefault(id(_backing(variable)), (variable, role))
    # As in v1: the weights, the step, and what the optimizer adds to them.
    ordered = sorted(found.values(), key=lambda item: ROLES.index(item[1]))
    paths = [_model.path_of(variable) for variable, _ in ordered]
    names = _names(paths, [role for _, role in ordered], variable_names)
    return [
        LiveVariable(
            name,
            _backing(variable),
            role,
            tuple(_stack.components(variable)),
            path,
        )
        for name, path, (variable, role) in zip(
            names, paths, ordered, strict=True
        )
    ]


def _with_roles(model: Any) -> Iterator[tuple[Any, str]]:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None:
        yield optimizer.iterations, GLOBAL_STEP
        rate = getattr(optimizer, "learning_rate", None)
        if _stack.is_variable(rate):
            yield rate, LEARNING_RATE
    for metric in _stack.metrics_of(model):
        for variable in metric.variables:
            yield variable, "metric"
    for variable in model.variables:
        yield variable, "weight"
    if optimizer is not None:
        variables = optimizer.variables
        for variable in variables() if callable(variables) else variables:
            yield variable, "slot"


def _build_optimizer(model: Any) -> None:
    """Makes the slots, which Keras makes in the first step only.

    A v1 hook finds them in `begin`, as it did under v1.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if hasattr(optimizer, "build") and not getattr(optimizer, "built", False):
        with _stack.strategy_scope(model):
            optimizer.build(model.trainable_variables)


def _backing(variable: Any) -> Any:
    """Returns the `tf.Variable` behind a variable of any generation."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def _names(
    paths: list[str], roles: list[str], variable_names: Mapping[str, str]
) -> list[str]:
    unknown = sorted(set(variable_names) - set(paths))
    if unknown:
        raise ArgumentError(
            f"the model has no variable {unknown[0]!r}",
            "variable_names",
            f"It has {sorted(paths)}.",
        )
    given = list(variable_names.values())
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"{twice[0]!r} is given to two variables",
            "variable_names",
            "Give each variable a name of its own.",
        )
    wanted = {
        path: variable_names.get(
            path, GLOBAL_STEP if role == GLOBAL_STEP else path
        )
        for path, role in zip(paths, roles, strict=True)
    }
    # Names that were asked for come first, so that no path takes them.
    order = sorted(
        range(len(paths)),
        key=lambda i: (paths[i] not in variable_names, roles[i] != GLOBAL_STEP),
    )
    unique = unique_names(wanted[paths[i]] for i in order)
    names = dict(zip(order, unique, strict=True))
    return [names[i] for i in range(len(paths))]
