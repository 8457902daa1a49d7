# SPDX-License-Identifier: Apache-2.0
"""Judges what a class of hooks feeds."""

from __future__ import annotations

from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.body import Body
from final_ops_callback._scan.body import is_session_run
from final_ops_callback._scan.body import self_attribute
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import walk


def add_feeds(body: Body, reasons: Reasons) -> None:
    """Adds what a class feeds: a step of Keras can't be fed.

    Args:
        body: The `Body` of the class.
        reasons: The `Reasons` to add to.
    """
    own = _own_placeholders(body)
    for call in body.calls:
        path = chain(call.callee) or ("",)
        position = 1 if path[-1] == "SessionRunArgs" else -1
        if position < 0 and not is_session_run(call):
            continue
        feeds = call.argument(1, "feed_dict")
        if feeds is None or feeds.type == "keyword":
            continue
        keys = _keys(feeds)
        if keys is None:
            reasons.note("feeds a dict: only its own tensors can be fed")
            continue
        for key in keys:
            _add_feed(key, own, position, reasons)


def _add_feed(key: Any, own: set[str], position: int, reasons: Reasons) -> None:
    code = key.get_code().strip()
    text = string(key)
    attribute = self_attribute(key)
    is_own = attribute is not None and attribute[1] in own
    if text is not None and graph_names.operation(text) == "learning_rate":
        reasons.note("feeds learning_rate:0")
    elif is_own or (position < 0 and text is None):
        reasons.note(f"feeds {code}")
    elif graph_names.guess(code) == "learning_rate:0":
        reasons.add(
            "change",
            f"feeds {code} to the training step; under Keras the rate has "
            "a name",
            'feed_dict={"learning_rate:0": rate}',
        )
    else:
        reasons.add(
            "replace",
            f"feeds {code} to the training step, which Keras can't feed",
            "dataset = dataset.map(with_the_value)",
        )


def _own_placeholders(body: Body) -> set[str]:
    found = set()
    for node in body.nodes:
        if node.type != "expr_stmt" or len(node.children) < 3:
            continue
        path = dotted(node.children[0])
        calls = [c for n in walk(node.children[-1]) for c in calls_of(n)]
        names = {(chain(c.callee) or ("",))[-1] for c in calls}
        if (
            path is not None
            and path[0] == "self"
            and names
            & {
                "placeholder",
                "placeholder_with_default",
                "get_variable",
                "Variable",
                "constant",
                "identity",
            }
        ):
            found.add(path[-1])
    return found


def _keys(node: Any) -> list[Any] | None:
    """Returns the keys of a dict display; `None` if a node is none."""
    if node.type != "atom" or node.children[0].value != "{":
        return None
    inner = node.children[1:-1]
    nodes = inner[0].children if inner and hasattr(inner[0], "children") else []
    return [
        nodes[i - 1]
        for i, n in enumerate(nodes)
        if getattr(n, "value", "") == ":"
    ]
