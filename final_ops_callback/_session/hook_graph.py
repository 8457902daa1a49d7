# SPDX-License-Identifier: Apache-2.0
"""The hook graph: a real v1 graph whose variables are those of a live model.

It is a `tf.Graph` and not a `FuncGraph`. Only in a plain graph are tensors
hashable (as the keys of feed dicts are) and compared by identity, are variables
v1 variables, does `finalize()` work, and can `FileWriter` and `Saver` be used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._names import StepSpecs
from final_ops_callback._names import nearest
from final_ops_callback._names import unique
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.model_links import ModelLinks
from final_ops_callback._session.model_links import link
from final_ops_callback._tf_private import unfinalize
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import UnknownNameError

logger = logging.getLogger("final_ops_callback")

_KEYS = tf.compat.v1.GraphKeys
COLLECTIONS = {
    "weight": (_KEYS.GLOBAL_VARIABLES,),
    "slot": (_KEYS.GLOBAL_VARIABLES,),
    "metric": (_KEYS.METRIC_VARIABLES, _KEYS.LOCAL_VARIABLES),
    # v1 optimizers kept their learning rate out of checkpoints.
    "learning_rate": (_KEYS.LOCAL_VARIABLES,),
    "other_learning_rate": (_KEYS.LOCAL_VARIABLES,),
    "global_step": (_KEYS.GLOBAL_STEP, _KEYS.GLOBAL_VARIABLES),
}


# Step tensors have a scope of their own, so that they don't take names from
# the operations of hooks.
_SCOPE, _GIVEN = "step_tensors/", "/given"
_REFUSED_GRADIENT = "FinalOpsCallbackStepTensor"


def _refuse_gradient(op: tf.Operation, *_: Any) -> None:
    """Raises an error instead of returning a gradient of zero.

    The operations of the model are not in the graph, so TensorFlow would find
    no way from a step tensor to the weights.
    """
    raise HookUsageError(
        "the gradient of a step tensor is not known: the operations that "
        "compute it are not in the hook graph",
        f"gradient of {op.name.removeprefix(_SCOPE).removesuffix(_GIVEN)!r}",
        "Compute gradients in the model's train_step, and log what you need "
        "of them.",
    )


# When the module is reloaded, the gradient is registered already, and there is
# no way to remove it.
with contextlib.suppress(KeyError):
    tf.RegisterGradient(_REFUSED_GRADIENT)(_refuse_gradient)


class HookGraph(tf.Graph):
    """The graph that v1 hooks see as the default graph.

    Args:
        live_variables: Iterable of `LiveVariable`. One of them may have the
            role `global_step`; without it, the graph has its own global step,
            which stays 0.
        step_specs: What the training step delivers by name. Defaults to
            nothing.

    Attributes:
        links: The `ModelLinks` of the graph.
    """

    def __init__(
        self,
        live_variables: Iterable[LiveVariable] = (),
        step_specs: StepSpecs | None = None,
    ) -> None:
        super().__init__()
        self.links = ModelLinks(
            step_specs=step_specs or StepSpecs(),
            find_fed=self.existing_element,
        )
        link(self, self.links)
        self._learning_rate: tf.Tensor | None = None
        self._weights: list[tf.Tensor] = []
        self._variables: dict[str, Any] = {}
        self._told: set[str] = set()
        self._taken: dict[str, bool] = {}
        with self.as_default():
            # Variables that hooks make are resource variables, even after
            # disable_resource_variables(): a run reads their value, and not
            # their memory.
            tf.compat.v1.get_variable_scope().set_use_resource(True)
            for live in live_variables:
                self._add_twin(live)
            tf.compat.v1.train.get_or_create_global_step()

    def as_graph_element(
        self,
        obj: Any,
        allow_tensor: bool = True,
        allow_operation: bool = True,
    ) -> Any:
        """Finds a tensor or operation, and makes step tensors on demand.

        A v1 hook finds the tensors of its model by name. A step tensor is made
        when somebody looks for it, so that the step delivers only what is
        needed. In v1 the model was built first, so its tensors had the names,
        and an operation that a hook made later got another name. Therefore, a
        name that the step is known to deliver always means the step tensor.

        Args:
            obj: A name, tensor, operation or variable, as a v1 graph takes it.
            allow_tensor: Boolean. Defaults to `True`.
            allow_operation: Boolean. Defaults to `True`.

        Returns:
            The tensor or operation.

        Raises:
            UnknownNameError: There is no element of this name. It is a
                `KeyError`, as in v1.
            StepTensorError: The shape and dtype of the step tensor are not
                known.
        """
        if not isinstance(obj, str):
            return super().as_graph_element(obj, allow_tensor, allow_operation)
        name = obj.removesuffix(":0")
        specs = self.links.step_specs
        is_known = name not in self.links.twins and name in specs.known()
        if is_known and name != LEARNING_RATE and self._made_step_tensor(name):
            self._tell_of_namesake(name)
        try:
            return self._named(obj, allow_tensor, allow_operation)
        except KeyError as error:
            # Code that looks for an operation may want to make it if it does
            # not exist. A log that the step may have must not prevent that.
            if not (allow_tensor or is_known):
                raise
            if not self._made_step_tensor(name):
                raise self._unknown(name, error) from None
        return self._named(obj, allow_tensor, allow_operation)

    def _unknown(self, name: str, error: KeyError) -> UnknownNameError:
        known = self.links.step_specs.known()
        log = f"A log of this name is 'logs/{name}:0'. " if "/" in name else ""
        return UnknownNameError(
            error.args[0].removesuffix("."),
            "the hook graph",
            log * ("logs/loss" in known)
            + nearest(name, known, self.links.twins),
        )

    def existing_element(
        self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True
    ) -> Any:
        """Finds a tensor like `as_graph_element`, without making step tensors.

        It is used for the keys of feeds, which ask the model for nothing.

        Raises:
            HookUsageError: The name is ambiguous: a step tensor has it, and so
                has an operation that a hook made.
        """
        if isinstance(obj, str):
            name = obj.removesuffix(":0")
            is_of_step = name in self.links.step_tensors or (
                name == LEARNING_RATE and self._learning_rate is not None
            )
            if is_of_step and self._is_taken(name):
                raise HookUsageError(
                    f"{obj!r} is a tensor of the model's step, and an "
                    "operation that a hook made has the same name",
                    f"feed of {obj!r}",
                    "Feed the tensor itself instead of its name, or give the "
                    "operation of the hook another name.",
                )
        return self._named(obj, allow_tensor, allow_operation)

    def _named(
        self, obj: Any, allow_tensor: bool, allow_operation: bool
    ) -> Any:
        """Finds an element; a step tensor is found by its short name.

        In the graph, step tensors have names in a scope of their own, so that
        they don't take names from the operations and summaries of hooks.
        """
        if isinstance(obj, str):
            name = obj.removesuffix(":0")
            tensor = self.links.step_tensors.get(name)
            if name == LEARNING_RATE:
                # As in v1, a variable of a hook may have this name.
                rate = self._learning_rate
                tensor = tensor if rate is None else rate
                tensor = None if self._is_taken(name) else tensor
            if tensor is not None:
                obj = tensor if obj.endswith(":0") else tensor.op
        return super().as_graph_element(obj, allow_tensor, allow_operation)

    def _is_taken(self, name: str) -> bool:
        """Returns whether a hook made an operation of this name."""
        if not self.finalized:
            return self._has_operation(name)
        if name not in self._taken:  # a finalized graph does not change
            self._taken[name] = self._has_operation(name)
        return self._taken[name]

    def _has_operation(self, name: str) -> bool:
        try:
            super().as_graph_element(name, False, True)
        except (KeyError, ValueError):
            return False
        return name not in self.links.twins

    def _tell_of_namesake(self, name: str) -> None:
        if self._is_taken(name) and name not in self._told:
            self._told.add(name)
            logger.warning(
                "%r is what the model's step delivers. A hook made an "
                "operation of the same name, which is found by the tensor "
                "itself and not by its name.",
                f"{name}:0",
            )

    def step_scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the name scope of operations that hooks did not make."""
        return tf.name_scope(_SCOPE)

    def replace_live(self, twin: str, variable: Any) -> None:
        """Makes a twin stand for another variable of the same shape and dtype.

        Args:
            twin: String. The name of its handle operation.
            variable: A `tf.Variable`, which may have a component on each
                replica.
        """
        self.links.twins[twin] = dataclasses.replace(
            self.links.twins[twin],
            variable=variable,
            components=tuple(getattr(variable, "values", None) or (variable,)),
            compute=None,
            meaning=None,
        )

    @property
    def replaced_initializers(self) -> list[tf.Operation]:
        """The initializers of twins that hooks have replaced.

        Keras owns the initial values of its variables, so the initializers of
        twins do nothing. An initializer that was replaced, as
        `tf.compat.v1.train.init_from_checkpoint` does, has to run.
        """
        return [
            variable.initializer
            for variable in self._variables.values()
            if variable.initializer.name not in self.links.twin_initializers
        ]

    def _made_step_tensor(self, name: str) -> bool:
        if name in self.links.step_tensors:
            return True
        if ":" in name:
            return False
        spec = self.links.step_specs.spec(name)
        if spec is None:
            return False
        # In v1 the tensors of the model existed before the graph was
        # finalized. Here they may first be looked up in `before_run`, when the
        # graph is finalized. No public function reopens a finalized graph.
        was_finalized = self.finalized
        if was_finalized:
            unfinalize(self)
        try:
            self._make_step_tensor(name, spec)
        finally:
            if was_finalized:
                self.finalize()
        return True

    def _make_step_tensor(self, name: str, spec: tf.TensorSpec) -> None:
        with (
            self.as_default(),
            tf.name_scope(""),
            tf.control_dependencies(None),
            self.gradient_override_map({"IdentityN": _REFUSED_GRADIENT}),
        ):
            with self.step_scope():
                given = tf.compat.v1.placeholder(spec.dtype, spec.shape)
                # This operation never runs, because the value is given. It
                # has the weights as inputs, so that v1.gradients goes through
                # it and finds the gradient that raises an error.
                own_name = graph_name(name)
                value, *_ = tf.raw_ops.IdentityN(
                    input=[given, *self._weights], name=own_name + _GIVEN
                )
                self.links.step_tensors[name] = tf.identity(
                    value, name=own_name
                )

    def _add_twin(self, live: LiveVariable) -> None:
        variable = live.variable
        # `get_variable` does not take a shape with unknown dimensions.
        open_ = variable.shape.rank is None
        sizes = [] if open_ else [size or 0 for size in variable.shape]
        with tf.variable_creator_scope(
            lambda create, **options: create(
                **{**options, "shape": variable.shape}
            )
        ):
            twin = tf.compat.v1.get_variable(
                live.name,
                shape=sizes,
                dtype=variable.dtype,
                # It never runs: see `twin_initializers`.
                initializer=tf.compat.v1.zeros_initializer(),
                trainable=live.role == "weight"
                and live.is_trained
                and variable.trainable,
                collections=list(COLLECTIONS[live.role]),
                use_resource=True,
            )
        self.links.twins[twin.handle.op.name] = live
        self._variables[twin.handle.op.name] = twin
        if twin.trainable:
            self._weights.append(twin.handle)
        self.links.twin_initializers.add(twin.initializer.name)
        if live.role == LEARNING_RATE:
            with self.step_scope():
                self._learning_rate = tf.identity(twin, name=LEARNING_RATE)
            self.links.step_inputs[self._learning_rate.name] = live


def graph_name(path: str) -> str:
    """Turns the path of a variable into a valid name for an operation.

    Args:
        path: String. Any text.

    Returns:
        The path, with an underscore for each character that is not allowed in
        the name of an operation.

    Example:
    >>> graph_name("my layer/kernel")
    'my_layer/kernel'
    """
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", path)
    return name if re.match(r"[A-Za-z0-9.]", name) else f"v{name}"


def unique_names(names: Iterable[str]) -> list[str]:
    """Turns the paths of variables into graph names that are all different.

    Args:
        names: Iterable of strings. Paths of variables.

    Example:
    >>> unique_names(["a", "a", "b"])
    ['a', 'a_1', 'b']
    """
    return unique(map(graph_name, names))
