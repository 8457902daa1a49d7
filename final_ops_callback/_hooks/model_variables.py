# SPDX-License-Identifier: Apache-2.0
"""Lists the live variables of a Keras model, with the names of their twins."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers
from final_ops_callback._keras.compat import is_variable
from final_ops_callback._keras.optimizers import Momentum
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._session.hook_graph import unique_names
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.live_variable import Meaning
from final_ops_callback.errors import ArgumentError

ReadOnly = tuple[str, str] | None

_COMPUTED = (
    "with gradient accumulation the step is computed from a count of batches",
    "Write the variable of that count, <the optimizer>/iteration.",
)
ROLES = (
    "weight",
    GLOBAL_STEP,
    "slot",
    LEARNING_RATE,
    "other_learning_rate",
    "metric",
)


class _Found(NamedTuple):
    """A variable of a model.

    Attributes:
        variable: The variable, or a tensor for a step that is computed.
        role: String. One of `ROLES`.
        path: String. The default name of its twin in a graph.
        alias: String. Another path of it: in Keras, or in a checkpoint.
        meaning: As in `LiveVariable`.
        compute: As in `LiveVariable`.
        saved_as: String. The name in checkpoints, if no name is given and
            `path` has a number of Keras that nobody can choose.
    """

    variable: Any
    role: str
    path: str
    alias: str = ""
    meaning: Meaning | None = None
    compute: Callable[[], Any] | None = None
    saved_as: str = ""


def live_variables(
    model: Any,
    variable_names: Mapping[str, str],
    why_read_only: ReadOnly = None,
    step_counter: Any = None,
    written: list[Momentum] | None = None,
) -> list[LiveVariable]:
    """Lists the variables of a model, its optimizers and its metrics.

    Args:
        model: A built Keras model of any flavor.
        variable_names: Mapping from the path of a variable to the name of its
            twin, for example its name in an old checkpoint. Other twins are
            named by their paths; the twin of `optimizer.iterations` is
            `global_step`.
        why_read_only: As in `LiveVariable`, for all twins. Defaults to `None`.
        step_counter: A `tf.Variable` that counts the steps, if the optimizer
            of `compile` does not. Defaults to `None`.
        written: As in `optimizers.meanings_of`. Defaults to a new list.

    Returns:
        List of live variables, without repetitions.

    Raises:
        ArgumentError: `variable_names` has a path that the model does not
            have, or gives one name twice.
    """
    found: dict[Any, _Found] = {}
    written = [] if written is None else written
    for item in _variables(model, step_counter, written):
        # The step counter may also be listed as the count of an optimizer.
        is_counter = item.variable is step_counter
        key = id(compat.backing(item.variable)), is_counter
        found.setdefault(key, item)
    trained = {id(compat.backing(v)) for v in model.trainable_weights}
    # As in v1: the weights, the step, and the slots of the optimizer.
    ordered = sorted(found.values(), key=lambda item: ROLES.index(item.role))
    names = _names(ordered, variable_names, _scopes_to_come(model))
    return [
        LiveVariable(
            name,
            compat.backing(item.variable),
            item.role,
            tuple(compat.components(item.variable)),
            item.path,
            _COMPUTED if item.compute else why_read_only,
            item.compute,
            item.meaning,
            id(compat.backing(item.variable)) in trained,
            item.saved_as if name == item.path else "",
        )
        for name, item in zip(names, ordered, strict=True)
    ]


def _variables(
    model: Any, step_counter: Any, written: list[Momentum]
) -> Iterator[_Found]:
    if step_counter is not None:
        yield _Found(step_counter, GLOBAL_STEP, GLOBAL_STEP)
    by_name = optimizers.optimizers_of(model)
    own = getattr(model, "optimizer", None)
    for owner, optimizer in by_name.items():
        is_own = optimizer is own
        if not is_own:
            yield _of_optimizer(optimizer.iterations, "slot", optimizer, owner)
        elif step_counter is None:
            step = optimizer.iterations
            yield _of_optimizer(step, GLOBAL_STEP, optimizer, owner)
        rate = optimizer_compat.rate_variable_of(optimizer)
        if rate is not None:
            role = LEARNING_RATE if is_own else "other_learning_rate"
            yield _of_optimizer(rate, role, optimizer, owner)
    for metric in compat.metrics_of(model):
        for variable in metric.variables:
            path = model_info.path_of(variable)
            path = path if "/" in path else f"{metric.name}/{path}"
            yield _Found(variable, "metric", path)
    seeds = model_info.seed_paths(model)
    for variable in model.variables:
        path = model_info.path_of(variable)
        of_layer = seeds.get(id(compat.backing(variable)), "")
        yield _Found(variable, "weight", path, of_layer, saved_as=of_layer)
    for owner, optimizer in by_name.items():
        meanings = optimizers.meanings_of(optimizer, written)
        for variable in optimizers.variables_of(optimizer):
            if variable is optimizer.iterations:
                continue  # yielded above, or not the step of this training
            meaning = meanings.get(id(compat.backing(variable)))
            yield _of_optimizer(variable, "slot", optimizer, owner, meaning)


def _of_optimizer(
    variable: Any,
    role: str,
    optimizer: Any,
    owner: str,
    meaning: Meaning | None = None,
) -> _Found:
    """Describes a variable of an optimizer.

    In Keras 2 the variables of all optimizers have the same names
    (`learning_rate`), which a variable of a hook may have, too. So the name in
    the graph contains the name of the optimizer.
    """
    if not is_variable(variable):
        return _Found(
            variable,
            role,
            f"{owner}/{GLOBAL_STEP}",
            compute=lambda: optimizer.iterations,
        )
    path = model_info.path_of(variable)
    in_graph = optimizers.graph_path(path, optimizer, owner)
    return _Found(variable, role, in_graph, path, meaning)


def _scopes_to_come(model: Any) -> tuple[str, ...]:
    """Returns the name prefixes of the slots that a later step will make.

    The first training makes the slots; if a model has several optimizers, its
    train step does. A callback that renames slots may also run in an evaluation
    before.
    """
    return tuple(
        f"{scope}/"
        for name, optimizer in optimizers.optimizers_of(model).items()
        if not optimizer_compat.is_built(optimizer)
        for scope in (name, optimizer_compat.name_of(optimizer))
    )


def _names(
    found: list[_Found],
    variable_names: Mapping[str, str],
    to_come: tuple[str, ...],
) -> list[str]:
    paths = {item.path for item in found} | {item.alias for item in found}
    unknown = sorted(
        path
        for path in set(variable_names) - paths
        if not path.startswith(to_come)
    )
    if unknown:
        raise ArgumentError(
            f"the model has no variable {unknown[0]!r}",
            "variable_names",
            f"It has {sorted(item.path for item in found)}.",
        )
    given = list(variable_names.values())
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ArgumentError(
            f"{twice[0]!r} is given to two variables",
            "variable_names",
            "Give each variable a name of its own.",
        )
    wanted = [
        variable_names.get(item.path) or variable_names.get(item.alias)
        for item in found
    ]
    # Names from `variable_names` come first, so that no path takes them.
    order = sorted(
        range(len(found)),
        key=lambda i: (wanted[i] is None, found[i].role != GLOBAL_STEP),
    )
    unique = unique_names(
        wanted[i]
        or (GLOBAL_STEP if found[i].role == GLOBAL_STEP else found[i].path)
        for i in order
    )
    names = dict(zip(order, unique, strict=True))
    return [names[i] for i in range(len(found))]
