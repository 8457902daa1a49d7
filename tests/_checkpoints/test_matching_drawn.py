# SPDX-License-Identifier: Apache-2.0
"""Models and checkpoints whose names differ as they do in the wild."""

import collections
import itertools
import random

import pytest
import tensorflow as tf

from final_ops_callback._checkpoints.matching import match
from final_ops_callback._checkpoints.name_map import NameMap
from final_ops_callback._checkpoints.reader import Spec
from final_ops_callback.errors import CheckpointError

pytestmark = pytest.mark.slow

Tensors = dict[str, Spec]
SLIM = {"kernel": "weights", "bias": "biases"}


def drawn(draw: random.Random) -> tuple[Tensors, Tensors, dict[str, str]]:
    """Returns the weights of a model, a checkpoint, and what belongs where."""
    sizes = [draw.choice([3, 3, 4, 5]) for _ in range(draw.randint(2, 6))]
    ours_in = draw.choice(["", "sequential/", "sequential_2/"])
    theirs_in = draw.choice(["", "", "net/", "model/tower/"])
    words = draw.choice([{}, SLIM])
    halves = draw.choice([None] * 9 + [("encoder/", "decoder/")])
    counted_on = draw.choice([0, 0, 1, 9])
    has_other_names = draw.random() < 0.2
    made: collections.Counter[str] = collections.Counter()
    wanted, there, truth = {}, {}, {}
    for index, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        kind = draw.choice(["dense", "conv2d"])
        ours = counted(kind, made[kind] + counted_on)
        theirs = counted(kind, made[kind])
        made[kind] += 1
        if has_other_names:
            theirs = f"layer{index + 1}"
        for last, shape in (("kernel", (rows, columns)), ("bias", (columns,))):
            half = halves[index % 2] if halves else ""
            path = f"{ours_in}{half}{ours}/{last}"
            name = f"{theirs_in}{theirs}/{words.get(last, last)}"
            wanted[path] = there[name] = Spec(shape, tf.float32)
            truth[path] = name
    for decoy in draw.sample(["aux/w", "extra/kernel", "Variable"], 2):
        if draw.random() < 0.2:
            there[decoy] = draw.choice(list(wanted.values()))
    order = sorted(there)
    draw.shuffle(order)
    return wanted, {name: there[name] for name in order}, truth


def counted(kind: str, number: int) -> str:
    """Returns the name that TensorFlow gives a layer."""
    return f"{kind}_{number}" if number else kind


def test_it_is_right_or_an_error() -> None:
    """Each weight gets its own tensor, or the user is asked."""
    draw = random.Random(0)
    results = collections.Counter()
    for _ in range(2000):
        wanted, there, truth = drawn(draw)
        try:
            found = match(wanted, there, NameMap(), "path=model.ckpt")
        except CheckpointError:
            results["asked"] += 1
            continue
        names = {path: one.name for path, one in found.items()}
        results["right" if names == truth else "wrong"] += 1

    assert results["wrong"] == 0
    assert results["right"] > 3 * results["asked"] > 0
