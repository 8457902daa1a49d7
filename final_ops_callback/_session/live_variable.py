# SPDX-License-Identifier: Apache-2.0
"""Live variables: the variables of a model that have twins in a graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Protocol

import tensorflow as tf

from final_ops_callback._eager_mode import eager_mode
from final_ops_callback._eager_mode import value_now
from final_ops_callback._names import GLOBAL_STEP
from final_ops_callback.errors import UnsupportedOpError


class Meaning(Protocol):
    """Converts a value that v1 kept in another form, such as a momentum."""

    def to_v1(self, value: tf.Tensor) -> tf.Tensor:
        """Converts the value of the variable to what v1 kept."""

    def from_v1(self, value: tf.Tensor) -> tf.Tensor:
        """Converts what v1 kept to the value of the variable."""


@dataclasses.dataclass(frozen=True)
class LiveVariable:
    """A variable of a live model, to which a twin in the graph refers.

    Reads and writes of the twin go to the live variable. Under a distribution
    strategy, the live variable has a component for each replica of this
    process, and the twin refers to one of them. Some values are not held by
    any one variable: a metric, of which each replica has a share, or a step
    that is computed. Then the twin refers to a stage: an extra variable that
    gets the value before it is read.

    Attributes:
        name: String. The name of the twin, and in checkpoints.
        variable: The `tf.Variable` that holds the value.
        role: String. What the variable is to the model: `"weight"`, `"slot"`,
            `"metric"`, `"learning_rate"` or `"global_step"`.
        components: Tuple. The variables that hold the value: one for each
            replica under a distribution strategy, else `(variable,)`.
        path: String. The name of the variable in the model.
        why_read_only: Pair of strings: why the twin must not be written, and
            the way out. `None` if it may be written.
        compute: Function without arguments that returns the value, if no
            variable holds it; `None` otherwise.
        meaning: A `Meaning`, if v1 kept another value under the same name;
            `None` otherwise.
        is_trained: Boolean. Whether the model trains the variable, if it is a
            weight. The variables of a frozen layer don't tell.
        saved_as: String. The name in the checkpoints of the default saver, if
            that is not `name`; `""` otherwise.
    """

    name: str
    variable: Any
    role: str = "weight"
    components: tuple[Any, ...] = ()
    path: str = ""
    why_read_only: tuple[str, str] | None = None
    compute: Callable[[], Any] | None = None
    meaning: Meaning | None = None
    is_trained: bool = True
    saved_as: str = ""
    _stage: Any = dataclasses.field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.components:
            object.__setattr__(self, "components", (self.variable,))
        if self._is_shared_out or self.compute is not None:
            self._make_stage()

    @property
    def handle(self) -> Any:
        """The resource to which reads and writes of the twin go."""
        if self.meaning is not None and self._stage is None:
            # The stage is as large as the variable, so it is made only when
            # it is needed.
            self._make_stage()
        return self._twin.handle

    def read(self) -> tf.Tensor:
        """Returns the value, combined from all replicas."""
        if self.meaning is not None:
            return self._whole()
        self.gather()
        return value_now(self._twin)

    def gather(self) -> None:
        """Updates the stage, if there is one, before the twin is read."""
        if self._stage is not None:
            self._stage.assign(self._whole())

    def spread(self) -> None:
        """Copies what was written to the twin to all replicas."""
        first, *others = self.components
        if self._stage is None:
            for other in others:
                other.assign(first.read_value())
            return
        value = self._stage.read_value()
        if self.meaning is not None:
            value = self.meaning.from_v1(value)
        # The first replica gets the value; the sum or mean over all replicas
        # then equals the value, too.
        total = tf.VariableAggregation.SUM
        is_sum = self._is_shared_out and self.variable.aggregation == total
        first.assign(value)
        for other in others:
            other.assign(tf.zeros_like(other) if is_sum else value)

    def check_write(self) -> None:
        """Raises an error if the twin must not be written.

        Raises:
            UnsupportedOpError: The twin must not be written.
        """
        if self.why_read_only is not None:
            reason, way_out = self.why_read_only
            raise UnsupportedOpError(
                f"{self.name!r} can't be written: {reason}",
                f"a write to {self.name!r}",
                way_out,
            )

    @property
    def is_plain(self) -> bool:
        """Whether the twin holds the whole value, without gather and spread."""
        has_stage = self._stage is not None or self.meaning is not None
        return not has_stage and len(self.components) == 1

    def _make_stage(self) -> None:
        with eager_mode():
            stage = tf.Variable(self._whole(), trainable=False)
        object.__setattr__(self, "_stage", stage)

    def _whole(self) -> Any:
        # `read_value` combines the shares of the replicas.
        value = self.compute() if self.compute else self.variable.read_value()
        return value if self.meaning is None else self.meaning.to_v1(value)

    @property
    def _twin(self) -> Any:
        return self.components[0] if self._stage is None else self._stage

    @property
    def _is_shared_out(self) -> bool:
        if len(self.components) == 1:
            return False
        on_read = tf.VariableSynchronization.ON_READ
        # Without an aggregation, the shares have no common value, and any of
        # them will do.
        apart = tf.VariableAggregation.NONE
        return (
            getattr(self.variable, "synchronization", None) == on_read
            and self.variable.aggregation != apart
        )


Variables = Mapping[str, Any] | Iterable[LiveVariable]


def live_variables_of(
    variables: Variables | Callable[[], Variables], global_step: Any
) -> list[LiveVariable]:
    """Returns a list of live variables from any form that users may give.

    Args:
        variables: Mapping from a name to a `tf.Variable`, an iterable of
            `LiveVariable`, or a function that returns one of them.
        global_step: A scalar integer `tf.Variable` or `None`.
    """
    if callable(variables):
        variables = variables()
    if isinstance(variables, Mapping):
        live = [LiveVariable(name, v) for name, v in variables.items()]
    else:
        live = list(variables)
    if global_step is not None:
        live.append(LiveVariable(GLOBAL_STEP, global_step, GLOBAL_STEP))
    return live
