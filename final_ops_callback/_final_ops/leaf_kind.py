# SPDX-License-Identifier: Apache-2.0
"""What a kind of leaf is, and what leaves can see when they are evaluated."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.to_host import to_host
from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback._structure import map_result
from final_ops_callback.errors import GraphTensorError
from final_ops_callback.errors import LeafError

# To write where a leaf stands takes time, and only an error needs it.
Where = Callable[[], str]


@dataclasses.dataclass
class Moment:
    """When the leaves are evaluated: what they can see.

    Attributes:
        model: The Keras model that the run was for.
        logs: Dict. The logs of the run's end, values as NumPy or Python.
        feeds: The feeds of the final ops.
        symbolic: List of lists. The symbolic leaves of the structure, in the
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

    def symbolic_value(self, leaf: Any) -> Any:
        """Returns the value of a symbolic leaf, computed with its group."""
        if id(leaf) not in self._computed:
            groups = self.symbolic
            of_leaf = (g for g in groups if any(one is leaf for one in g))
            self._computed.update(self._forward_pass(next(of_leaf, [leaf])))
        return self._computed[id(leaf)]

    def _forward_pass(self, group: list[Any]) -> dict[int, Any]:
        inputs = symbolic.distinct(
            source for leaf in group for source in sources(leaf, self.feeds)
        )
        outputs = symbolic.evaluate_symbolic(
            group, [(i, self.feeds.by_tensor(i)) for i in inputs]
        )
        return {
            id(leaf): to_host(output)
            for leaf, output in zip(group, outputs, strict=True)
        }


class LeafKind:
    """One kind of leaf: which it is, what it needs, what it is worth."""

    def accepts(self, leaf: Any) -> bool:
        """Says whether a leaf is of this kind."""
        raise NotImplementedError

    def needs(self, leaf: Any, feeds: Feeds, where: Where) -> list[Any]:
        """Checks a leaf before anything runs; returns the feeds it uses.

        Args:
            leaf: A leaf that this kind accepts.
            feeds: The feeds that the user gave.
            where: Function that writes the path of the leaf, for an error.

        Returns:
            List of the names and symbolic tensors whose feeds it uses.

        Raises:
            HookError: The leaf can never have a value.
        """
        return []

    def value(self, leaf: Any, moment: Moment, where: Where) -> Any:
        """Returns what a leaf is worth at a moment."""
        raise NotImplementedError


def sources(leaf: Any, feeds: Feeds) -> list[Any]:
    """Returns what a symbolic leaf is computed from, of what is fed."""
    # v1 let one feed any tensor, so also the fetched one itself.
    return [leaf] if feeds.has_tensor(leaf) else symbolic.source_inputs(leaf)


def graph_tensor_error(value: Any, where: Where) -> GraphTensorError:
    return GraphTensorError(
        f"{getattr(value, 'name', value)!r} belongs to a graph and has no "
        "value of its own",
        where(),
        "Give its Keras counterpart (a metric, variable, function or "
        "layer output), or run the v1 hook itself: "
        "SessionRunHookCallback(tf.compat.v1.train.FinalOpsHook(...)).",
    )


def on_host(result: Any, where: Where) -> Any:
    """Turns what something returned into values."""

    def value_of(value: Any) -> Any:
        if compat.is_graph_element(value):
            raise graph_tensor_error(value, where)
        return to_host(value)

    try:
        return map_result(value_of, result)
    except RecursionError as error:
        raise LeafError(
            "the result contains itself, or is nested too deeply",
            where(),
            "Return a nesting that ends.",
        ) from error
