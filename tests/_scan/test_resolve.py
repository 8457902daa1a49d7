# SPDX-License-Identifier: Apache-2.0
"""What a name means, through aliases, imports and other files."""

from pathlib import Path

import pytest

from final_ops_callback._scan.facts import Facts
from final_ops_callback._scan.facts import facts_of
from final_ops_callback._scan.grammar import parse
from final_ops_callback._scan.resolve import Resolver
from final_ops_callback._scan.tree import Tree
from tests._scan.contexts import context_of


def resolved(name: str, **texts: str) -> str:
    """What a name in the file `a` means, in dots."""
    files = {f"/w/{key}.py": text for key, text in texts.items()}

    def read(path: str) -> Facts:
        return facts_of(path, parse(files[path]))

    tree = Tree(files, read)
    facts = tree.facts("/w/a.py")
    assert facts is not None
    resolver = Resolver(tree)
    path = tuple(name.split("."))
    own = [fact.name for fact in resolver.classes(facts.module, path)]
    return ".".join(resolver.external(facts.module, path)) or ",".join(own)


HOOK = "tensorflow.compat.v1.train.SessionRunHook"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tf.train.X", "import tensorflow as tf"),
        ("tensorflow.train.X", "import tensorflow.python.framework"),
        ("t.X", "from tensorflow import train as t"),
        ("X", "from tensorflow.train import X"),
        ("c", "import tensorflow as a\nb = a.train\nc = b.X"),
        ("c", "import tensorflow as a\nb, c = 1, a.train.X"),
        ("c", "import tensorflow as a\nb = c = a.train.X"),
        ("c", "import tensorflow as a\n(c) = a.train.X"),
        ("c", "import tensorflow as a\nc = a.train.X if a else None"),
        ("c", "import tensorflow as a\nc = getattr(a.train, 'X')"),
        ("c.d", "import tensorflow as a\nclass c:\n    d = a.train.X"),
        ("tf.train.X", "from nowhere import *"),
        ("t.train.X", "import importlib as i\nt = __import__('tensorflow')"),
    ],
)
def test_aliases(name: str, text: str) -> None:
    """A name of TensorFlow is found behind each kind of alias."""
    assert resolved(name, a=f"{text}\n") == "tensorflow.train.X"


def test_a_parameter_called_tf_is_tensorflow() -> None:
    """A function that gets TensorFlow calls it tf; other names are open."""
    text = "def f(tf, x):\n    tf.train.X\n    x.train.X"
    context, facts = context_of(a=text)
    found = [context.resolver.external(u.scope, u.path) for u in facts.uses]

    assert found == [("tensorflow", "train", "X"), ()]


def test_a_module_that_becomes_a_part_of_itself() -> None:
    """The line tf = tf.compat.v1 does not go in circles."""
    text = "import tensorflow as tf\ntf = tf.compat.v1\n"

    assert resolved("tf.train.SessionRunHook", a=text) == HOOK


@pytest.mark.parametrize(
    "text", ["a = a", "a = b\nb = a", "a = a.b.a", "a = c"]
)
def test_circles_end(text: str) -> None:
    """A name that means itself means nothing."""
    assert resolved("a", a=f"{text}\n") == ""


def test_of_two_ways_the_one_that_is_there_counts() -> None:
    """An import that is tried in two ways means what TensorFlow 2 has."""
    text = (
        "try:\n    import tensorflow as tf\n"
        "except ImportError:\n    import tensorflow.compat.v1 as tf\n"
    )

    assert resolved("tf.train.SessionRunHook", a=text) == HOOK


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("B", "from b import B"),
        ("C", "from b import B as C"),
        ("b.B", "import b"),
        ("x.B", "import b as x"),
        ("B", "from b import *"),
        ("B", "from c import *"),
        ("y", "import c\ny = c.d"),
        ("B", "from .b import B"),
        ("b.B", "from . import b"),
    ],
)
def test_classes_of_other_files(name: str, text: str) -> None:
    """A class is found through each way to import it."""
    files = {"b": "class B: pass\n", "c": "from b import *\nd = B\n"}

    assert resolved(name, a=f"{text}\n", **files) == "B"


def test_imports_in_circles_end() -> None:
    """Two files that import everything of one another are no circle."""
    files = {"a": "from b import *\n", "b": "from a import *\n"}

    assert resolved("X", **files) == ""


def test_names_of_a_class_are_not_those_of_its_methods() -> None:
    """A method sees the names around its class, not those in it."""
    text = (
        "import tensorflow as tf\n"
        "class A:\n"
        "    tf = 1\n"
        "    def f(self): tf.train.X\n"
    )
    tree = Tree(["/w/a.py"], lambda path: facts_of(path, parse(text)))
    facts = tree.facts("/w/a.py")
    assert facts is not None
    use = facts.uses[-1]

    found = Resolver(tree).external(use.scope, use.path)

    assert found == ("tensorflow", "train", "X")


@pytest.mark.parametrize(
    "base",
    [
        "tf.train.SessionRunHook",
        "(tf.train.SessionRunHook)",
        "six.with_metaclass(type, tf.train.SessionRunHook)",
        "object, tf.train.SessionRunHook",
        "tf.train.SessionRunHook if tf else object",
        "Other",
        "made()",
        "Outer.Inner",
    ],
)
def test_a_class_descends_from_a_hook(base: str) -> None:
    """Each way to write a base is followed to the hook of TensorFlow."""
    text = (
        "import six\nimport tensorflow.compat.v1 as tf\n"
        "class Other(tf.train.SessionRunHook): pass\n"
        "class Outer:\n    class Inner(Other): pass\n"
        "def made():\n    class Local(Other): pass\n    return Local\n"
        f"class A({base}): pass\n"
    )
    tree = Tree([str(Path("/w/a.py"))], lambda p: facts_of(p, parse(text)))
    facts = tree.facts("/w/a.py")
    assert facts is not None

    descent = Resolver(tree).descent(facts.classes[-1])

    assert descent is not None
    assert ".".join(descent.root.path) == HOOK


@pytest.mark.parametrize("base", ["object", "A", "B", "tf.Module", "None", "1"])
def test_other_classes_do_not(base: str) -> None:
    """A class that descends from something else, or from itself, does not."""
    text = f"import tensorflow as tf\nclass B(A): pass\nclass A({base}): pass\n"
    tree = Tree(["/w/a.py"], lambda p: facts_of(p, parse(text)))
    facts = tree.facts("/w/a.py")
    assert facts is not None

    assert [Resolver(tree).descent(c) for c in facts.classes] == [None, None]
