# SPDX-License-Identifier: Apache-2.0
"""Turns a FinalOpsHook into a FinalOpsCallback, where Keras has the ops."""

from __future__ import annotations

from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan import origins
from final_ops_callback._scan.context import Context
from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import leaves_of
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import walk

_OF_MODEL = {
    "global_step": "lambda model: model.optimizer.iterations",
    "learning_rate": "lambda model: model.optimizer.learning_rate",
}
_OF_STEP = ("loss", "features", "labels", "predictions", "sample_weight")
IMPORT = "from final_ops_callback import FinalOpsCallback"


def leaf_for(name: str) -> str:
    """Returns the code of the leaf that has the value of a name of the graph.

    Empty if there is none: a weight, and what only a layer or metric of that
    name would have.

    Example:
    >>> leaf_for("auc:0"), leaf_for("loss:0"), leaf_for("hidden/Relu:0")
    ('"auc"', '"loss:0"', '')
    """
    operation = graph_names.operation(name)
    if operation in _OF_MODEL:
        return _OF_MODEL[operation]
    first = operation.partition("/")[0]
    if first in (*_OF_STEP, "gradients", "logs"):
        return f'"{operation}:0"'
    if operation.isidentifier() and graph_names.is_there(name):
        return f'"{operation}"'
    return ""


def rewritten(
    context: Context,
    facts: Facts,
    call: Call,
    scope: Scope,
    reasons: Reasons,
) -> tuple[Edit, ...]:
    """Adds what there is instead of a FinalOpsHook, and returns its edits.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        call: The call that makes the hook.
        scope: The scope of the call.
        reasons: The reasons to add to.

    Returns:
        The edits that make it a FinalOpsCallback: none if its ops are not all
        names, or if it goes where only a hook can go.
    """
    value = call.argument(0, "final_ops")
    leaves = None if value is None else leaves_of(value)
    edits, instead, metrics = [], {}, list[str]()
    for leaf in leaves or ():
        code = _leaf_code(context, scope, leaf)
        if code:
            edits.append(Edit(leaf.start_pos, leaf.end_pos, code))
        else:
            code, metric = _leaf_of_tensor(context, facts, scope, leaf)
            metrics += [metric] if metric else []
        instead[id(leaf)] = code
    is_whole = leaves is not None and len(edits) == len(leaves)
    feeds = call.argument(1, "final_ops_feed_dict")
    has_feeds = feeds is not None and getattr(feeds, "value", "") != "None"
    is_simple = is_whole and value is not None and not has_feeds
    made = context.call_code(facts, call, "FinalOpsCallback", instead)
    reasons.add(
        "replace",
        "FinalOpsCallback evaluates final ops, without a graph"
        + (
            ""
            if is_simple
            else "; tensors of the v1 graph become names, metrics or functions"
        ),
        made,
    )
    if metrics:
        reasons.add(
            "replace",
            "a streaming metric, or a tensor that is not the very loss, "
            "becomes a compiled metric: compile(metrics=[...]) and name the "
            "metric",
            "model.compile(optimizer, loss, "
            f"metrics=[{', '.join(dict.fromkeys(metrics))}])",
        )
    others = [a for a in call.arguments if a.star or _is_other(a.keyword)]
    if not is_simple or others or not _may_be_callback(facts, call, scope):
        return ()
    if not _is_free_or_ours(scope):
        return ()
    start, end = call.callee[0].start_pos, call.callee[-1].end_pos
    return (Edit(start, end, "FinalOpsCallback"), *edits)


def code_of_ops(context: Context, facts: Facts, scope: Scope, node: Any) -> str:
    """Returns the code of final ops, with what Keras has instead of tensors.

    Args:
        context: The `Context`.
        facts: The facts of the file.
        scope: The scope in which they stand.
        node: The node of the final ops.
    """
    leaves = leaves_of(node)
    if leaves is None:
        return '"NAME"'
    instead = {
        id(leaf): _leaf_code(context, scope, leaf)
        or _leaf_of_tensor(context, facts, scope, leaf)[0]
        for leaf in leaves
    }
    code = context.code(facts, node, instead)
    return '"NAME"' if code.endswith("...") else code


def _leaf_of_tensor(
    context: Context, facts: Facts, scope: Scope, leaf: Any
) -> tuple[str, str]:
    """Returns the code of a leaf, and that of the metric that it needs."""
    found = origins.leaf_of(context, facts, scope, leaf)
    if found.metric or found.name == "loss":
        return f'"{found.name}"', found.metric
    return leaf_for(found.name or "NAME:0") or '"NAME"', ""


def _is_free_or_ours(scope: Scope) -> bool:
    """Returns whether the file may call the callback by its name."""
    bound = scope.facts.module.bindings.get("FinalOpsCallback", ())
    return all(
        binding.kind == "import" and binding.path[0] == "final_ops_callback"
        for binding in bound
    )


def _is_other(keyword: str) -> bool:
    return bool(keyword) and keyword != "final_ops"


def _leaf_code(context: Context, scope: Scope, leaf: Any) -> str:
    name = string(leaf)
    if name is not None:
        return leaf_for(name)
    if leaf.type == "number":
        return leaf.value
    path = None
    if leaf.type in ("atom_expr", "power"):
        is_call = leaf.children[-1].get_code().strip() == "()"
        path = chain(leaf.children[:-1]) if is_call else None
    if path is not None:
        found = context.resolver.external(scope, path)
        if found[-1:] in (
            ("get_global_step",),
            ("get_or_create_global_step",),
        ):
            return _OF_MODEL["global_step"]
    return ""


def _may_be_callback(facts: Facts, call: Call, scope: Scope) -> bool:
    """Returns whether nothing but a session of v1 gets the hook.

    It may be an argument `hooks=` itself, or be bound to a name that is only
    passed so, or asked for its values. Anything else, such as a list of hooks
    for SessionRunHookCallback, would not take a callback.
    """
    node = call.node
    if node.children[-1] is not call.trailer:
        return False
    parent = node.parent
    if parent.type in ("atom", "testlist_comp"):
        return _is_passed_as_hooks(node)
    if parent.type != "expr_stmt" or len(parent.children) != 3:
        return False
    target = parent.children[0]
    if target.type != "name" or parent.children[1].value != "=":
        return False
    name = target.value
    if len(scope.bindings.get(name, ())) != 1 or scope.kind == "class":
        return False
    uses = [
        leaf
        for leaf in walk(scope.node)
        if leaf.type == "name" and leaf.value == name and leaf is not target
    ]
    return all(_is_attribute(n) or _is_passed_as_hooks(n) for n in uses)


def _is_attribute(node: Any) -> bool:
    """Returns whether a name is asked for the values of the hook."""
    parent = node.parent
    if parent.type not in ("atom_expr", "power"):
        return False
    if parent.children[0] is not node:
        return False
    after = parent.children[1]
    return bool(after.get_code().strip() == ".final_ops_values")


def _is_passed_as_hooks(node: Any) -> bool:
    """Returns whether a node is in a list that is an argument `hooks=`."""
    while node.parent is not None and node.parent.type in (
        "atom",
        "testlist_comp",
    ):
        node = node.parent
    parent = node.parent
    if parent.type != "argument" or len(parent.children) != 3:
        return False
    keyword = getattr(parent.children[0], "value", "")
    callee = parent.parent
    while callee.type in ("arglist", "trailer"):
        callee = callee.parent
    code = callee.get_code()
    ours = ("SessionRunHookCallback", "HookRunner", "MonitoredTrainingCallback")
    return keyword.endswith("hooks") and not any(o in code for o in ours)
