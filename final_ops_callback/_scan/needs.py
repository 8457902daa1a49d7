# SPDX-License-Identifier: Apache-2.0
"""Reads the body of a hook class: what it asks of the graph and the session."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.facts import ClassFact
from final_ops_callback._scan.facts import Scope
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import calls_of
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import dotted
from final_ops_callback._scan.syntax import is_inside
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import walk
from final_ops_callback._scan.syntax import words

_LOOKUPS = (
    "get_tensor_by_name",
    "get_operation_by_name",
    "as_graph_element",
)
_MODEL_COLLECTIONS = words(
    "get_total_loss get_losses get_regularization_losses"
)
_GRADIENTS = words("minimize compute_gradients apply_gradients")
_COLLECTIONS = words(
    "get_collection get_collection_ref get_dict_from_collection"
)
# What these collections hold is there under Keras, too.
_FILLED = re.compile(
    r"GLOBAL_VARIABLES|TRAINABLE_VARIABLES|LOCAL_VARIABLES|MODEL_VARIABLES"
    r"|GLOBAL_STEP|SAVERS|SUMMARIES|SUMMARY_OP|SCAFFOLD|METRIC_VARIABLES"
)
_QUEUES = words("""
    FIFOQueue PaddingFIFOQueue RandomShuffleQueue PriorityQueue QueueRunner
    add_queue_runner start_queue_runners string_input_producer
    slice_input_producer range_input_producer shuffle_batch batch_join
    """)
_METHODS_OF_2 = words("iteritems itervalues iterkeys has_key")
_NAMES_OF_2 = words("xrange unicode basestring raw_input unichr")
_SESSION = re.compile(r"sess(ion)?\b", re.IGNORECASE)


class Needs:
    """What the body of a hook class needs.

    Args:
        fact: The `ClassFact`.
        resolver: The `Resolver`.

    Attributes:
        tensors: List of strings: the parameters of the constructor that are
            fetched, which may be tensors or their names.
        parameters: List of strings: all parameters of the constructor.
    """

    def __init__(self, fact: ClassFact, resolver: Resolver) -> None:
        self._fact = fact
        self._resolver = resolver
        self._nodes = list(walk(fact.node.children[-1]))
        self._calls = [c for n in self._nodes for c in calls_of(n)]
        self._methods = _methods(fact)
        self._fetches = list(self._fetch_nodes())
        self.parameters = _parameters(self._methods.get("__init__"))
        self.tensors = self._tensor_parameters()

    def add_to(self, reasons: Reasons) -> None:
        """Adds what the class needs to the reasons of its verdict."""
        if self.tensors:
            names = ", ".join(self.tensors)
            reasons.note(
                f"takes tensors in its constructor ({names}): give their "
                'names, such as "loss:0", or make it in a function that '
                "returns the hooks"
            )
        self._add_closure(reasons)
        self._add_names(reasons)
        self._add_session(reasons)
        self._add_feeds(reasons)
        self._add_calls(reasons)
        self._add_python_2(reasons)

    def _fetch_nodes(self) -> Iterator[Any]:
        """Yields what is asked of a session."""
        for call in self._calls:
            path = chain(call.callee) or ("",)
            if path[-1] == "SessionRunArgs" or _is_session_run(call):
                value = call.argument(0, "fetches")
            else:
                continue
            if value is not None:
                yield value

    def _attributes_fetched(self) -> set[str]:
        return {
            path[1]
            for node in self._fetches
            for inner in walk(node)
            if (path := _self_attribute(inner)) is not None
        }

    def _tensor_parameters(self) -> list[str]:
        init = self._methods.get("__init__")
        if init is None:
            return []
        fetched = self._attributes_fetched()
        assigned: dict[str, set[str]] = {}
        for node in walk(init):
            if node.type != "expr_stmt" or len(node.children) < 3:
                continue
            path = dotted(node.children[0])
            if path is None or len(path) != 2 or path[0] != "self":
                continue
            used = {
                n.value
                for n in walk(node.children[-1])
                if n.type == "name" and _is_read(n)
            }
            assigned.setdefault(path[1], set()).update(used)
        names = {n for a in fetched for n in assigned.get(a, ())}
        return [p for p in self.parameters if p in names]

    def _add_closure(self, reasons: Reasons) -> None:
        """Adds the tensors that a class takes from around it."""
        for code, name in dict.fromkeys(
            found for node in self._fetches for found in _free_names(node)
        ):
            if not self._is_tensor_around(name):
                continue
            known = graph_names.guess(code) or "NAME:0"
            write = f'{name} = "{known}"'
            if code != name:
                write = f'return tf.compat.v1.train.SessionRunArgs("{known}")'
            reasons.add(
                "change",
                f"fetches {code} of the code around it, a tensor of the v1 "
                "graph",
                write,
            )

    def _is_tensor_around(self, name: str) -> bool:
        scope: Scope | None = self._fact.scope
        if name in self._fact.body.bindings:
            return False
        if any(name in method.bindings for method in _scopes(self._fact)):
            return False
        while scope is not None:
            for binding in scope.bindings.get(name, ()):
                if binding.kind == "param":
                    return scope.kind == "function"
                if binding.kind == "value":
                    node = binding.node
                    return node is not None and _has_call(node)
                return False
            scope = scope.parent
        return False

    def _add_names(self, reasons: Reasons) -> None:
        """Adds the names that the class looks up in the graph."""
        own = {
            name
            for call in self._calls
            if (value := call.argument(-1, "name")) is not None
            and (name := string(value)) is not None
        }
        names = self._names()
        unknown = [
            name
            for name in names
            if not graph_names.is_there(name)
            and graph_names.operation(name) not in own
        ]
        if names and not unknown:
            reasons.note(f"looks up {', '.join(names)} in the graph")
        for name in unknown:
            reasons.add(
                "change",
                f"looks up {name!r}, which is there only if a layer or metric "
                "of the Keras model is called so",
                graph_names.renamed(name),
            )

    def _names(self) -> list[str]:
        found: list[str] = []
        places = list(self._fetches)
        for call in self._calls:
            if last_name(call) in _LOOKUPS and call.arguments:
                places.append(call.arguments[0].value)
        for place in places:
            for node in walk(place):
                name = string(node) if node.type == "string" else None
                if name and node.parent.type != "strings":
                    is_name = (
                        graph_names.looks_like_tensor(name) or node is place
                    )
                    if is_name and not _is_key(node) and name not in found:
                        found.append(name)
        return found

    def _add_session(self, reasons: Reasons) -> None:
        """Adds where a session is run, and of a step that has not run yet."""
        where = []
        for name, method in self._methods.items():
            calls = [
                call
                for call in self._calls
                if _is_session_run(call) and is_inside(call.node, method)
            ]
            if calls and name not in where:
                where.append(name)
            if name != "before_run":
                continue
            for call in calls:
                value = call.argument(0, "fetches")
                text = None if value is None else string(value)
                if text and _belongs_to_step(text):
                    reasons.add(
                        "change",
                        f"runs {text!r} in before_run, before the step has "
                        "computed it",
                        f'return tf.compat.v1.train.SessionRunArgs("{text}")',
                    )
        if where:
            reasons.note(f"session.run in {', '.join(where)}")

    def _add_feeds(self, reasons: Reasons) -> None:
        """Adds what the class feeds: a step of Keras can't be fed."""
        own = self._own_placeholders()
        for call in self._calls:
            path = chain(call.callee) or ("",)
            position = 1 if path[-1] == "SessionRunArgs" else -1
            if position < 0 and not _is_session_run(call):
                continue
            feeds = call.argument(1, "feed_dict")
            if feeds is None or feeds.type == "keyword":
                continue
            keys = _keys(feeds)
            if keys is None:
                reasons.note("feeds a dict: only its own tensors can be fed")
                continue
            for key in keys:
                self._add_feed(key, own, position, reasons)

    def _add_feed(
        self, key: Any, own: set[str], position: int, reasons: Reasons
    ) -> None:
        code = key.get_code().strip()
        text = string(key)
        attribute = _self_attribute(key)
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

    def _own_placeholders(self) -> set[str]:
        found = set()
        for node in self._nodes:
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

    def _add_calls(self, reasons: Reasons) -> None:
        """Adds the calls that have no counterpart under Keras."""
        for call in self._calls:
            name = last_name(call)
            if name in _GRADIENTS or (
                name == "gradients" and self._is_of_tensorflow(call)
            ):
                reasons.add(
                    "change",
                    f"calls {name}: there are no gradients of loss:0; those "
                    "of the step have names",
                    '"gradients/<path of the weight>:0"',
                )
            elif name in _QUEUES:
                reasons.add(
                    "replace",
                    f"uses a queue ({name}), which runs in a session of v1 "
                    "only",
                    "tf.data.Dataset.from_tensor_slices(values)",
                )
            elif name in _COLLECTIONS and self._is_empty(call):
                key = call.arguments[0].value.get_code().strip()
                reasons.add(
                    "change",
                    f"reads the collection {key}, which only a v1 graph fills",
                    f'graph.get_tensor_by_name("'
                    f'{graph_names.guess(key) or "NAME:0"}")',
                )
            elif name in ("partial_run", "partial_run_setup"):
                reasons.add(
                    "change", f"calls {name}: a run can't be divided", "run("
                )
            elif name in _MODEL_COLLECTIONS:
                reasons.add(
                    "change",
                    f"calls {name}: the losses of a Keras model are in no "
                    "collection",
                    'graph.get_tensor_by_name("loss:0")',
                )
            elif name == "numpy" and not call.arguments:
                reasons.add(
                    "change",
                    "calls .numpy(): in a hook the graph is the default",
                    "run_context.session.run(tensor)",
                )

    def _is_empty(self, call: Call) -> bool:
        """Returns whether nothing fills the collection that a call reads."""
        if not call.arguments:
            return False
        key = call.arguments[0].value
        code = key.get_code().strip()
        is_constant = string(key) is not None or "GraphKeys." in code
        is_own = any(
            last_name(other) in ("add_to_collection", "add_to_collections")
            and code in other.trailer.get_code()
            for other in self._calls
        )
        return is_constant and not is_own and not _FILLED.search(code)

    def _is_of_tensorflow(self, call: Call) -> bool:
        path = chain(call.callee)
        if path is None:
            return False
        found = self._resolver.external(self._fact.scope, path)
        return found[:1] == ("tensorflow",)

    def _add_python_2(self, reasons: Reasons) -> None:
        """Adds what parses under Python 3 and fails when it runs."""
        for node in self._nodes:
            if node.type == "shift_expr" and _is_print(node):
                reasons.add(
                    "change",
                    "prints to a file as Python 2 does",
                    f"2to3 -w {self._fact.facts.path}",
                )
        for call in self._calls:
            path = chain(call.callee) or ("",)
            name = last_name(call)
            is_method = len(call.callee) > 1 and name in _METHODS_OF_2
            is_name = (
                len(path) == 1
                and path[0] in _NAMES_OF_2
                and not self._resolver.resolve(self._fact.scope, path)
            )
            if (is_method and path[0] != "six") or is_name:
                reasons.add(
                    "change",
                    f"calls {name}, which Python 3 has not",
                    f"2to3 -w {self._fact.facts.path}",
                )


def _scopes(fact: ClassFact) -> list[Scope]:
    """Returns the scopes of the methods of a class."""
    return [
        binding.target
        for bindings in fact.body.bindings.values()
        for binding in bindings
        if binding.kind == "function"
    ]


def _methods(fact: ClassFact) -> dict[str, Any]:
    return {method.name: method.node for method in _scopes(fact)}


def _parameters(init: Any) -> list[str]:
    if init is None:
        return []
    names = [
        parameter.name.value
        for parameter in init.get_params()
        if parameter.star_count == 0 and parameter.name.type == "name"
    ]
    return names[1:]


def _is_session_run(call: Call) -> bool:
    last = call.callee[-1]
    if last.type != "trailer" or last.children[0].value != ".":
        return False
    if last.children[1].value != "run":
        return False
    owner = "".join(node.get_code() for node in call.callee[:-1])
    return _SESSION.search(owner) is not None


def _belongs_to_step(name: str) -> bool:
    first = graph_names.operation(name).partition("/")[0]
    return first in ("loss", "predictions", "gradients", "features", "labels")


def _self_attribute(node: Any) -> tuple[str, str] | None:
    path = dotted(node) if node.type in ("atom_expr", "power") else None
    if path is not None and len(path) == 2 and path[0] == "self":
        return path[0], path[1]
    return None


def _is_read(node: Any) -> bool:
    """Returns whether a name is not the name of an attribute or keyword."""
    parent = node.parent
    if parent.type == "trailer" and parent.children[0].value == ".":
        return False
    return not (parent.type == "argument" and parent.children[0] is node)


def _free_names(node: Any) -> Iterator[tuple[str, str]]:
    """Yields the names in an expression, each with the dotted one it begins."""
    for inner in walk(node):
        if inner.type != "name" or not _is_read(inner):
            continue
        if inner.value == "self":
            continue
        path = dotted(inner.parent)
        is_first = path is not None and inner.parent.children[0] is inner
        yield ".".join(path) if path and is_first else inner.value, inner.value


def _is_print(node: Any) -> bool:
    """Returns whether a shift is `print >>file`."""
    first, mark = node.children[:2]
    return bool(getattr(first, "value", "") == "print" and mark.value == ">>")


def _has_call(node: Any) -> bool:
    return any(True for inner in walk(node) for _ in calls_of(inner))


def _is_key(node: Any) -> bool:
    """Returns whether a string is a key of a dict."""
    parent = node.parent
    if parent.type == "trailer":
        return bool(parent.children[0].value == "[")
    if parent.type not in ("dictorsetmaker", "atom"):
        return False
    index = parent.children.index(node)
    after = parent.children[index + 1 : index + 2]
    return bool(after) and getattr(after[0], "value", "") == ":"


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
