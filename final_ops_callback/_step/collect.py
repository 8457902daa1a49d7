# SPDX-License-Identifier: Apache-2.0
"""Collecting tensors inside of a step, while Keras computes it.

The methods that have them in their hands are wrapped on the instances:
`compute_loss` of the model, `call` of a layer, `apply` of the optimizer. The
step returns what was collected beside its own outputs. Nothing here runs more
often than Keras traces the step (each step, if it runs eagerly).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback._keras import compat
from final_ops_callback._keras import model_info
from final_ops_callback._keras import optimizer_compat
from final_ops_callback._keras import optimizers
from final_ops_callback._keras.wrapping import Place
from final_ops_callback._keras.wrapping import Wrappers
from final_ops_callback._keras.wrapping import take_off
from final_ops_callback._keras.wrapping import unconverted
from final_ops_callback._names import LOSS
from final_ops_callback._step.names import DATA
from final_ops_callback._step.names import FEATURES
from final_ops_callback._step.names import GLOBAL_NORM
from final_ops_callback._step.names import GRADIENTS
from final_ops_callback._step.names import LAYERS
from final_ops_callback._step.names import PREDICTIONS
from final_ops_callback._step.names import Source
from final_ops_callback._step.names import StepNames
from final_ops_callback._step.names import part_of
from final_ops_callback._step.names import parts_of
from final_ops_callback._step.replicas import BATCH
from final_ops_callback._step.replicas import SAME
from final_ops_callback._step.replicas import TOTAL
from final_ops_callback._step.replicas import Share
from final_ops_callback._step.replicas import joined
from final_ops_callback.errors import StepTensorError

# The step returns a dict of its own outputs and of what was collected.
OUTPUTS, COLLECTED = "outputs", "final_ops_callback/collected"


class Collector:
    """Takes tensors out of the step of one model.

    Args:
        model: The Keras model.
        phase: String. `"train"`, `"test"` or `"predict"`.
        sources: Mapping from a name to where its value is taken.
        names: The `StepNames` of the model and the phase.
        optional: Collection of the names that a step may not deliver.
            Defaults to none.
    """

    def __init__(
        self,
        model: Any,
        phase: str,
        sources: Mapping[str, Source],
        names: StepNames,
        optional: Collection[str] = (),
    ) -> None:
        self._model = model
        self._phase = phase
        self._sources = dict(sources)
        paths = {s.key for s in sources.values() if s.kind == LAYERS}
        self._layers = {path: names.layers[path] for path in paths}
        self._paths = {
            id(compat.backing(variable)): path
            for path, variable in names.variables.items()
        }
        self._kinds = {source.kind for source in sources.values()}
        self._wrappers = Wrappers(self._places())
        self._raised: StepTensorError | None = None
        self._optional = frozenset(optional)
        # What an error would say of what a step has not delivered.
        self._missing: dict[str, tuple[Any, ...]] = {}
        # Replicas trace in threads of their own.
        self._local = threading.local()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Wraps the methods, for the time of a trace or of a call.

        Keras may trace the function in any call of it. Autograph of Keras 2
        converts the wrappers with the methods in them, so they are plain.
        """
        before = self._wrappers.put_on()
        try:
            yield
        except Exception as error:
            # Autograph of Keras 2 makes another error of what it runs.
            own, self._raised = self._raised, None
            if own is None or own is error:
                raise
            raise own from None
        finally:
            take_off(before)
            self._local.step = None

    def check(self, names: Iterable[str]) -> None:
        """Refuses names that a trace of the step has not delivered.

        Args:
            names: Iterable of the names that are needed now.

        Raises:
            StepTensorError: One of them was optional, and is missing.
        """
        if self._missing:
            for name in names:
                if name in self._missing:
                    raise StepTensorError(*self._missing[name])

    def _places(self) -> Iterator[Place]:
        """Yields the methods to wrap, and with what."""
        yield self._model, f"{self._phase}_step", self._wrapped_step
        if self._kinds & {LOSS, PREDICTIONS, *DATA}:
            yield self._model, "compute_loss", self._wrapped_loss
        for path, layer in self._layers.items():
            yield layer, "call", functools.partial(self._wrapped_call, path)
        if GRADIENTS in self._kinds:
            for optimizer in optimizers.optimizers_of(self._model).values():
                name, values_of = optimizer_compat.gradients_given(optimizer)
                wrap = functools.partial(self._wrapped_apply, values_of)
                yield optimizer, name, wrap

    def _wrapped_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def collecting_step(*args: Any) -> Any:
            self._begin()
            outputs = step(*args)
            return self._with_collected(outputs, args[0])

        return collecting_step

    def _wrapped_loss(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def collecting_compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = method(*args, **kwargs)
            self._note_loss(loss, args, kwargs)
            return loss

        return collecting_compute_loss

    def _wrapped_call(
        self, path: str, method: Callable[..., Any]
    ) -> Callable[..., Any]:
        @functools.wraps(method)
        def collecting_call(*args: Any, **kwargs: Any) -> Any:
            outputs = method(*args, **kwargs)
            self._note_output(path, outputs)
            return outputs

        return collecting_call

    def _wrapped_apply(
        self, values_of: Callable[..., Any], method: Callable[..., Any]
    ) -> Callable[..., Any]:
        def collecting_apply(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = self._note_gradients(values_of, args, kwargs)
            return method(*args, **kwargs)

        return collecting_apply

    @unconverted
    def _begin(self) -> None:
        self._local.step = _Collected(_current_graph())

    @unconverted
    def _note_loss(
        self, loss: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        names = ("x", "y", "y_pred", "sample_weight")
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        if step := self._step():
            step.losses.append((loss, given))

    @unconverted
    def _note_output(self, path: str, outputs: Any) -> None:
        step = self._step()
        if step is None:
            return
        # Keras may call a layer once more in a graph of its own, to know a
        # shape: that call is not the step's.
        if path not in step.outputs or _current_graph() is step.graph:
            step.outputs[path] = outputs

    @unconverted
    def _note_gradients(
        self,
        values_of: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given, args, kwargs = values_of(*args, **kwargs)
        if step := self._step():
            step.gradients.update(
                (self._path_of(variable), (gradient, is_aggregated))
                for gradient, variable, is_aggregated in given
                if gradient is not None
            )
        return args, kwargs

    def _path_of(self, variable: Any) -> str:
        # One that is not the model's own may be trained, too.
        known = self._paths.get(id(compat.backing(variable)))
        return known or model_info.path_of(variable)

    def _step(self) -> _Collected | None:
        """Returns what this step has collected.

        Outside of a step nobody asks: Keras builds a model with `compute_loss`.
        """
        return getattr(self._local, "step", None)

    @unconverted
    def _with_collected(self, outputs: Any, data: Any) -> dict[str, Any]:
        step, self._local.step = self._local.step, None
        step.data, step.result = data, outputs
        shares: dict[str, Share] = {}
        norms: dict[str, list[Share]] = {}
        for name, source in self._sources.items():
            try:
                if source == (GRADIENTS, GLOBAL_NORM, ""):
                    norms[name] = [
                        self._gradient(name, path, step)
                        for path in step.gradients
                    ]
                else:
                    shares[name] = self._share_of(name, source, step)
            except StepTensorError as error:
                if name not in self._optional:
                    raise
                # Not the error, whose frames would keep the callback alive.
                self._missing[name], self._raised = error.args, None
        return {OUTPUTS: outputs, COLLECTED: joined(shares, norms)}

    def _share_of(self, name: str, source: Source, step: _Collected) -> Share:
        if source.kind == LOSS:
            return self._share(name, self._loss(step)[0], TOTAL)
        if source.kind == GRADIENTS:
            return self._gradient(name, source.key, step)
        whole = self._whole(source, step)
        names = model_info.input_names(self._model)
        value = part_of(
            whole, source.part, names if source.kind == FEATURES else ()
        )
        if value is None:
            parts = [p for p in parts_of(whole) if p]
            base = name.removesuffix(source.part).removesuffix("/") or name
            raise self._error(
                name,
                f"this step has no {name!r}",
                f"It has {[f'{base}/{part}' for part in parts]}."
                if parts
                else "The data of this call has to hold it.",
            )
        if not model_info.is_dense(value):
            raise self._error(
                name,
                f"{name!r} is a {type(value).__name__}",
                "Only dense tensors are taken out of a step.",
            )
        return self._share(name, value, BATCH)

    def _whole(self, source: Source, step: _Collected) -> Any:
        if source.kind == LAYERS:
            if source.key not in step.outputs:
                raise self._error(
                    source.key,
                    f"the layer {source.key!r} is not called in this step",
                    "Ask for a layer that is.",
                )
            return step.outputs[source.key]
        if source.kind == PREDICTIONS:
            if self._phase == "predict":
                return step.result
            return self._loss(step)[1].get("y_pred")
        index = DATA.index(source.kind)
        found = model_info.unpacked(self._model, step.data)[index]
        if found is None and len(step.losses) == 1:
            # A step of the user's own may take its data apart by itself.
            found = step.losses[0][1].get(("x", "y", "sample_weight")[index])
        return found

    def _loss(self, step: _Collected) -> tuple[Any, dict[str, Any]]:
        if len(step.losses) != 1:
            raise self._error(
                "loss",
                f"{self._phase}_step of this model calls compute_loss "
                f"{len(step.losses)} times, so its loss and predictions are "
                "not known outside of it",
                "Let it call self.compute_loss(x, y, y_pred) once, or fetch "
                "what it logs: 'logs/loss:0'.",
            )
        return step.losses[0]

    def _gradient(self, name: str, path: str, step: _Collected) -> Share:
        if path not in step.gradients:
            raise self._error(
                name,
                f"the optimizer got no {name!r}",
                f"It got those of {sorted(step.gradients)}.",
            )
        gradient, is_aggregated = step.gradients[path]
        return self._share(name, gradient, SAME if is_aggregated else TOTAL)

    def _share(self, name: str, value: Any, kind: str) -> Share:
        tensor = tf.convert_to_tensor(value)
        graph = _current_graph()
        if graph is not None and tensor.graph is not graph:
            raise self._error(
                name,
                f"{name!r} is computed in a loop, a branch or a function "
                "inside of the step, and can't leave it",
                "Ask for the output of the layer around it.",
            )
        return Share(tensor, kind)

    def _error(self, name: str, what: str, way_out: str) -> StepTensorError:
        where = f"fetch '{name}:0' in {self._phase}_step"
        self._raised = StepTensorError(what, where, way_out)
        return self._raised


@dataclasses.dataclass
class _Collected:
    """What one replica has collected in one step.

    Attributes:
        graph: The graph that is traced, `None` when running eagerly.
        losses: List of pairs: what `compute_loss` returned, and what it got
            by name.
        outputs: Dict from the path of a layer to what its last call returned.
        gradients: Dict from the path of a variable to its gradient and
            whether it is that of all replicas.
        data: The argument of the step.
        result: What the step returned.
    """

    graph: Any
    losses: list[tuple[Any, dict[str, Any]]] = dataclasses.field(
        default_factory=list
    )
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    gradients: dict[str, tuple[Any, bool]] = dataclasses.field(
        default_factory=dict
    )
    data: Any = None
    result: Any = None


def _current_graph() -> tf.Graph | None:
    if tf.executing_eagerly():
        return None
    return tf.compat.v1.get_default_graph()
