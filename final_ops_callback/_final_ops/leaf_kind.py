# SPDX-License-Identifier: Apache-2.0
"""What a kind of leaf is, and what leaves can see when they are evaluated."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from final_ops_callback import _structure
from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.to_host import to_host
from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback._structure import Path
from final_ops_callback._structure import map_result
from final_ops_callback.errors import GraphTensorError
from final_ops_callback.errors import LeafError


@dataclasses.dataclass
class EvaluationContext:
    """When the leaves are evaluated: what they can see.

    Attributes:
        model: The Keras model that the run was for.
        logs: Dict. The logs of the run's end, values as NumPy or Python.
        feeds: The feeds of the final ops.
        symbolic: List of lists. The symbolic tensors among the leaves, in the
            groups that one forward pass computes together.
        last_step: What was taken out of the last step, or `None`.
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
    """One kind of leaf: which values are of it, what they need and become."""

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
        """Returns what a leaf is worth at a context."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One leaf of the final ops, classified once.

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
        """Writes the path as the user would: `final_ops['auc'][0]`.

        That takes time, and only an error needs it.
        """
        return _structure.as_expression(
            _structure.ROOT, self.structure, self.path
        )


def sources(tensor: Any, feeds: Feeds) -> list[Any]:
    """Returns the tensors to feed that a symbolic tensor is computed from."""
    # v1 let one feed any tensor, so also the fetched one itself.
    if feeds.has_tensor(tensor):
        return [tensor]
    return symbolic.source_inputs(tensor)


def graph_tensor_error(value: Any, leaf: Leaf) -> GraphTensorError:
    return GraphTensorError(
        f"{getattr(value, 'name', value)!r} belongs to a graph and has no "
        "value of its own",
        leaf.where(),
        "Give its Keras counterpart (a metric, variable, function or "
        "layer output), or run the v1 hook itself: "
        "SessionRunHookCallback(tf.compat.v1.train.FinalOpsHook(...)).",
    )


def on_host(result: Any, leaf: Leaf) -> Any:
    """Turns what something returned into values."""

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
