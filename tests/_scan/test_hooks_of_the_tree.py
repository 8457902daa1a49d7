# SPDX-License-Identifier: Apache-2.0
"""The tree of examples is found whole, and its verdicts are true."""

import ast
import collections
import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback._scan import notebooks
from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.scan import scan
from tests import models

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TREE = HERE / "tree"
REPORT = scan([str(TREE)])
v1 = tf.compat.v1

# What the code around a local class gives to it, and constructors get.
AROUND = {"batch_size": 32}
ARGUMENTS = {"StopWhenFlat": ("loss:0", 9)}


def inside(finding: Finding) -> str:
    return Path(finding.path).relative_to(TREE).as_posix()


def line_of(finding: Finding) -> str:
    cell = "" if finding.cell is None else f"#{finding.cell}"
    place = f"{inside(finding)}:{finding.line}{cell}"
    return f"{place} {finding.kind} {finding.name} {finding.verdict}"


def test_the_tree_is_found_whole() -> None:
    """Each hook, use and name of the tree is found, with its verdict."""
    expected = (HERE / "expected.txt").read_text(encoding="utf-8")

    assert list(map(line_of, REPORT.findings)) == expected.splitlines()


def test_the_tree_is_large() -> None:
    """It has at least 40 hooks in 20 files, and each verdict of each kind."""
    hooks = [
        f for f in REPORT.findings if f.kind in ("hook_class", "hook_made")
    ]
    verdicts = collections.defaultdict(set)
    for finding in REPORT.findings:
        verdicts[finding.kind].add(finding.verdict)

    assert len(hooks) >= 40
    assert len({finding.path for finding in hooks}) >= 20
    assert verdicts["hook_class"] == verdicts["hook_made"]
    assert len(verdicts["hook_class"]) == 4


def test_only_the_broken_file_is_unreadable() -> None:
    """A syntax error is told once, and what is around it is read."""
    assert [(Path(u.path).name, u.line) for u in REPORT.unreadable] == [
        ("broken.py", 11)
    ]


@pytest.fixture(autouse=True)
def _importable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Makes the files of the tree importable, for one test."""
    outside = types.ModuleType("outside_library")
    outside.BaseHook = v1.train.SessionRunHook  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "outside_library", outside)
    monkeypatch.syspath_prepend(TREE / "project")
    monkeypatch.syspath_prepend(TREE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(TREE) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def module_of(path: str) -> str:
    name = path.removesuffix(".py").removesuffix("/__init__")
    return name.removeprefix("project/").replace("/", ".")


def namespace_of(path: str) -> tuple[dict[str, Any], ast.Module]:
    """What a file of the tree defines, and its syntax tree."""
    text = (TREE / path).read_bytes()
    if path.endswith(".ipynb"):
        code = notebooks.code_of(text.decode()).text
        namespace: dict[str, Any] = {"__name__": "notebook"}
        exec(compile(code, path, "exec"), namespace)
        return namespace, ast.parse(code)
    module = importlib.import_module(module_of(path))
    return {**vars(module), **AROUND}, ast.parse(text)


def define_local_classes(tree: ast.Module, names: dict[str, Any]) -> None:
    """Defines the classes that stand in functions and classes, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name not in names:
            exec(compile(ast.Module([node], []), "<class>", "exec"), names)


def objects_of(findings: list[Finding]) -> list[Any]:
    """Makes the hooks of one file that are found to be unmodified."""
    names, tree = namespace_of(inside(findings[0]))
    define_local_classes(tree, names)
    made = []
    for finding in findings:
        if finding.kind == "hook_class":
            arguments = ARGUMENTS.get(finding.name, ())
            made.append(names[finding.name](*arguments))
            continue
        call = next(
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and node.lineno == finding.line
            and finding.name in ast.unparse(node).partition("=")[0]
            and "hooks" not in ast.unparse(node.func)
        )
        hook = eval(compile(ast.Expression(call), "<call>", "eval"), names)
        made.append(hook() if callable(hook) else hook)
    return made


def as_hook(one: Any) -> Any:
    if isinstance(one, v1.train.CheckpointSaverListener):
        return v1.train.CheckpointSaverHook(
            "saved", save_steps=1, listeners=[one]
        )
    return one


UNMODIFIED: dict[str, list[Finding]] = {}
for _finding in REPORT.findings:
    if _finding.verdict == "unmodified" and "hook_" in _finding.kind:
        UNMODIFIED.setdefault(inside(_finding), []).append(_finding)


@pytest.mark.parametrize("path", UNMODIFIED)
def test_unmodified_hooks_run(path: str, model: Any) -> None:
    """Each hook of that verdict runs in fit, from its begin to its end."""
    hooks = list(map(as_hook, objects_of(UNMODIFIED[path])))
    ended = []
    for hook in hooks:
        end = hook.end
        hook.end = lambda session, end=end: (end(session), ended.append(1))
    features, labels = models.tiny_data()[:2]

    callback = SessionRunHookCallback(
        hooks, step_tensors={"labels": tf.TensorSpec(None, labels.dtype)}
    )
    model.fit(features, labels, batch_size=2, verbose=0, callbacks=[callback])

    assert len(ended) == len(hooks) > 0
    assert int(model.optimizer.iterations) > 0


DEAD = sorted(
    {
        inside(finding)
        for finding in REPORT.findings
        if finding.kind == "hook_class"
        and "can't be imported" in finding.why
        # It would turn off what the other tests need.
        and "eager" not in finding.why
        and inside(finding).endswith(".py")
    }
)


def test_some_files_are_said_to_die() -> None:
    """The tree has files that can't be imported, for each reason."""
    assert len(DEAD) >= 5


@pytest.mark.skipif(hasattr(tf, "estimator"), reason="TensorFlow 2.15 has it")
@pytest.mark.parametrize("path", DEAD)
def test_a_file_that_is_said_to_die_dies(path: str) -> None:
    """A file of which the scan says so can't be imported."""
    with pytest.raises((ImportError, AttributeError, NameError, SyntaxError)):
        importlib.import_module(module_of(path))
