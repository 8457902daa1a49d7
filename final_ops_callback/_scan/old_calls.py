# SPDX-License-Identifier: Apache-2.0
"""Judges what a class of hooks calls: of TensorFlow 1 and of Python 2."""

from __future__ import annotations

import re
from typing import Any

from final_ops_callback._scan import graph_names
from final_ops_callback._scan.body import Body
from final_ops_callback._scan.reasons import Reasons
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.syntax import Call
from final_ops_callback._scan.syntax import chain
from final_ops_callback._scan.syntax import last_name
from final_ops_callback._scan.syntax import string
from final_ops_callback._scan.syntax import words

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


def add_old_calls(body: Body, resolver: Resolver, reasons: Reasons) -> None:
    """Adds the calls that have no counterpart under Keras.

    Args:
        body: The `Body` of the class.
        resolver: The `Resolver`.
        reasons: The `Reasons` to add to.
    """
    for call in body.calls:
        name = last_name(call)
        if name in _GRADIENTS or (
            name == "gradients" and _is_of_tensorflow(body, resolver, call)
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
                f"uses a queue ({name}), which runs in a session of v1 only",
                "tf.data.Dataset.from_tensor_slices(values)",
            )
        elif name in _COLLECTIONS and _is_empty(body, call):
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


def _is_empty(body: Body, call: Call) -> bool:
    """Returns whether nothing fills the collection that a call reads."""
    if not call.arguments:
        return False
    key = call.arguments[0].value
    code = key.get_code().strip()
    is_constant = string(key) is not None or "GraphKeys." in code
    is_own = any(
        last_name(other) in ("add_to_collection", "add_to_collections")
        and code in other.trailer.get_code()
        for other in body.calls
    )
    return is_constant and not is_own and not _FILLED.search(code)


def _is_of_tensorflow(body: Body, resolver: Resolver, call: Call) -> bool:
    path = chain(call.callee)
    if path is None:
        return False
    found = resolver.external(body.fact.scope, path)
    return found[:1] == ("tensorflow",)


def add_python_2(body: Body, resolver: Resolver, reasons: Reasons) -> None:
    """Adds what parses under Python 3 and fails when it runs.

    Args:
        body: The `Body` of the class.
        resolver: The `Resolver`.
        reasons: The `Reasons` to add to.
    """
    for node in body.nodes:
        if node.type == "shift_expr" and _is_print(node):
            reasons.add(
                "change",
                "prints to a file as Python 2 does",
                f"2to3 -w {body.fact.facts.path}",
            )
    for call in body.calls:
        path = chain(call.callee) or ("",)
        name = last_name(call)
        is_method = len(call.callee) > 1 and name in _METHODS_OF_2
        is_name = (
            len(path) == 1
            and path[0] in _NAMES_OF_2
            and not resolver.resolve(body.fact.scope, path)
        )
        if (is_method and path[0] != "six") or is_name:
            reasons.add(
                "change",
                f"calls {name}, which Python 3 has not",
                f"2to3 -w {body.fact.facts.path}",
            )


def _is_print(node: Any) -> bool:
    """Returns whether a shift is `print >>file`."""
    first, mark = node.children[:2]
    return bool(getattr(first, "value", "") == "print" and mark.value == ">>")
