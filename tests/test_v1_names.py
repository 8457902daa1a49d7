# SPDX-License-Identifier: Apache-2.0
"""Modules written for TensorFlow 1 can be imported, as long as wanted."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import v1_names

HAS_ESTIMATOR = hasattr(tf, "estimator")


def names_of_tensorflow() -> dict[str, Any]:
    """Returns all public names that may change, with what they are."""
    modules = (tf, tf.train, tf.compat.v1, tf.compat.v1.train, tf.compat.v2)
    listed = {m.__name__: [*getattr(m, "__all__", [])] for m in modules}
    return listed | {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        # TensorFlow replaces a lazy module when it is first used.
        if not name.startswith("_") and "Lazy" not in type(value).__name__
    }


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    before = names_of_tensorflow()
    yield
    after = names_of_tensorflow()
    assert {name: after[name] for name in before} == before
    added = {name.rpartition(".")[2] for name in after.keys() - before.keys()}
    assert not added & {*v1_names.TRAIN_NAMES, "estimator"} or HAS_ESTIMATOR
    assert v1_names._PUT == []
    assert hasattr(tf.compat.v1, "estimator") == HAS_ESTIMATOR


def test_hooks_of_all_spellings_are_there() -> None:
    """Each spelling is the class that TensorFlow still has."""
    hook = tf.compat.v1.train.SessionRunHook
    with v1_names.install():
        found = [
            tf.train.SessionRunHook,
            tf.compat.v2.train.SessionRunHook,
            tf.estimator.SessionRunHook,
            tf.compat.v1.estimator.SessionRunHook,
        ]

    assert found == [hook] * 4


def test_nothing_that_tensorflow_has_is_overwritten() -> None:
    """Every name of TensorFlow is what it was."""
    before = names_of_tensorflow()

    with v1_names.install():
        during = names_of_tensorflow()

    lists = {name for name, value in before.items() if type(value) is list}
    changed = {name for name in before if during[name] is not before[name]}
    assert changed <= lists
    assert len(during) > len(before)


def test_it_lasts_until_the_last_that_wants_it() -> None:
    """Two parts of a program may install the names at the same time."""
    first, second = v1_names.install(), v1_names.install()

    first.uninstall()
    first.uninstall()
    during = hasattr(tf.train, "SessionRunHook")
    second.uninstall()

    assert during
    assert not hasattr(tf.train, "SessionRunHook")


def test_an_exception_takes_the_names_away() -> None:
    """The context manager ends as others do."""
    with pytest.raises(ZeroDivisionError), v1_names.install():
        _ = 1 / 0

    assert not hasattr(tf.train, "SessionRunHook")


def test_an_import_of_the_module_finds_them() -> None:
    """`from tensorflow.train import` leaves `tf.train` the module it was."""
    module = tf.train
    with v1_names.install():
        from tensorflow.train import SessionRunArgs

    assert SessionRunArgs is tf.compat.v1.train.SessionRunArgs
    assert tf.train is module


def test_what_somebody_put_there_since_stays() -> None:
    """A name that was replaced after `install` is not taken away."""
    names = v1_names.install()
    tf.train.Saver = mine = object()

    names.uninstall()

    assert tf.train.Saver is mine
    del tf.train.Saver


OLD_MODULE = """
import tensorflow as tf
{imports}


class Hook(tf.train.SessionRunHook):
    def begin(self):
        self.step = tf.train.get_or_create_global_step()

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self.step)


class Other({base}):
    def __init__(self, estimator: "tf.estimator.Estimator" = None):
        self.mode = tf.estimator.ModeKeys.TRAIN
"""
IMPORTS = {
    "tf.estimator": ("", "tf.estimator.SessionRunHook"),
    "from tensorflow": (
        "from tensorflow import estimator",
        "estimator.LoggingTensorHook",
    ),
    "from the module": (
        "from tensorflow.estimator import SessionRunHook, Estimator",
        "SessionRunHook",
    ),
    "the module of v1": (
        "from tensorflow.compat.v1.estimator import SessionRunHook",
        "SessionRunHook",
    ),
    "experimental": (
        "from tensorflow.estimator.experimental import stop_if_lower_hook",
        "tf.compat.v1.train.SessionRunHook",
    ),
}


@pytest.mark.parametrize("first", ["import tensorflow", "import keras", ""])
@pytest.mark.parametrize("name", IMPORTS)
@pytest.mark.skipif(HAS_ESTIMATOR, reason="TensorFlow has tf.estimator here")
def test_an_old_module_is_imported(
    name: str, first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not matter how it spells the names."""
    imports, base = IMPORTS[name]
    module = f"old_{abs(hash((name, first)))}"
    text = OLD_MODULE.format(imports=imports, base=base)
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    exec(first)
    with v1_names.install():
        hook = __import__(module).Hook()

    assert isinstance(hook, tf.compat.v1.train.SessionRunHook)


@pytest.mark.slow
@pytest.mark.skipif(HAS_ESTIMATOR, reason="TensorFlow has tf.estimator here")
@pytest.mark.parametrize("first", ["", "import tensorflow as tf"])
@pytest.mark.parametrize(
    "spelling",
    [
        "import tensorflow as tf",
        "import tensorflow.compat.v1 as tf",
        "import tensorflow.compat.v2 as tf",
        "from tensorflow.compat import v1 as tf",
        "from tensorflow import compat; tf = compat.v1",
    ],
)
def test_the_order_of_imports_does_not_matter(
    first: str, spelling: str
) -> None:
    """The names are there before and after TensorFlow is imported."""
    program = f"""
{first}
import final_ops_callback
names = final_ops_callback.v1_names.install()
{spelling}
import tensorflow
assert tf.estimator.SessionRunHook is tf.train.SessionRunHook
from tensorflow.estimator import SessionRunHook, RunConfig
from tensorflow.compat.v1.estimator import LoggingTensorHook
assert SessionRunHook is tensorflow.compat.v1.train.SessionRunHook
names.uninstall()
assert not hasattr(tf, "estimator")
{spelling}
tf.zeros([])
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
