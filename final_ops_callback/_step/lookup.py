# SPDX-License-Identifier: Apache-2.0
"""The names of what a step of a Keras model delivers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from final_ops_callback import _structure
from final_ops_callback._keras import model_info
from final_ops_callback._step import kinds
from final_ops_callback._step.kind import ModelStep
from final_ops_callback._step.kind import StepTensor
from final_ops_callback._step.kind import TakenTensor
from final_ops_callback._step.kind import parts_of


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
        self._step = ModelStep(model, phase, variable_names)
        self._declared = dict(declared or {})

    def learn(self, batch_spec: Any) -> None:
        """Takes what is known once the model is built from its first batch.

        Args:
            batch_spec: The structure of the specs of a batch of the data.
        """
        self._step.learn(batch_spec)
        vars(self).pop("_known", None)

    def known(self) -> Collection[str]:
        """Returns all names that are known before a step."""
        return self._known

    @functools.cached_property
    def _known(self) -> dict[str, None]:
        names = [n for kind in kinds.KINDS for n in kind.names(self._step)]
        return dict.fromkeys([*names, *self._declared])

    def find(self, name: str) -> StepTensor | None:
        """Returns the step tensor of a name.

        Args:
            name: String. A name that somebody looks for.

        Returns:
            The step tensor, or `None` if a step certainly delivers nothing of
            this name. Any other name may be that of a log.
        """
        for kind in kinds.KINDS:
            found = kind.find(self._step, name)
            if found is not None or kind.reserves(name):
                return found
        return None

    def taken(self, names: Iterable[str]) -> dict[str, TakenTensor]:
        """Returns those of the names that are taken out of the step."""
        found = {name: self.find(name) for name in names}
        return {
            name: tensor
            for name, tensor in found.items()
            if isinstance(tensor, TakenTensor)
        }

    def spec(self, name: str) -> tf.TensorSpec | None:
        """Returns the shape and dtype of a step tensor.

        Args:
            name: String. A name that somebody looks for.

        Returns:
            The spec, or `None` if a step certainly delivers nothing of this
            name, or only if it is declared.

        Raises:
            StepTensorError: A step delivers it, but the model does not know
                its shape and dtype.
        """
        if name in self._declared:
            return self._declared[name]
        found = self.find(name)
        return None if found is None else found.spec(self._step, name)

    def predictions(self, tensor_of: Callable[[str], Any]) -> Any:
        """Returns the predictions in the structure that the model has.

        Args:
            tensor_of: Function from the name of a step tensor to the tensor.
        """
        whole = model_info.symbolic(self._step.model, "output")
        if whole is None or len(parts_of(whole)) < 2:
            return tensor_of(f"{kinds.PREDICTIONS}:0")
        return _structure.map_with_path(
            lambda path, _: tensor_of(
                f"{kinds.PREDICTIONS}/{'/'.join(map(str, path))}:0"
            ),
            whole,
        )
