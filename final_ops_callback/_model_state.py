# SPDX-License-Identifier: Apache-2.0
"""The live variables of a Keras model, by the names its twins will have."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _model
from final_ops_callback import _stack
from final_ops_callback._graph import LEARNING_RATE
from final_ops_callback._graph import unique_names
from final_ops_callback._live import GLOBAL_STEP
from final_ops_callback._live import LiveVariable
from final_ops_callback._stack import is_variable
from final_ops_callback.errors import ArgumentError

ReadOnly = tuple[str, str] | None

_COMPUTED = (
    "with gradient accumulation the step is computed from a count of batches",
    "Write the variable of that count, <the optimizer>/iteration.",
)
ROLES = ("weight", GLOBAL_STEP, "slot", LEARNING_RATE, "metric")


def live_variables(
    model: Any,
    variable_names: Mapping[str, str],
    why_read_only: ReadOnly = None,
) -> list[LiveVariable]:
    """Lists the variables of a model, its optimizer and its metrics.

    Args:
        model: A built Keras model of any generation.
        variable_names: Mapping from the path of a variable to the name of
            its twin, such as an old checkpoint has it. Other twins are named
            by their paths; that of `optimizer.iterations` is `global_step`.
        why_read_only: As in `LiveVariable`, for all twins.

    Returns:
        List of live variables, each once.

    Raises:
        ArgumentError: `variable_names` has a path that the model has not, or
            gives one name twice.
    """
    _build_optimizer(model)
    found: dict[int, tuple[Any, str, str]] = {}
    for variable, role, owner in _with_roles(model):
        path = _path_of(variable, owner)
        found.setdefault(id(_backing(variable)), (variable, role, path))
    # As in v1: the weights, the step, and what the optimizer adds to them.
    ordered = sorted(found.values(), key=lambda item: ROLES.index(item[1]))
    paths = [path for _, _, path in ordered]
    names = _names(paths, [role for _, role, _ in ordered], variable_names)
    return [
        LiveVariable(
            name,
            _backing(variable),
            role,
            tuple(_stack.components(variable)),
            path,
            why_read_only if is_variable(variable) else _COMPUTED,
            None
            if is_variable(variable)
            else lambda: model.optimizer.iterations,
        )
        for name, (variable, role, path) in zip(names, ordered, strict=True)
    ]


def _with_roles(model: Any) -> Iterator[tuple[Any, str, str]]:
    """Yields each variable, its role, and the name of what it belongs to."""
    optimizer = getattr(model, "optimizer", None)
    owner = "" if optimizer is None else _stack.optimizer_name(optimizer)
    if optimizer is not None:
        yield optimizer.iterations, GLOBAL_STEP, owner
        rate = getattr(optimizer, "learning_rate", None)
        if is_variable(rate) and not _stack.schedule_of(optimizer):
            yield rate, LEARNING_RATE, owner
    for metric in _stack.metrics_of(model):
        for variable in metric.variables:
            yield variable, "metric", metric.name
    for variable in model.variables:
        yield variable, "weight", ""
    if optimizer is not None:
        variables = optimizer.variables
        for variable in variables() if callable(variables) else variables:
            yield variable, "slot", owner


def _path_of(variable: Any, owner: str) -> str:
    """Returns the path of a variable, as Keras 3 has it.

    Keras 2 calls the state of each metric and optimizer the same (`count`,
    `learning_rate`), and so may a variable of a hook be called.
    """
    if not is_variable(variable):
        return f"{owner}/{GLOBAL_STEP}"
    path = _model.path_of(variable)
    return path if "/" in path or not owner else f"{owner}/{path}"


def _build_optimizer(model: Any) -> None:
    """Makes the slots, which Keras makes in the first step only.

    A v1 hook finds them in `begin`, as it did under v1.
    """
    optimizer: Any = getattr(model, "optimizer", None)
    if hasattr(optimizer, "build") and not getattr(optimizer, "built", False):
        with _stack.strategy_scope(model), _stack.slot_scope(optimizer):
            optimizer.build(model.trainable_variables)


def _backing(variable: Any) -> Any:
    """Returns the `tf.Variable` behind a variable of any generation."""
    is_own = isinstance(variable, tf.Variable | tf.Tensor)
    return variable if is_own else variable.value


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
