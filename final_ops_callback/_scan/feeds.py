# SPDX-License-Identifier: Apache-2.0
"""Judges what a class of hooks feeds."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.body import Body
from final_ops_callback._scan.body import is_session_run
from final_ops_callback._scan.given_tensors import GivenTensors
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import one_line
from final_ops_callback._scan.syntax import string

_INITIALIZER = re.compile(r"initiali[sz]er|init_op|\.init\b", re.IGNORECASE)
_TRAINS = re.compile(r"train_?op|train_?step|minimize|optimi[sz]e", re.I)
_Pair = tuple[Any, Any]


def add_feeds(
    body: Body,
    reasons: Reasons,
    is_around: Callable[[str], bool] = lambda name: False,
    may_feed: bool = False,
) -> None:
    """Adds what a class feeds: a step of Keras can't be fed.

    Args:
        body: The `Body` of the class.
        reasons: The `Reasons` to add to.
        is_around: Function that says of a name that no method binds whether
            it may be a tensor of the code around the class. Defaults to one
            that says no.
        may_feed: Boolean. Whether what the constructor is given may be fed.
            Defaults to `False`.
    """
    given = GivenTensors(body, is_around, not may_feed)
    for call in body.calls:
        path = chain(call.callee) or ("",)
        is_step = path[-1] == "SessionRunArgs"
        if not is_step and not is_session_run(call):
            continue
        feeds = call.argument(1, "feed_dict")
        if feeds is None or feeds.type == "keyword":
            continue
        pairs, others = _fed(feeds, body)
        foreign = [
            pair
            for pair in pairs
            if _is_foreign(pair[0], given, is_step, reasons)
        ]
        unknown = [n for n in others if given.reads(n) and not given.makes(n)]
        if others and not unknown:
            reasons.note("feeds a dict: only its own tensors can be fed")
        if is_step:
            _add_step(foreign, unknown, reasons)
        elif foreign or unknown:
            _add_run(call, foreign, unknown, pairs, reasons)


def _fed(node: Any, body: Body) -> tuple[list[_Pair], list[Any]]:
    """Returns the keys and values that are fed, and what else is fed.

    A name stands for the dicts that are bound to it, and for what is put into
    them afterwards.
    """
    values, pairs = [node], list[_Pair]()
    if node.type == "name":
        values = []
        for target, value in _assignments(body):
            code = target.get_code().strip()
            if code == node.value:
                values.append(value)
            elif code.startswith(f"{node.value}["):
                pairs.append((target.children[-1].children[1], value))
        if not values:
            return pairs, [] if pairs else [node]
    others = []
    for value in values:
        found = _pairs(value)
        if found is None:
            others.append(value)
        else:
            pairs += found
    return pairs, [] if node.type == "name" and pairs else others


def _assignments(body: Body) -> Iterator[_Pair]:
    for node in body.nodes:
        if node.type == "expr_stmt" and len(node.children) == 3:
            yield node.children[0], node.children[2]


def _is_foreign(
    key: Any, given: GivenTensors, is_step: bool, reasons: Reasons
) -> bool:
    """Returns whether a key can't be fed; notes or adds one that can."""
    code = key.get_code().strip()
    text = string(key)
    if text is not None and graph_names.operation(text) == "learning_rate":
        reasons.note("feeds learning_rate:0")
        return False
    is_given = is_step or text is not None or given.reads(key)
    if given.is_own(key) or not is_given:
        reasons.note(f"feeds {code}")
        return False
    if graph_names.guess(code) == "learning_rate:0":
        reasons.add(
            "change",
            f"feeds {code} to the training step; under Keras the rate has "
            "a name",
            'feed_dict={"learning_rate:0": rate}',
        )
        return False
    return True


def _add_step(
    foreign: list[_Pair], unknown: list[Any], reasons: Reasons
) -> None:
    """Adds what goes to the training step with the other fetches."""
    for node in [*(key for key, _ in foreign), *unknown]:
        reasons.add(
            "replace",
            f"feeds {one_line(node, 40)} to the training step, which Keras "
            "can't feed",
            "dataset = dataset.map(with_the_value)",
        )


def _add_run(
    call: Call,
    foreign: list[_Pair],
    unknown: list[Any],
    pairs: list[_Pair],
    reasons: Reasons,
) -> None:
    """Adds what goes to a run of its own, such as that of an evaluation."""
    keys = [*(key for key, _ in foreign), *unknown]
    fed = ", ".join(one_line(key, 40) for key in keys)
    fetches = call.argument(0, "fetches")
    code = "" if fetches is None else fetches.get_code()
    x, y = _batch(pairs)
    if _INITIALIZER.search(code):
        way, write = "the data set of fit has it", "model.fit(dataset)"
    elif _TRAINS.search(code):
        way = "train in a Keras callback"
        write = f"self.model.train_on_batch({x}, {y})"
    else:
        way = "evaluate in a Keras callback, or in the validation of fit"
        held_out = "x, y" if "self." in x + y else f"{x}, {y}"
        write = (
            f"self.model.evaluate({x}, {y}, verbose=0, return_dict=True)"
            "  # on_epoch_end\n"
            f"model.fit(data, validation_data=({held_out}))"
        )
    reasons.add(
        "replace",
        f"feeds {fed}, which it did not make: it feeds the batch, and under "
        "Keras only a hook's own placeholders and learning_rate:0 can be fed; "
        f"{way}",
        write,
    )


def _batch(pairs: list[_Pair]) -> tuple[str, str]:
    """Returns the code of the features and labels that are fed."""
    found = {
        graph_names.guess(key.get_code()): one_line(value, 40)
        for key, value in pairs
    }
    x, y = found.get("features:0", "x"), found.get("labels:0", "y")
    return (x, y) if "..." not in x + y else ("x", "y")


def _pairs(node: Any) -> list[_Pair] | None:
    """Returns the keys and values of a dict display; `None` if it is none."""
    if node.type != "atom" or node.children[0].value != "{":
        return None
    inner = node.children[1:-1]
    nodes = inner[0].children if inner and hasattr(inner[0], "children") else []
    return [
        (nodes[i - 1], nodes[i + 1])
        for i, n in enumerate(nodes)
        if getattr(n, "value", "") == ":"
    ]
