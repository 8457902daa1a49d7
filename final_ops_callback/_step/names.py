# SPDX-License-Identifier: Apache-2.0
"""The names of what a step of a Keras model delivers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import tensorflow as tf

from final_ops_callback import _structure
from final_ops_callback._keras import compat
from final_ops_callback._keras import log_names
from final_ops_callback._keras import model_info
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback._names import LEARNING_RATE
from final_ops_callback._names import LOSS
from final_ops_callback._names import unique
from final_ops_callback.errors import StepTensorError

FEATURES, LABELS, WEIGHT = "features", "labels", "sample_weight"
PREDICTIONS, LAYERS, GRADIENTS = "predictions", "layers", "gradients"
GLOBAL_NORM = "global_norm"
LOGS = "logs/"

# In the order of what a data set yields.
DATA = (FEATURES, LABELS, WEIGHT)

# What each step has in its hands, and can hand on at no cost.
ALWAYS_THERE = (LOSS, *DATA, PREDICTIONS)

_WHOLE = {
    "train": (LOSS, *DATA, PREDICTIONS),
    "test": (LOSS, *DATA, PREDICTIONS),
    "predict": (FEATURES, PREDICTIONS),
}


_SpecOf = Callable[[Any], tf.TensorSpec | None]


class Source(NamedTuple):
    """Where in a step a value is taken.

    Attributes:
        kind: String. One of the names above.
        key: String. The path of the layer or of the variable, if it is one.
        part: String. The path inside of a structure, `""` for the whole.
    """

    kind: str
    key: str = ""
    part: str = ""


class StepNames:
    """What the steps of one model deliver, by name.

    Args:
        model: A Keras model of any flavor.
        phase: String. `"train"`, `"test"` or `"predict"`.
        declared: Mapping from a name to its `tf.TensorSpec`, where the model
            does not know it. Defaults to none.
        variable_names: Mapping from the path of a variable to the name of
            its twin: its gradient is called so, too. Defaults to none.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        declared: Mapping[str, tf.TensorSpec] | None = None,
        variable_names: Mapping[str, str] | None = None,
    ) -> None:
        self._model = model
        self._phase = phase
        self._declared = dict(declared or {})
        self._paths = {n: path for path, n in (variable_names or {}).items()}
        self._batch_spec: Any = None

    def learn(self, batch_spec: Any) -> None:
        """Takes what is known once the model is built from its first batch.

        Args:
            batch_spec: The structure of the specs of a batch of the data.
        """
        self._batch_spec = batch_spec
        for name in ("layers", "variables", "_known", "_logs"):
            vars(self).pop(name, None)

    @functools.cached_property
    def layers(self) -> dict[str, Any]:
        """The layers of the model by their paths."""
        return model_info.layers_by_path(self._model)

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        """The variables that have a gradient, by their paths.

        Paths that several variables have are told apart as the names of their
        twins in the hook graph are.
        """
        if self._phase != "train":
            return {}
        trained = {id(v) for v in self._model.trainable_variables}
        weights = self._model.variables
        paths = unique(model_info.path_of(variable) for variable in weights)
        return {
            path: variable
            for path, variable in zip(paths, weights, strict=True)
            if id(variable) in trained
        }

    def known(self) -> Collection[str]:
        """Returns all names that are known before a step."""
        return self._known

    @functools.cached_property
    def _logs(self) -> Collection[str]:
        return log_names.known_logs(self._model, self._phase) or ()

    @functools.cached_property
    def _known(self) -> dict[str, None]:
        names = [
            name
            for name in _WHOLE[self._phase]
            if name not in (FEATURES, PREDICTIONS)
        ]
        names += self._parts(FEATURES, "input", self._model)
        names += self._parts(PREDICTIONS, "output", self._model)
        names += [*self._declared, *model_info.input_names(self._model)]
        for path, layer in self.layers.items():
            names += self._parts(path, "output", layer)
        if self._phase == "train":
            names += [LEARNING_RATE, f"{GRADIENTS}/{GLOBAL_NORM}"]
            twins = {path: name for name, path in self._paths.items()}
            names += [
                f"{GRADIENTS}/{twins.get(path, path)}"
                for path in self.variables
            ]
        if self._phase != "predict":
            names += [LOGS + LOSS, *model_info.log_names(self._model)]
        return dict.fromkeys(names)

    def source(self, name: str) -> Source | None:
        """Returns where the value of a name is taken inside of the step.

        Args:
            name: String. The name of a step tensor.

        Returns:
            The source; `None` if the name is not known before a step: it may
            be that of a log.
        """
        head, _, rest = name.partition("/")
        if name == LOSS or head in (*DATA, PREDICTIONS):
            known = head in _WHOLE[self._phase]
            return Source(head, part=rest) if known else None
        if head == GRADIENTS:
            path = self._paths.get(rest, rest)
            if path in self.variables or (
                path == GLOBAL_NORM and self.variables
            ):
                return Source(GRADIENTS, path)
        if name in model_info.input_names(self._model):
            return Source(FEATURES, part=name)
        if name in self._logs:
            return None
        # A layer may have the name of something else: `layers/loss`.
        return self._layer(name) or self._layer(name.removeprefix("layers/"))

    def taken(self, names: Iterable[str]) -> dict[str, Source]:
        """Returns those of the names that are taken out of the step."""
        found = {name: self.source(name) for name in names}
        return {name: source for name, source in found.items() if source}

    def spec(self, name: str) -> tf.TensorSpec | None:
        """Returns the shape and dtype of a step tensor.

        Args:
            name: String. A name that somebody looks for.

        Returns:
            The spec, or `None` if a step delivers nothing of this name.

        Raises:
            StepTensorError: A step delivers it, but the model does not know
                its shape and dtype.
        """
        if name in self._declared:
            return self._declared[name]
        source = self.source(name)
        if source is None:
            return self._log_spec(name)
        if source.kind == LOSS:
            return tf.TensorSpec([], compat.floatx_of(self._model))
        if source.kind == GRADIENTS:
            return self._gradient_spec(source.key)
        for whole, spec_of in self._wholes(source):
            found = self._part(whole, source)
            # A part that is not there: `hidden/Relu`.
            return None if found is None else spec_of(found)
        if source.kind == WEIGHT:
            return tf.TensorSpec(None, compat.floatx_of(self._model))
        raise StepTensorError(
            f"the shape and dtype of {name!r} are not known before the first "
            "step",
            f"{name + ':0'!r} of the model {self._model.name!r}",
            "Declare them: SessionRunHookCallback(hooks, "
            f'step_tensors={{"{name}": tf.TensorSpec([None, 1], "float32")}}).',
        )

    def predictions(self, tensor_of: Callable[[str], Any]) -> Any:
        """Returns the predictions in the structure that the model has.

        Args:
            tensor_of: Function from the name of a step tensor to the tensor.
        """
        whole = model_info.symbolic(self._model, "output")
        if whole is None or len(parts_of(whole)) < 2:
            return tensor_of(f"{PREDICTIONS}:0")
        return _structure.map_with_path(
            lambda path, _: tensor_of(
                f"{PREDICTIONS}/{'/'.join(map(str, path))}:0"
            ),
            whole,
        )

    def _layer(self, name: str) -> Source | None:
        for path in _prefixes(name):
            if path in self.layers:
                part = name.removeprefix(path).removeprefix("/")
                return Source(LAYERS, path, part)
        return None

    def _log_spec(self, name: str) -> tf.TensorSpec | None:
        # A path is the name of an operation inside of the model, and those
        # are not in the graph: v1's own error says so.
        log = name.removeprefix(LOGS)
        # A model without an optimizer has no step; no log can be it.
        is_path = "/" in name and not name.startswith(LOGS)
        if self._phase == "predict" or is_path or log == GLOBAL_STEP:
            return None
        # Which metrics there are is not known before the first step: Keras
        # builds them there. So a name that is wrong is found there, too.
        return tf.TensorSpec(
            [] if log == LOSS else None, compat.floatx_of(self._model)
        )

    def _gradient_spec(self, path: str) -> tf.TensorSpec:
        if path == GLOBAL_NORM:
            return tf.TensorSpec([], compat.floatx_of(self._model))
        variable = self.variables[path]
        return tf.TensorSpec(variable.shape, variable.dtype)

    def _wholes(self, source: Source) -> Iterator[tuple[Any, _SpecOf]]:
        """Yields what is known of a whole structure, the surest first."""
        if self._batch_spec is not None and source.kind in DATA:
            batch = model_info.unpacked(self._model, self._batch_spec)
            whole = batch[DATA.index(source.kind)]
            if whole is not None:
                yield whole, lambda spec: spec
        if source.kind == FEATURES:
            whole = model_info.symbolic(self._model, "input")
        elif source.kind == PREDICTIONS:
            whole = model_info.symbolic(self._model, "output")
        elif source.kind == LAYERS:
            whole = model_info.symbolic(self.layers[source.key], "output")
        else:
            return
        if whole is not None:
            # The batches of all replicas, or of all steps of an execution.
            joined = model_info.replicas(self._model) > 1
            joined |= self._phase == "predict"
            yield whole, functools.partial(_spec_of, joined=joined)

    def _part(self, whole: Any, source: Source) -> Any:
        names: list[str] = []
        if source.kind == FEATURES:
            names = model_info.input_names(self._model)
        return part_of(whole, source.part, names)

    def _parts(self, name: str, side: str, layer: Any) -> list[str]:
        """Lists a name, or the names of its parts if it has several."""
        whole = model_info.symbolic(layer, side)
        parts = [] if whole is None else list(parts_of(whole))
        return [f"{name}/{p}" for p in parts] if len(parts) > 1 else [name]


def part_of(whole: Any, part: str, input_names: Iterable[str] = ()) -> Any:
    """Returns one part of a structure of tensors.

    Args:
        whole: A tensor, or any nesting of lists, tuples and dicts of them.
        part: String. The keys and indices that lead to it, with slashes.
            `""` is also a part that is the only one.
        input_names: Iterable of strings. The names of the inputs of the model
            in their order: a part may be called so. Defaults to `()`.

    Returns:
        The part, or `None` if there is none.

    Example:
    >>> part_of({"a": [1, 2]}, "a/1")
    2
    """
    parts = parts_of(whole)
    if part in parts:
        return parts[part]
    for index, name in enumerate(input_names):
        if part == name:
            return parts.get(str(index), parts.get("") if index == 0 else None)
    return next(iter(parts.values())) if not part and len(parts) == 1 else None


def parts_of(whole: Any) -> dict[str, Any]:
    """Returns the parts of a structure by their paths, as `part_of` does."""
    return {
        "/".join(map(str, path)): leaf
        for path, leaf in _structure.leaves_with_path(whole)
        if leaf is not None
    }


def _prefixes(name: str) -> Iterable[str]:
    """Yields the name and what is before its slashes, the longest first."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def _spec_of(tensor: Any, joined: bool) -> tf.TensorSpec | None:
    if not model_info.is_dense(tensor):
        return None
    shape = tf.TensorShape(tensor.shape)
    if joined and shape.rank:
        shape = tf.TensorShape([None, *shape[1:]])
    return tf.TensorSpec(shape, tensor.dtype)
