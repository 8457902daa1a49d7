# SPDX-License-Identifier: Apache-2.0
"""All final ops of a callback: checked once, evaluated when a run ends."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from final_ops_callback import _structure
from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.host_values import to_host_structure
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.leaf_kind import EvaluationContext
from final_ops_callback._final_ops.leaf_kind import Leaf
from final_ops_callback._final_ops.leaf_kind import LeafKind
from final_ops_callback._final_ops.leaf_kind import sources
from final_ops_callback._final_ops.leaf_kinds import Metric
from final_ops_callback._final_ops.leaf_kinds import Symbolic
from final_ops_callback._final_ops.leaf_kinds import kind_of
from final_ops_callback._final_ops.name_leaf import Name
from final_ops_callback._keras import compat
from final_ops_callback._keras import symbolic
from final_ops_callback.errors import FeedError
from final_ops_callback.errors import LeafError


class FinalOps:
    """A checked structure of final ops, ready to be evaluated.

    Args:
        structure: One leaf, or any nesting of lists, tuples, named tuples
            and dicts of leaves.
        feed_dict: Mapping or `None`. See `Feeds`.

    Raises:
        FinalOpsCallbackError: A leaf can never have a value, or no leaf uses
            a feed.
    """

    def __init__(
        self, structure: Any, feed_dict: Mapping[Any, Any] | None
    ) -> None:
        self._structure = structure
        self._feeds = Feeds(feed_dict)
        self._leaves = _compiled(structure)
        used = [
            key
            for leaf in self._leaves
            for key in leaf.kind.needs(leaf, self._feeds)
        ]
        unused = self._feeds.without(used)
        if unused:
            raise FeedError(
                f"no leaf uses the feed of {unused[0]!r}",
                "final_ops_feed_dict",
                f"The leaves of {_structure.ROOT} use "
                f"{sorted({getattr(key, 'name', key) for key in used})}. "
                "Remove it or correct its name.",
            )
        for key in symbolic.distinct(used):
            if compat.is_symbolic(key):
                self._feeds.check(key)
        self._groups = symbolic.together(
            symbolic.distinct(self._values_of(Symbolic)),
            functools.partial(sources, feeds=self._feeds),
        )

    def leaves(self) -> list[Any]:
        """Returns the leaves as the user wrote them, in order."""
        return self._values_of(LeafKind)

    def metrics(self) -> list[Any]:
        """Returns the metric objects among the leaves."""
        return self._values_of(Metric)

    def names(self) -> list[str]:
        """Returns the leaves that are names."""
        return self._values_of(Name)

    def check_names(self, model: Any, run: LastStep) -> None:
        """Checks the leaves that are names before the first step of a run.

        Args:
            model: The Keras model.
            run: What the steps of the run deliver.

        Raises:
            LeafError: Nothing in this run can have such a name.
        """
        for leaf in self._leaves:
            if isinstance(leaf.kind, Name):
                leaf.kind.check(leaf, model, run)

    def evaluate(
        self,
        model: Any,
        logs: Mapping[str, Any] | None,
        last_step: LastStep | None = None,
    ) -> tuple[Any, list[LeafError]]:
        """Evaluates each leaf once, in the order in which they are written.

        Args:
            model: The Keras model that the run was for.
            logs: Mapping or `None`. The logs of the run's end.
            last_step: The last step of the run, or `None` if nobody watched
                it. Defaults to `None`.

        Returns:
            Pair of the values, in the structure of the final ops, and a list
            of errors, one for each name that turned out to mean nothing. The
            value of such a leaf is `None`.

        Raises:
            Exception: Another leaf raised it; a note names the leaf.
        """
        context = EvaluationContext(
            model,
            to_host_structure(dict(logs or {})),
            self._feeds,
            self._groups,
            last_step,
        )
        # A leaf that stands in two places is one op, which v1 ran once.
        values: dict[int, Any] = {}
        unknown: list[LeafError] = []
        for leaf in self._leaves:
            if id(leaf.value) in values:
                continue
            try:
                values[id(leaf.value)] = leaf.kind.value(leaf, context)
            except BaseException as error:
                error.add_note(f"raised by {leaf.where()}")
                # The run is over, so a wrong name must not cost the values of
                # the other leaves.
                if not isinstance(leaf.kind, Name) or not isinstance(
                    error, LeafError
                ):
                    raise
                unknown.append(error)
                values[id(leaf.value)] = None
        in_order = iter(self._leaves)
        others: dict[_structure.Path, Any] = {}

        def value_at(path: _structure.Path, now: Any) -> Any:
            leaf = next(in_order, None)
            if leaf is None or leaf.path != path:
                raise _has_changed()
            if leaf.value is not now:
                others[path] = now
            return values[id(leaf.value)]

        result = _structure.map_with_path(value_at, self._structure)
        if next(in_order, None) is not None:
            raise _has_changed()
        if others:
            # A mapping may make its leaves anew each time that it is read.
            again = dict(_structure.leaves_with_path(self._structure))
            if any(again[path] is now for path, now in others.items()):
                raise _has_changed()
        return result, unknown

    def _values_of(self, kind: type[LeafKind]) -> list[Any]:
        return [
            leaf.value for leaf in self._leaves if isinstance(leaf.kind, kind)
        ]


def _has_changed() -> LeafError:
    return LeafError(
        "the structure has changed since the callback was made",
        _structure.ROOT,
        "Make a new callback, or change a copy of the structure.",
    )


def _compiled(structure: Any) -> list[Leaf]:
    """Returns the leaves of a structure, each with its kind."""
    try:
        return [
            Leaf(path, kind_of(value), value, structure)
            for path, value in _structure.leaves_with_path(structure)
        ]
    except RecursionError as error:
        raise LeafError(
            "a container holds itself, or is nested too deeply",
            _structure.ROOT,
            "Use a nesting that ends.",
        ) from error
