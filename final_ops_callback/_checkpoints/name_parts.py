# SPDX-License-Identifier: Apache-2.0
"""The parts of the names of weights: scopes, layers, numbers, kinds."""

from __future__ import annotations

import re

# What the last part of a name was called by v1's layers, tf-slim and others.
_SYNONYMS = {
    "weights": "kernel",
    "weight": "kernel",
    "w": "kernel",
    "biases": "bias",
    "b": "bias",
    "depthwise_weights": "depthwise_kernel",
    "pointwise_weights": "pointwise_kernel",
}
# The table of an embedding that belongs to no layer, as v1's programs had it.
_TABLE = re.compile(r"embeddings(_\d+|)")
_KINDS = {
    *_SYNONYMS.values(),
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
    "embeddings",
    "recurrent_kernel",
}


def scope(name: str) -> str:
    """Returns the outermost scope of a name."""
    return name.partition("/")[0]


def reduced(name: str, drop: int) -> str:
    """Returns a name without outer scopes, its last part as in Keras.

    Args:
        name: String. The name of a weight.
        drop: Integer. How many scopes to leave out. The layer of a weight is
            no scope: without it, the result is empty.

    Example:
    >>> reduced("net/conv1/weights", 1), reduced("conv1/weights", 1)
    ('conv1/kernel', '')

    The table of an embedding had several names, and often no layer:
    >>> reduced("embedding/embeddings", 0), reduced("embeddings_1", 0)
    ('embedding/kernel', 'embedding_1/kernel')
    """
    parts = name.split("/")
    if drop and len(parts) < drop + 2:
        return ""
    parts = parts[drop:]
    parts[-1] = _SYNONYMS.get(parts[-1].lower(), parts[-1])
    if len(parts) == 1 and (found := _TABLE.fullmatch(parts[0])):
        parts = [f"embedding{found[1]}", "embeddings"]
    if len(parts) > 1 and parts[-1] == "embeddings":
        parts[-1] = "kernel"
    return "/".join(parts)


def family(name: str) -> str:
    """Returns what names have in common that differ by numbers.

    The first of several layers has no number: `dense`, `dense_1`.

    Example:
    >>> family("dense/kernel"), family("dense_4/kernel"), family("conv2/w")
    ('dense/kernel', 'dense/kernel', 'conv#/w')
    """
    parts = [re.sub(r"_\d+$", "", part) for part in name.split("/")]
    return re.sub(r"\d+", "#", "/".join(parts))


def natural(name: str) -> list[tuple[str, int]]:
    """Returns a key that sorts by numbers, and not by their digits.

    Example:
    >>> sorted(["conv_10", "conv_2", "conv"], key=natural)
    ['conv', 'conv_2', 'conv_10']
    """
    key: list[tuple[str, int]] = []
    for part in name.split("/"):
        stem, counted, number = part.rpartition("_")
        if not counted or not number.isdecimal():
            stem, number = part, "0"
        for text, digits in re.findall(r"(\D*)(\d*)", stem):
            key.append((text, int(digits or 0)))
        key.append(("", int(number)))
    return key


def kind(name: str) -> str:
    """Returns what a weight is in its layer, if its name tells it.

    Example:
    >>> kind("conv1/biases"), kind("Variable_3")
    ('bias', '')
    """
    last = name.rpartition("/")[2]
    last = _SYNONYMS.get(last.lower(), last)
    return last if last in _KINDS else ""
