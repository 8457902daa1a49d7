# SPDX-License-Identifier: Apache-2.0
"""Names that are gone, and files that die of them."""

import pytest

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.gone import GoneNames
from final_ops_callback._scan.gone import shared_edits
from tests._scan.contexts import context_of


def gone_of(**texts: str) -> tuple[GoneNames, Facts]:
    context, facts = context_of(**texts)
    return context.gone, facts


def spellings(text: str) -> list[str]:
    gone, facts = gone_of(a=text)
    return [
        use.edit.text if use.edit else f"no edit: {use.spelling}"
        for use in gone.of(facts).uses
    ]


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("import tensorflow as tf\ntf.placeholder", "tf.compat.v1.placeholder"),
        (
            "import tensorflow\ntensorflow.train.Saver()",
            "tensorflow.compat.v1.train.Saver",
        ),
        (
            "import tensorflow.compat.v1 as tf\ntf.estimator.NanTensorHook",
            "tf.train.NanTensorHook",
        ),
        (
            "import tensorflow as tf\ntf.estimator.experimental."
            "stop_if_lower_hook",
            "final_ops_callback.estimator.experimental.stop_if_lower_hook",
        ),
        (
            "import tensorflow as tf\nt = tf.train\nt.Saver",
            "no edit: tf.compat.v1.train.Saver",
        ),
        (
            "import tensorflow as tf\ngetattr(tf, 'train').Saver",
            "no edit: tf.compat.v1.train.Saver",
        ),
        ("import tensorflow as tf\ntf.contrib.layers.x", "no edit: "),
    ],
)
def test_how_to_spell_what_is_gone(text: str, spelling: str) -> None:
    """A name is edited where that is safe, and told in any case."""
    assert spellings(text) == [spelling]


@pytest.mark.parametrize(
    "text",
    [
        "import tensorflow.compat.v1 as tf\ntf.placeholder",
        "import tensorflow as tf\ntf.keras.Model; tf.Variable(1)",
        "import torch as tf\ntf.placeholder",
        "x.placeholder",
        "import tensorflow as tf\nif tf.__version__ < '2':\n    tf.Session",
        "import tensorflow as tf\ntry:\n    tf.Session\n"
        "except AttributeError:\n    pass",
    ],
)
def test_what_is_there_is_not_gone(text: str) -> None:
    """Other libraries, what exists, and what is only tried are not gone."""
    assert spellings(text) == []


def test_names_with_another_meaning() -> None:
    """tf.summary.scalar of v1 made an operation, that of TensorFlow 2 none."""
    gone, facts = gone_of(a="import tensorflow as tf\ntf.summary.scalar(1)")

    assert [use.spelling for use in gone.of(facts).changed] == [
        "tf.compat.v1.summary.scalar"
    ]


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("from tensorflow.train import Saver", ["tensorflow.compat.v1.train"]),
        (
            "from tensorflow.estimator import (SessionRunHook as S,\n"
            "    NanTensorHook,)",
            ["tensorflow.compat.v1.train"],
        ),
        ("from tensorflow.train import Saver, Checkpoint", []),
        ("from tensorflow.estimator import Estimator, NanTensorHook", []),
        ("from tensorflow import estimator", ["final_ops_callback"]),
        ("from tensorflow import placeholder", ["tensorflow.compat.v1"]),
        ("from tensorflow.contrib import slim", []),
        ("import tensorflow.contrib.slim as slim", []),
        ("from tensorflow.train import *", []),
    ],
)
def test_imports_are_edited_whole_or_not(text: str, edits: list[str]) -> None:
    """A statement that takes several names is edited if all go one way."""
    gone, facts = gone_of(a=text)

    found = shared_edits(gone.of(facts).imports)

    assert [edit.text for edit in found] == edits


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import tensorflow.contrib", "TensorFlow 2 has no tf.contrib"),
        ("from tensorflow import contrib", "TensorFlow 2 has no tf.contrib"),
        ("import tensorflow as tf\ntf.flags", "TensorFlow 2 has no tf.flags"),
        ("print 'a'", "only Python 2 can parse it"),
        ("a = (", "a syntax error"),
        ("import cPickle", "cPickle is a module of Python 2"),
        (
            "import tensorflow.compat.v1 as tf\ntf.disable_eager_execution()",
            "tf.compat.v1.disable_eager_execution() turns eager",
        ),
        ("import b", "TensorFlow 2 has no tf.contrib"),
        ("from b import c", "TensorFlow 2 has no tf.contrib"),
        ("from . import b", "TensorFlow 2 has no tf.contrib"),
    ],
)
def test_why_a_file_dies(text: str, why: str) -> None:
    """A file that can't be imported is known, with the line that it dies of."""
    other = "import tensorflow.contrib\nimport a\n"
    gone, facts = gone_of(a=text, b=other)
    (trouble,) = gone.troubles(facts)

    assert trouble.why.startswith(why)
    assert trouble.line > 0


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    import tensorflow.contrib",
        "try:\n    import tensorflow.contrib\nexcept ImportError:\n    pass",
        "if __name__ == '__main__':\n    import b",
        "import numpy, os",
        "import a",
    ],
)
def test_why_a_file_lives(text: str) -> None:
    """What runs later, or is only tried, does not keep it from an import."""
    gone, facts = gone_of(a=text, b="import tensorflow.contrib\n")

    assert gone.troubles(facts) == []
