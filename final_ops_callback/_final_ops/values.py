# SPDX-License-Identifier: Apache-2.0
"""The final ops as a whole: checked once, evaluated at the end of a run."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from final_ops_callback import _structure
from final_ops_callback._final_ops import leaf_kinds
from final_ops_callback._final_ops.feeds import Feeds
from final_ops_callback._final_ops.last_step import LastStep
from final_ops_callback._final_ops.leaf_kind import Moment
from final_ops_callback._final_ops.leaf_kind import sources
from final_ops_callback._final_ops.name_leaf import Name
from final_ops_callback._final_ops.to_host import to_host_structure
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
        HookError: A leaf can never have a value, or a feed has no use.
    """

    def __init__(
        self, structure: Any, feed_dict: Mapping[Any, Any] | None
    ) -> None:
        self._structure = structure
        self._feeds = Feeds(feed_dict)
        used: list[Any] = []
        try:
            leaves = list(_structure.leaves_with_path(structure))
        except RecursionError as error:
            raise LeafError(
                "a container holds itself, or is nested too deeply",
                _structure.ROOT,
                "Use a nesting that ends.",
            ) from error
        for path, leaf in leaves:
            used += leaf_kinds.kind_of(leaf).needs(
                leaf, self._feeds, functools.partial(self.where, path)
            )
        unused = self._feeds.without(used)
        if unused:
            raise FeedError(
                f"no leaf uses the feed of {unused[0]!r}",
                "final_ops_feed_dict",
                f"The leaves of {_structure.ROOT} use "
                f"{sorted({getattr(key, 'name', key) for key in used})}. "
                "Remove it or mend its name.",
            )
        for key in symbolic.distinct(used):
            if compat.is_symbolic(key):
                self._feeds.check(key)
        self._groups = symbolic.together(
            symbolic.distinct(
                leaf for _, leaf in leaves if compat.is_symbolic(leaf)
            ),
            functools.partial(sources, feeds=self._feeds),
        )

    def where(self, path: _structure.Path) -> str:
        """Writes the path of a leaf as the user would: `final_ops['auc']`."""
        return _structure.as_expression(_structure.ROOT, self._structure, path)

    def leaves(self) -> list[Any]:
        """Returns the leaves, in the order that they are written."""
        leaves = _structure.leaves_with_path(self._structure)
        return [leaf for _, leaf in leaves]

    def metrics(self) -> list[Any]:
        """Returns the metric objects among the leaves."""
        return [leaf for leaf in self.leaves() if compat.is_metric(leaf)]

    def names(self) -> list[str]:
        """Returns the leaves that are names."""
        return [leaf for leaf in self.leaves() if isinstance(leaf, str)]

    def check_names(self, model: Any, run: LastStep) -> None:
        """Checks the leaves that are names, before the first step of a run.

        Args:
            model: The Keras model.
            run: What the steps of the run deliver.

        Raises:
            LeafError: Nothing of this run can be called so.
        """
        for path, leaf in _structure.leaves_with_path(self._structure):
            kind = leaf_kinds.kind_of(leaf)
            if isinstance(kind, Name):
                where = functools.partial(self.where, path)
                kind.check(leaf, model, run, where)

    def evaluate(
        self,
        model: Any,
        logs: Mapping[str, Any] | None,
        last_step: LastStep | None = None,
    ) -> tuple[Any, list[LeafError]]:
        """Evaluates every leaf once, in the order that they are written.

        Args:
            model: The Keras model that the run was for.
            logs: Mapping or `None`. The logs of the run's end.
            last_step: The last step of the run, or `None` if nobody watched
                it. Defaults to `None`.

        Returns:
            Pair of the values, in the structure of the final ops, and the
            list of the errors of names that mean nothing after all: the
            value of such a leaf is `None`.

        Raises:
            Exception: What another leaf raised, with a note that names it.
        """
        moment = Moment(
            model,
            to_host_structure(dict(logs or {})),
            self._feeds,
            self._groups,
            last_step,
        )
        values: dict[int, tuple[Any, Any]] = {}
        unknown: list[LeafError] = []

        def value_of(path: _structure.Path, leaf: Any) -> Any:
            # A leaf that stands in two places is one op: v1 ran it once.
            if id(leaf) not in values:
                kind = leaf_kinds.kind_of(leaf)
                where = functools.partial(self.where, path)
                try:
                    value = kind.value(leaf, moment, where)
                except BaseException as error:
                    error.add_note(f"raised by {where()}")
                    # All the work is done: a name alone costs no value.
                    if not isinstance(kind, Name) or not isinstance(
                        error, LeafError
                    ):
                        raise
                    unknown.append(error)
                    value = None
                # With the leaf, so that no other one can get its id.
                values[id(leaf)] = leaf, value
            return values[id(leaf)][1]

        return _structure.map_with_path(value_of, self._structure), unknown
