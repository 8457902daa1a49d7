# SPDX-License-Identifier: Apache-2.0
"""What the names of TensorFlow 1 are, and which of them are gone."""

import importlib
import types
from collections.abc import Iterator
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._scan import known
from final_ops_callback._scan import v1_only

v1 = tf.compat.v1
is_2_21 = pytest.mark.skipif(
    hasattr(tf, "estimator"), reason="the table is that of TensorFlow 2.21"
)
# Where the same hook is found.
HOMES = (
    "tensorflow.train",
    "tensorflow.compat.v1.train",
    "tensorflow.estimator",
    "tensorflow.compat.v1.estimator",
    "tensorflow.python.training.basic_session_run_hooks",
    "tensorflow.python.estimator",
    "tensorflow_estimator.python.estimator",
    "final_ops_callback.estimator",
)


def dotted(text: str) -> tuple[str, ...]:
    return tuple(text.split("."))


def names_of(module: Any, prefix: str = "") -> Iterator[str]:
    """The public names of a module of TensorFlow and those below it."""
    for name in dir(module):
        value = getattr(module, name, None)
        if name.startswith("_") or prefix + name in ("compat", "keras"):
            continue
        yield prefix + name
        is_module = isinstance(value, types.ModuleType)
        if (
            is_module
            and "_api" in getattr(value, "__name__", "")
            and name != "raw_ops"
        ):
            yield from names_of(value, f"{prefix}{name}.")


def has(path: str) -> bool:
    value = tf
    for name in path.split("."):
        if not hasattr(value, name):
            return False
        value = getattr(value, name)
    return True


@is_2_21
def test_the_table_is_that_of_tensorflow() -> None:
    """A name of v1 stands in the table exactly if TensorFlow 2 lacks it."""
    names = set(names_of(v1))
    gone = {name for name in names if not has(name)}
    told = {name for name in names if v1_only.is_v1_only(dotted(name))}

    assert told == gone
    assert len(gone) > 500


@is_2_21
def test_changed_names_are_there_in_both() -> None:
    """A name that means something else is an object of its own in v1."""
    for path in v1_only.CHANGED:
        assert getattr(v1.summary, path[-1]) is not getattr(
            tf.summary, path[-1]
        )


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("name", ["SessionRunHook", "LoggingTensorHook"])
def test_a_hook_is_known_in_each_spelling(home: str, name: str) -> None:
    """Whichever way a hook is spelled, it is a hook, and has a name of v1."""
    found = known.known((*dotted(home), name))

    assert found is not None
    assert (found.kind, found.name) == ("hook", name)
    if not found.exists:
        assert found.new == (*known.V1, "train", name)


@is_2_21
@pytest.mark.parametrize("home", HOMES[:-1])
def test_what_is_said_to_be_there_can_be_imported(home: str) -> None:
    """A spelling counts as there exactly if TensorFlow 2.21 has it."""
    name = "LoggingTensorHook"
    found = known.known((*dotted(home), name))
    try:
        is_there = hasattr(importlib.import_module(home), name)
    except ImportError:
        is_there = False

    assert found is not None
    assert found.exists == is_there


@is_2_21
@pytest.mark.parametrize("name", sorted(known.HOOKS))
def test_each_hook_of_the_table_is_one(name: str) -> None:
    """The known hooks are those that `tf.compat.v1.train` has."""
    assert callable(getattr(v1.train, name))
    assert known.known(("tensorflow", "train", name)) is not None


def test_no_hook_of_tensorflow_is_missing() -> None:
    """Each hook that TensorFlow has under its public name is known."""
    there = {
        name
        for name in dir(v1.train)
        if isinstance(getattr(v1.train, name), type)
        and issubclass(getattr(v1.train, name), v1.train.SessionRunHook)
    }

    assert there <= known.HOOKS
    assert len(there) > 8


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tensorflow.train.MonitoredTrainingSession", "session"),
        ("tensorflow.compat.v1.train.Scaffold", "scaffold"),
        ("tensorflow.contrib.slim.evaluation.evaluate_once", "evaluate"),
        ("tf_slim.evaluation.evaluation_loop", "evaluate"),
        ("tensorflow.contrib.training.evaluate_repeatedly", "evaluate"),
        ("tensorflow.contrib.slim.learning.train", "loop"),
        ("tensorflow.estimator.Estimator", "estimator"),
        ("tensorflow.estimator.experimental.stop_if_lower_hook", "maker"),
        ("tensorflow.contrib.estimator.stop_if_higher_hook", "maker"),
        ("tensorflow.contrib.learn.monitors.StopAtStep", "hook"),
        ("tensorflow.contrib.layers.fully_connected", "contrib"),
        ("tensorflow.compat.v1.disable_v2_behavior", "switch"),
        ("horovod.tensorflow.BroadcastGlobalVariablesHook", "hook"),
        ("tensorflow.train.SessionRunArgs", "helper"),
        ("tensorflow.train.Checkpoint", None),
        ("tensorflow.keras.Model", None),
        ("tf_slim", None),
        ("tf_slim.conv2d", None),
        ("torch.optim.Adam", None),
        ("tensorflow", None),
    ],
)
def test_other_names(name: str, kind: str | None) -> None:
    """What belongs to hooks is known as what it is, and nothing else is."""
    found = known.known(dotted(name))

    assert (found and found.kind) == kind


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("tensorflow.logging.info", "tensorflow.compat.v1.logging.info"),
        (
            "tensorflow.contrib.framework.get_or_create_global_step",
            "tensorflow.compat.v1.train.get_or_create_global_step",
        ),
        ("tensorflow.keras.Model", ""),
        ("tensorflow.contrib.layers", ""),
        ("tensorflow.disable_v2_behavior", ""),
    ],
)
def test_what_there_is_instead(name: str, new: str) -> None:
    """A name that is gone leads to the one that there is, if there is one."""
    assert ".".join(known.replacement(dotted(name))) == new


@is_2_21
@pytest.mark.parametrize(
    "name",
    [
        "tensorflow.python.training.summary_io.SummaryWriterCache.get",
        "tensorflow.python.training.session_run_hook",
        "tensorflow.python.training.nothing_there",
        "tensorflow.python.estimator",
        "tensorflow.core.framework.summary_pb2.Summary",
        "tensorflow.contrib",
        "tensorflow.placeholder",
        "tensorflow.compat.v1.placeholder",
        "tensorflow.keras",
    ],
)
def test_a_name_is_there_exactly_if_it_can_be_had(name: str) -> None:
    """What the files of TensorFlow tell is what an import finds."""
    *parts, last = name.split(".")
    exists = False
    for i in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:i]))
            for part in [*parts[i:], last]:
                value = getattr(value, part)
        except (ImportError, AttributeError):
            continue
        exists = True
    if not exists:
        try:
            importlib.import_module(name)
            exists = True
        except ImportError:
            pass

    assert known.exists(dotted(name)) == exists


def test_without_a_tensorflow_everything_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scan where TensorFlow is not installed does not call modules gone."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    name = ("tensorflow", "python", "only", "in", "this", "test")

    assert known.has_name(name)
