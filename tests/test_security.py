# SPDX-License-Identifier: Apache-2.0
"""Nothing is unpickled or evaluated; what is written reads without pickle."""

import ast
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

import final_ops_callback
from final_ops_callback import FinalOpsCallback
from final_ops_callback.errors import ArgumentError
from tests import models

ROOT = Path(final_ops_callback.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "subprocess"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"system", "popen", "loads", "unsafe_load", "load_model"}


def dangers(source: str) -> Iterator[str]:
    """Yields what in a module could run what a file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names.append(getattr(node, "module", None) or "")
            yield from MODULES.intersection(n.partition(".")[0] for n in names)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "json.loads":  # makes nothing but plain values
                continue
            *owner, name = called.split(".")
            if name in (METHODS if owner else BUILTINS) or called == "np.load":
                yield called


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_runs_nothing_from_files(path: Path) -> None:
    """No module unpickles, loads or evaluates anything."""
    found = list(dangers(path.read_text(encoding="utf-8")))

    assert found == []


def test_each_package_is_searched() -> None:
    """The modules of the packages are among those that are searched."""
    folders = {path.parent.name for path in SOURCES}

    assert folders >= {"_keras", "_session", "_step", "_hooks", "_final_ops"}


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from pickle import loads", "eval('1')", "np.load(f)"],
)
def test_a_danger_is_noticed(source: str) -> None:
    """The scan can fail."""
    assert list(dangers(source))


@pytest.mark.parametrize(
    "template",
    [
        "{phase.__class__}",
        "{step!r}",
        "{step:8}",
        "{phase:>99999999}",
        "{0}",
        "{}",
        "{other}",
        "{step.__init__.__globals__}",
        "{phase[0]}",
        "{phase",
        "phase}",
    ],
)
def test_a_template_holds_two_names_alone(
    template: str, tmp_path: Path
) -> None:
    """Whatever else stands in braces is refused in the constructor."""
    with pytest.raises(ArgumentError, match=r"\{phase\}.*\{step\}|brace"):
        FinalOpsCallback(1, filepath=tmp_path / f"{template}.json")


pieces = strategies.lists(
    strategies.one_of(
        strategies.sampled_from(["{phase}", "{step}", "{", "}", "{{", "}}"]),
        strategies.sampled_from(["{step!r}", "{phase.a}", "{0}", "{x}"]),
        strategies.text(string.ascii_letters + "-_.", max_size=4),
    ),
    max_size=6,
)


@hypothesis.given(pieces)
@hypothesis.settings(
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
def test_any_template_is_refused_or_names_one_file(
    tmp_path: Path, parts: list[str]
) -> None:
    """A file is named by its two values, and by nothing else."""
    template = "a" + "".join(parts) + ".json"
    try:
        callback = FinalOpsCallback(1, filepath=tmp_path / template)
    except ArgumentError:
        return
    models.finish(callback)

    expected = template.format(phase="test", step=0)
    (written,) = tmp_path.iterdir()
    written.unlink()
    assert written.name == expected


OBJECTS = np.array([{"a": 1}, None, "text"], dtype=object)
LEAVES: dict[str, Any] = {
    "none": lambda: None,
    "text": lambda: "text",
    "bytes": b"\x00\xff",
    "array of bytes": tf.constant(["a", "b"]),
    "sparse": lambda: tf.sparse.from_dense([[0, 1]]),
    "ragged": lambda: tf.ragged.constant([[1], [2, 3]]),
    "ragged of bytes": lambda: tf.ragged.constant([["a"], []]),
    "bfloat16": lambda: tf.constant([1.5], tf.bfloat16),
    "nested": {"a": [1, (2.5, True)], "b c/d": np.float16(1)},
    "complex": np.array([1 + 2j]),
    "objects": OBJECTS,
}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("name", LEAVES)
def test_what_is_written_reads_without_pickle(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """A file of values holds data alone, or the value is refused."""
    path = tmp_path / f"final{suffix}"
    callback = FinalOpsCallback({"leaf": LEAVES[name]}, filepath=path)
    if name == "objects" and suffix == ".npz":
        with pytest.raises(OSError, match="leaf"):
            models.finish(callback)
        assert not list(tmp_path.iterdir())
        return
    models.finish(callback)

    if suffix == ".json":
        assert json.loads(path.read_text())
        return
    with np.load(path, allow_pickle=False) as archive:
        values = [archive[key] for key in archive.files]

    assert all(value.dtype != object for value in values)
    assert bool(values) is (name != "none")
