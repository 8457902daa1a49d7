# SPDX-License-Identifier: Apache-2.0
"""Knows which names the graph of the hooks has under Keras."""

from __future__ import annotations

import re

# They are there in each `fit`, whatever the model is.
_ALWAYS = re.compile(
    r"(loss|features|labels|sample_weight|predictions|learning_rate"
    r"|global_step|gradients|logs)(/.+)?"
)
# They are there in a model that has such a weight or metric, as most have.
_USUAL = re.compile(
    r"(.+/)?(kernel|bias|gamma|beta|moving_mean|moving_variance|embeddings)"
    r"|accuracy|acc|auc|mae|mse|precision|recall"
    r"|(sparse_|binary_)?(categorical_)?(top_k_)?(categorical_)?accuracy"
)
_TENSOR = re.compile(r"[A-Za-z0-9.][\w./\\-]*:\d+")
# What old scripts call the tensors that Keras has under its own names.
_GUESSES = (
    (r"loss|cost|xent|cross_entropy", "loss:0"),
    (r"learning_rate|lrn_rate|\blr\b|_lr$", "learning_rate:0"),
    (r"global_step|\bstep\b", "global_step:0"),
    (r"acc(uracy)?\b", "accuracy:0"),
    (r"logits|predict|probabilit|softmax", "predictions:0"),
    (r"label", "labels:0"),
    (r"images?\b|features|inputs?\b", "features:0"),
    (r"grad.*norm", "gradients/global_norm:0"),
)


def operation(name: str) -> str:
    """Returns a name without the number of an output.

    Example:
    >>> operation("loss:0")
    'loss'
    """
    return name.partition(":")[0]


def looks_like_tensor(text: str) -> bool:
    """Returns whether a text is the name of a tensor, such as `loss:0`."""
    return _TENSOR.fullmatch(text) is not None


def is_there(name: str) -> bool:
    """Returns whether every model has a name, or nearly every.

    Example:
    >>> is_there("loss:0"), is_there("tower_0/softmax:0")
    (True, False)
    """
    return bool(
        _ALWAYS.fullmatch(operation(name)) or _USUAL.fullmatch(operation(name))
    )


def guess(text: str) -> str:
    """Returns the name that Keras has for what a script calls so; or `""`.

    Example:
    >>> guess("self.total_loss"), guess("train_op")
    ('loss:0', '')
    """
    for pattern, name in _GUESSES:
        if re.search(pattern, text, re.IGNORECASE):
            return name
    return ""


def renamed(name: str) -> str:
    """Returns the line that gives a value of Keras an old name, in a function.

    Example:
    >>> renamed("cross_entropy:0")
    'tf.identity(graph.get_tensor_by_name("loss:0"), "cross_entropy")'
    """
    found = guess(name) or "NAME:0"
    tensor = f'graph.get_tensor_by_name("{found}")'
    return f'tf.identity({tensor}, "{operation(name)}")'
