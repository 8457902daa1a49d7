# SPDX-License-Identifier: Apache-2.0
"""Rewriting: what is safe, and how it gets into a file."""

import ast
import os
import shutil
import stat
import subprocess
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from final_ops_callback._scan import fix as module
from final_ops_callback._scan import grammar
from final_ops_callback._scan.findings import Edit
from final_ops_callback._scan.fix import edited
from final_ops_callback._scan.fix import fix
from final_ops_callback._scan.fix import write
from final_ops_callback._scan.scan import scan

TREE = Path(__file__).parent / "tree"
OLD = "import tensorflow as tf\nh = tf.train.StopAtStepHook(3)\n"
NEW = "import tensorflow as tf\nh = tf.compat.v1.train.StopAtStepHook(3)\n"


def fixed(folder: Path, code: str) -> str:
    """The text that a file gets."""
    path = folder / "a.py"
    path.write_bytes(code.encode())
    texts = [one.text for one in fix([str(path)]).fixed]
    return texts[0] if texts else code


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree of examples."""
    return Path(shutil.copytree(TREE, tmp_path / "tree"))


def write_all(folder: Path) -> list[str]:
    fixes = fix([str(folder)]).fixed
    for one in fixes:
        write(one)
    return [one.source.path for one in fixes]


def test_a_second_run_changes_nothing(tree: Path) -> None:
    """What is written once is not written again."""
    assert len(write_all(tree)) > 8
    assert write_all(tree) == []


def test_what_is_written_can_be_parsed(tree: Path) -> None:
    """Each file fits the grammar that it did fit, and nothing else is new."""
    before = {path: path.read_bytes() for path in tree.rglob("*.py")}
    changed = set(map(Path, write_all(tree)))

    for path, data in before.items():
        if path not in changed:
            assert path.read_bytes() == data
            continue
        dialect = grammar.parse(data.decode()).dialect
        assert grammar.fits(path.read_text(), dialect)


def test_old_spellings_are_gone_afterwards(tree: Path) -> None:
    """Classes whose base was only spelled in the old way run unmodified."""
    write_all(tree)
    verdicts = {
        (Path(f.path).name, f.name): f.verdict
        for f in scan([str(tree)]).findings
        if f.kind == "hook_class"
    }

    assert verdicts["old_train.py", "LogLoss"] == "unmodified"
    assert verdicts["old_train.py", "SaveBest"] == "unmodified"
    assert verdicts["of_old_base.py", "OfOld"] == "unmodified"
    assert verdicts["from_estimator.py", "Named"] == "unmodified"
    assert verdicts["old_estimator.py", "Progress"] == "unmodified"


def test_the_diff_is_one_that_patch_applies(tree: Path) -> None:
    """The diff and the files say the same."""
    if shutil.which("patch") is None:
        pytest.skip("there is no patch here")
    copy = Path(shutil.copytree(tree, tree.parent / "copy"))
    diffs = [one.diff() for one in fix([str(tree)]).fixed]
    done = subprocess.run(
        ["patch", "-p", str(len(tree.parts)), "-d", copy, "--binary"],
        input="".join(diffs).encode(),
        capture_output=True,
        check=False,
    )
    write_all(tree)

    assert done.returncode == 0, done.stdout
    for path in tree.rglob("*.py"):
        assert (copy / path.relative_to(tree)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("code", "new"),
    [
        (OLD, NEW),
        (OLD.replace("\n", "\r\n"), NEW.replace("\n", "\r\n")),
        (OLD.rstrip("\n"), NEW.rstrip("\n")),
        (f"\f\n{OLD}", f"\f\n{NEW}"),
        (
            "import tensorflow as tf\n"
            "x = (tf .  # why\n  train.StopAtStepHook(3))",
            "import tensorflow as tf\n"
            "x = (tf.compat.v1.train.StopAtStepHook(3))",
        ),
        (
            "import tensorflow.compat.v1 as tf\n"
            "f = tf.train.FinalOpsHook(['auc:0', tf.train.get_global_step()])\n"
            "print(f.final_ops_values)\n",
            "from final_ops_callback import FinalOpsCallback\n"
            "import tensorflow.compat.v1 as tf\n"
            'f = FinalOpsCallback(["auc", lambda model: '
            "model.optimizer.iterations])\n"
            "print(f.final_ops_values)\n",
        ),
        (
            '"""Doc."""\nfrom __future__ import division\n\n'
            "import os\nimport tensorflow as tf\n"
            "tf.estimator.experimental.stop_if_lower_hook(m, 'a', 1)\n",
            '"""Doc."""\nfrom __future__ import division\n\n'
            "import final_ops_callback.estimator\n"
            "import os\nimport tensorflow as tf\n"
            "final_ops_callback.estimator.experimental."
            "stop_if_lower_hook(m, 'a', 1)\n",
        ),
        (
            "from tensorflow import estimator\nx = 1\n",
            "from final_ops_callback import estimator\nx = 1\n",
        ),
        (
            "import tensorflow as tf\nif 1:\n\te.train(f, hooks=h)  # é\n",
            "import tensorflow as tf\nif 1:\n"
            "\t# Keras: model.fit(data, "
            "callbacks=[SessionRunHookCallback(h)])\n"
            "\te.train(f, hooks=h)  # é\n",
        ),
    ],
)
def test_what_is_rewritten(code: str, new: str, tmp_path: Path) -> None:
    """A rewrite changes what it has to, and keeps the rest."""
    assert fixed(tmp_path, code) == new
    assert fixed(tmp_path, new) == new
    ast.parse(new)


@pytest.mark.parametrize(
    "code",
    [
        # A hook among hooks for SessionRunHookCallback stays one.
        "h = [v1.train.FinalOpsHook('loss:0')]\nSessionRunHookCallback(h)",
        "h = v1.train.FinalOpsHook('loss:0')\n"
        "SessionRunHookCallback(hooks=[h])",
        "h = v1.train.FinalOpsHook('loss:0')\nf(h)",
        "h = v1.train.FinalOpsHook('loss:0')\nh.begin()",
        "h = v1.train.FinalOpsHook('loss:0')\nh = 1",
        "class A:\n    h = v1.train.FinalOpsHook('loss:0')",
        "v1.train.FinalOpsHook(tensor)",
        "v1.train.FinalOpsHook('loss:0', {'a': 1})",
        "v1.train.FinalOpsHook(*args)",
        "h = v1.train.FinalOpsHook('hidden/Relu:0')",
        "h = v1.train.FinalOpsHook('loss:0').x",
        "def FinalOpsCallback(): pass\nh = v1.train.FinalOpsHook('loss:0')",
        # No way, or none that is safe.
        "t = tf.train\nh = t.StopAtStepHook(3)",
        "getattr(tf.train, 'StopAtStepHook')(3)",
        "tf.disable_v2_behavior()",
        "tf.contrib.layers.x",
        # Nothing to do.
        "v1.train.StopAtStepHook(3)",
        "a b c\ntf.train.StopAtStepHook(3)",
    ],
)
def test_what_is_left_as_it_is(code: str, tmp_path: Path) -> None:
    """What may be something else, or has no safe rewrite, stays."""
    code = f"import tensorflow as tf\nv1 = tf.compat.v1\n{code}\n"

    assert fixed(tmp_path, code) == code


def test_notebooks_are_left_alone(tree: Path) -> None:
    """A notebook is named, and not changed."""
    before = (tree / "cells.ipynb").read_bytes()
    fixes = fix([str(tree)])

    assert [Path(path).name for path in fixes.notebooks] == ["cells.ipynb"]
    assert (tree / "cells.ipynb").read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600])
def test_permissions_and_encoding_are_kept(mode: int, tmp_path: Path) -> None:
    """A file keeps its permissions, its encoding and its mark."""
    path = tmp_path / "a.py"
    head = "# -*- coding: latin-1 -*-\r\n# caf\u00e9\r\n"
    path.write_bytes((head + OLD).encode("latin-1"))
    path.chmod(mode)

    assert write_all(tmp_path) == [str(path)]
    assert path.read_bytes() == (head + NEW).encode("latin-1")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_byte_order_mark_is_kept(tmp_path: Path) -> None:
    """A file that begins with a mark begins with it afterwards."""
    path = tmp_path / "a.py"
    path.write_bytes(OLD.encode("utf-8-sig"))
    write_all(tmp_path)

    assert path.read_bytes() == NEW.encode("utf-8-sig")


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What a link leads to is written, and the link stays."""
    (tmp_path / "real").write_text(OLD)
    link = tmp_path / "a.py"
    link.symlink_to("real")
    write_all(tmp_path)

    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == NEW


def test_a_file_that_has_changed_is_not_written(tmp_path: Path) -> None:
    """What someone has edited since the scan is not lost."""
    path = tmp_path / "a.py"
    path.write_text(OLD)
    (one,) = fix([str(path)]).fixed
    path.write_text("precious\n")

    with pytest.raises(OSError, match="it has changed"):
        write(one)

    assert path.read_text() == "precious\n"


def test_a_failed_write_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old file, and no other one beside it."""

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.py"
    path.write_text(OLD)
    (one,) = fix([str(path)]).fixed
    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space left"):
        write(one)

    assert path.read_text() == OLD
    assert os.listdir(tmp_path) == ["a.py"]


def test_a_rewrite_that_no_longer_parses_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an edit were wrong, the file would stay as it is."""
    monkeypatch.setattr(module, "edited", lambda text, edits: f"{text}(")

    assert fixed(tmp_path, OLD) == OLD


_POSITIONS = st.tuples(st.integers(1, 3), st.integers(0, 4))


@hypothesis.given(st.lists(st.tuples(_POSITIONS, _POSITIONS), max_size=6))
def test_edits_never_overlap(places: list[tuple[tuple[int, int], ...]]) -> None:
    """Each edit is made whole or not at all, and the first one always is."""
    text = "abcd\nefgh\nijkl\n"
    edits = [
        Edit(*sorted(place), f"<{i}>")  # type: ignore[arg-type]
        for i, place in enumerate(places)
    ]
    new = edited(text, edits)

    assert all(new.count(edit.text) <= 1 for edit in edits)
    assert not edits or edits[0].text in new


@hypothesis.settings(max_examples=40)
@hypothesis.given(draws=st.data())
def test_a_fix_of_a_fix_is_no_fix(
    draws: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is put together of the tree, a second run changes nothing."""
    files = sorted(TREE.glob("*.py"))
    texts = [path.read_bytes().decode("latin-1") for path in files]
    code = "\n".join(draws.draw(st.lists(st.sampled_from(texts), max_size=3)))
    drop = draws.draw(st.integers(0, len(code)))
    code = code[:drop] + code[drop + draws.draw(st.integers(0, 40)) :]
    folder = tmp_path_factory.mktemp("fix")
    once = fixed(folder, code)

    assert fixed(folder, once) == once
