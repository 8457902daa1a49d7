# SPDX-License-Identifier: Apache-2.0
"""Knows what the names of TensorFlow 1 are, whichever way they are spelled.

`tf.train.X`, `tf.compat.v1.train.X`, `tf.estimator.X` and the modules below
`tensorflow.python` spell the same hooks; `tf.contrib` and `tf_slim` have more.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import re
from typing import Literal

from final_ops_callback._scan.syntax import Dotted
from final_ops_callback._scan.syntax import words
from final_ops_callback._scan.v1_only import is_v1_only

V1 = ("tensorflow", "compat", "v1")
ROOTS = (
    "tensorflow",
    "tf_slim",
    "tensorflow_estimator",
    "horovod",
    "final_ops_callback",
)

Kind = Literal[
    "hook",  # a class of hooks
    "maker",  # a function that returns a hook
    "helper",  # what hooks use: SessionRunArgs
    "session",  # the MonitoredSession family
    "scaffold",
    "evaluate",  # evaluate_once and the like
    "loop",  # slim.learning.train
    "estimator",  # all else of tf.estimator
    "contrib",  # all else of tf.contrib
    "switch",  # disable_v2_behavior
]

HOOKS = words("""
    SessionRunHook LoggingTensorHook StopAtStepHook CheckpointSaverHook
    CheckpointSaverListener StepCounterHook NanTensorHook SummarySaverHook
    GlobalStepWaiterHook FinalOpsHook FeedFnHook ProfilerHook
    """)
_HELPERS = words("""
    SecondOrStepTimer SessionRunArgs SessionRunContext SessionRunValues
    NanLossDuringTrainingError
    """)
_SESSIONS = words("""
    MonitoredTrainingSession MonitoredSession SingularMonitoredSession
    ChiefSessionCreator WorkerSessionCreator SessionCreator Supervisor
    """)
EARLY_STOPPING = words("""
    stop_if_higher_hook stop_if_lower_hook stop_if_no_increase_hook
    stop_if_no_decrease_hook make_early_stopping_hook
    """)
# Hooks and functions that belong to tf.contrib, tf_slim, tfdbg and Horovod.
_OTHER_HOOKS = words("""
    StopAfterNEvalsHook SummaryAtEndHook InMemoryEvaluatorHook
    LocalCLIDebugHook DumpingDebugHook GrpcDebugHook TensorBoardDebugHook
    BroadcastGlobalVariablesHook TPUInfeedOutfeedSessionHook
    RunHookAdapterForMonitors GraphDump BaseMonitor EveryN
    PrintTensor LoggingTrainable ValidationMonitor CaptureVariable
    CheckpointSaver StopAtStep StepCounter NanLoss SummarySaver ExportMonitor
    """)
_EVALUATION_HOOKS = words("_StopAfterNEvalsHook _MultiStepStopAfterNEvalsHook")
_EVALUATE = words("evaluate_once evaluate_repeatedly evaluation_loop")
_SWITCHES = words("disable_v2_behavior disable_eager_execution")
# What of this package takes hooks.
OURS = words(
    """
    SessionRunHookCallback HookRunner MonitoredTrainingCallback
    evaluate_checkpoints
    """
)
# What tf.contrib had, and TensorFlow 2.21 has under another name.
_CONTRIB_TO_V1: dict[Dotted, Dotted] = {
    ("hooks", "ProfilerHook"): ("train", "ProfilerHook"),
    ("framework", "get_or_create_global_step"): (
        "train",
        "get_or_create_global_step",
    ),
    ("framework", "get_global_step"): ("train", "get_global_step"),
    ("framework", "create_global_step"): ("train", "create_global_step"),
    ("training", "checkpoints_iterator"): ("train", "checkpoints_iterator"),
}
# The words without which a text has nothing to find: a finding is one of these
# names, or the name of a class that another file has derived from one.
WORDS = (
    HOOKS
    | _HELPERS
    | _SESSIONS
    | EARLY_STOPPING
    | _OTHER_HOOKS
    | _EVALUATE
    | _EVALUATION_HOOKS
    | _SWITCHES
    | OURS
    | words("""
        Scaffold estimator tensorflow_estimator contrib hooks training_hooks
        evaluation_hooks prediction_hooks chief_only_hooks
        training_chief_hooks learning tf_slim
        make_session_run_hook make_stop_at_checkpoint_step_hook after_run
        before_run after_create_session
        """)
)


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What a name of TensorFlow 1 is.

    Args:
        kind: What it is.
        name: String. Its own name, without the module.
        path: The dotted name, as it is spelled, from the root package on.
        exists: Boolean. Whether TensorFlow 2.21 has it under this name.
        new: The dotted name under which it has it, or `()`.
    """

    kind: Kind
    name: str
    path: Dotted
    exists: bool
    new: Dotted

    @property
    def label(self) -> str:
        """The name as people write it."""
        return label(self.path)


def label(path: Dotted) -> str:
    """Returns a dotted name as people write it.

    Example:
    >>> label(("tensorflow", "train", "Saver"))
    'tf.train.Saver'
    """
    if path[:1] == ("tensorflow",) and path[1:2] != ("python",):
        path = ("tf", *path[1:])
    return ".".join(path)


@functools.cache
def known(path: Dotted) -> Known | None:
    """Returns what a dotted name is; `None` if it is not about hooks.

    Args:
        path: The dotted name from the root package on.

    Example:
    >>> found = known(("tensorflow", "estimator", "LoggingTensorHook"))
    >>> found.kind, found.exists, label(found.new)
    ('hook', False, 'tf.compat.v1.train.LoggingTensorHook')
    """
    if path[:1] == ("tensorflow",):
        return _of_tensorflow(path, _behind_compat(path))
    if path[:1] == ("tensorflow_estimator",):
        return _of_estimator(path, path[-1:])
    if path[:1] == ("tf_slim",) and path[1:]:
        return _of_contrib(path, path[1:])
    is_ours = path[:2] == ("final_ops_callback", "estimator")
    if (is_ours or path[:2] == ("horovod", "tensorflow")) and path[2:]:
        return _simple(path, exists=True)
    return None


def _behind_compat(path: Dotted) -> Dotted:
    rest = path[1:]
    while rest[:1] == ("compat",) and rest[1:2] in (("v1",), ("v2",)):
        rest = rest[2:]
    return rest


def _of_tensorflow(path: Dotted, rest: Dotted) -> Known | None:
    if rest[:1] == ("train",) and len(rest) == 2:
        exists = path[:3] == V1 or not is_v1_only(rest)
        return _simple(path, exists, (*V1, *rest))
    if rest[:1] == ("estimator",) and len(rest) > 1:
        return _of_estimator(path, rest[1:])
    if rest[:1] == ("contrib",) and len(rest) > 1:
        return _of_contrib(path, rest[1:])
    if rest[:1] == ("python",) and len(rest) > 2:
        return _of_python(path, rest[1:])
    if len(rest) == 1 and rest[0] in _SWITCHES:
        return Known("switch", rest[0], path, path[:3] == V1, ())
    return None


def _kind_of(name: str) -> Kind | None:
    if name in HOOKS or name in _OTHER_HOOKS or name in _EVALUATION_HOOKS:
        return "hook"
    kinds: tuple[tuple[frozenset[str], Kind], ...] = (
        (_HELPERS, "helper"),
        (_SESSIONS, "session"),
        (frozenset(["Scaffold"]), "scaffold"),
        (_EVALUATE, "evaluate"),
        (EARLY_STOPPING, "maker"),
        (frozenset(["make_stop_at_checkpoint_step_hook"]), "maker"),
    )
    for names, kind in kinds:
        if name in names:
            return kind
    return None


def _simple(path: Dotted, exists: bool, new: Dotted = ()) -> Known | None:
    kind = _kind_of(path[-1])
    return kind and Known(kind, path[-1], path, exists, path if exists else new)


def _of_estimator(path: Dotted, rest: Dotted) -> Known | None:
    name = rest[-1]
    if name in HOOKS or name in _HELPERS:
        return _simple(path, False, (*V1, "train", name))
    if name in EARLY_STOPPING:
        home = ("final_ops_callback", "estimator", "experimental")
        return _simple(path, False, (*home, name))
    kind = _kind_of(name) or "estimator"
    return Known(kind, name, path, False, ())


def _of_contrib(path: Dotted, rest: Dotted) -> Known | None:
    name = rest[-1]
    new = _CONTRIB_TO_V1.get(rest, ())
    exists = path[0] == "tf_slim"
    if new:
        kind = _kind_of(name) or "contrib"
        return Known(kind, name, path, exists, (*V1, *new))
    if name in EARLY_STOPPING:
        home = ("final_ops_callback", "estimator", "experimental")
        return Known("maker", name, path, False, (*home, name))
    if name in HOOKS and rest[0] not in ("learn",):
        return Known("hook", name, path, exists, (*V1, "train", name))
    if (
        name == "train"
        and len(rest) > 1
        and rest[-2] in ("learning", "training")
    ):
        return Known("loop", name, path, exists, ())
    found = _kind_of(name)
    if found is None and path[0] == "tf_slim":
        return None
    return Known(found or "contrib", name, path, exists, ())


def _of_python(path: Dotted, rest: Dotted) -> Known | None:
    if rest[0] == "estimator":
        return _of_estimator(path, rest[1:])
    if rest[0] == "training" and len(rest) < 3:
        return None
    return _simple(path, has_name(path), (*V1, "train", path[-1]))


def exists(path: Dotted) -> bool:
    """Returns whether TensorFlow 2.21 has a dotted name.

    Only for names of TensorFlow, and of what was part of it; any other name
    counts as there.

    Example:
    >>> exists(("tensorflow", "placeholder")), exists(V1 + ("placeholder",))
    (False, True)
    """
    if path[:1] == ("tensorflow_estimator",):
        return False
    if path[:1] != ("tensorflow",):
        return True
    rest = _behind_compat(path)
    if rest[:1] in (("contrib",), ("estimator",)):
        return False
    if rest[:1] in (("python",), ("core",)):
        return has_name(path)
    return path[:3] == V1 or not is_v1_only(rest)


@functools.cache
def has_name(path: Dotted) -> bool:
    """Returns whether a module of TensorFlow, or a name in one, is there.

    TensorFlow is not imported for it: this looks at its files. What is in a
    module counts as there. Without a TensorFlow everything does.

    Example:
    >>> has_name(("tensorflow", "python", "no_such_module"))
    False
    """
    spec = importlib.util.find_spec(path[0])
    folders = list((spec and spec.submodule_search_locations) or ())
    return not folders or any(_is_below(f, path[1:]) for f in folders)


def _is_below(folder: str, path: Dotted) -> bool:
    for part in path:
        if os.path.isfile(os.path.join(folder, f"{part}.py")):
            return True
        below = os.path.join(folder, part)
        if not os.path.isdir(below):
            return _is_mentioned(part, os.path.join(folder, "__init__.py"))
        folder = below
    return True


def _is_mentioned(name: str, path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return re.search(rf"\b{re.escape(name)}\b", file.read()) is not None


def replacement(path: Dotted) -> Dotted:
    """Returns the name that there is for one that is gone; `()` if none.

    Example:
    >>> label(replacement(("tensorflow", "logging", "info")))
    'tf.compat.v1.logging.info'
    """
    found = known(path)
    if found is not None:
        return found.new
    rest = _behind_compat(path)
    if path[:1] == ("tensorflow",) and is_v1_only(rest):
        return (*V1, *rest)
    return ()
