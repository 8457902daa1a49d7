# SPDX-License-Identifier: Apache-2.0
"""Leaves of the final ops, and the base class of their kinds."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from final_ops_callback import _structure
from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.host_values import to_host
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback._structure import Path
from final_ops_callback._structure import map_result
from final_ops_callback.errors import GraphTensorError
from final_ops_callback.errors import LeafError


@dataclasses.dataclass
class EvaluationContext:
    """What leaves can use when they are evaluated at the end of a run.

    Attributes:
        model: The Keras model that the run was for.
        logs: Dict. The logs at the end of the run, as NumPy or Python values.
        feeds: The feeds of the final ops.
        symbolic: List of lists. The symbolic tensors among the leaves, in the
            groups that one forward pass computes together.
        last_step: The values that were taken from the last step, or `None`.
    """

    model: Any
    logs: dict[str, Any]
    feeds: Feeds
    symbolic: list[list[Any]]
    last_step: LastStep | None = None
    _computed: dict[int, Any] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def own_metrics(self) -> set[int]:
        """The ids of the metrics of the model."""
        return {id(metric) for metric in compat.metrics_of(self.model)}

    def symbolic_value(self, tensor: Any) -> Any:
        """Returns the value of a symbolic tensor, computed with its group."""
        if id(tensor) not in self._computed:
            groups = self.symbolic
            of_tensor = (g for g in groups if any(one is tensor for one in g))
            self._computed.update(self._forward_pass(next(of_tensor)))
        return self._computed[id(tensor)]

    def _forward_pass(self, group: list[Any]) -> dict[int, Any]:
        inputs = symbolic.distinct(
            source for tensor in group for source in sources(tensor, self.feeds)
        )
        outputs = symbolic.evaluate_symbolic(
            group, [(i, self.feeds.by_tensor(i)) for i in inputs]
        )
        return {
            id(tensor): to_host(output)
            for tensor, output in zip(group, outputs, strict=True)
        }


class LeafKind:
    """Base class for a kind of leaf: recognizes, checks and evaluates it."""

    def accepts(self, value: Any) -> bool:
        """Returns whether a value is a leaf of this kind."""
        raise NotImplementedError

    def needs(self, leaf: Leaf, feeds: Feeds) -> list[Any]:
        """Checks a leaf before anything runs, and returns the feeds it uses.

        Args:
            leaf: A leaf whose value this kind accepts.
            feeds: The feeds that the user gave.

        Returns:
            List of the names and symbolic tensors whose feeds it uses.

        Raises:
            FinalOpsCallbackError: The leaf can never have a value.
        """
        return []

    def value(self, leaf: Leaf, context: EvaluationContext) -> Any:
        """Returns the value of a leaf at the end of a run."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One leaf of the final ops, with its place and its kind.

    Attributes:
        path: Tuple of the keys and indices that lead to the leaf.
        kind: The kind that accepts the value.
        value: What the user wrote there.
        structure: The final ops as a whole, for `where`.
    """

    path: Path
    kind: LeafKind
    value: Any
    structure: Any = dataclasses.field(repr=False)

    def where(self) -> str:
        """Returns the path as an expression: `final_ops['auc'][0]`.

        Only error messages need it, so it is not computed before.
        """
        return _structure.as_expression(
            _structure.ROOT, self.structure, self.path
        )


def sources(tensor: Any, feeds: Feeds) -> list[Any]:
    """Returns the tensors to feed that a symbolic tensor is computed from."""
    # In v1 any tensor could be fed, even the fetched tensor itself.
    if feeds.has_tensor(tensor):
        return [tensor]
    return symbolic.source_inputs(tensor)


def graph_tensor_error(value: Any, leaf: Leaf) -> GraphTensorError:
    """Returns the error for a v1 graph tensor among the final ops."""
    return GraphTensorError(
        f"{getattr(value, 'name', value)!r} belongs to a graph and has no "
        "value of its own",
        leaf.where(),
        "Give its Keras counterpart (a metric, variable, function or "
        "layer output), or run the v1 hook itself: "
        "SessionRunHookCallback(tf.compat.v1.train.FinalOpsHook(...)).",
    )


def on_host(result: Any, leaf: Leaf) -> Any:
    """Turns the result of a call into values on the host."""

    def value_of(value: Any) -> Any:
        if compat.is_graph_element(value):
            raise graph_tensor_error(value, leaf)
        return to_host(value)

    try:
        return map_result(value_of, result)
    except RecursionError as error:
        raise LeafError(
            "the result contains itself, or is nested too deeply",
            leaf.where(),
            "Return a nesting that ends.",
        ) from error
