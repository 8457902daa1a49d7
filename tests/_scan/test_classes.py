# SPDX-License-Identifier: Apache-2.0
"""The verdicts on classes of hooks."""

import pytest

from final_ops_callback._scan import contrib
from final_ops_callback._scan.classes import ClassJudge
from final_ops_callback._scan.classes import hook_classes
from final_ops_callback._scan.context import import_of
from final_ops_callback._scan.context import is_gone
from final_ops_callback._scan.known import known
from tests._scan.conftest import Found
from tests._scan.contexts import context_of


def test_a_class_is_judged_once() -> None:
    """A class that many files derive from is judged one time."""
    context, facts = context_of(
        a="import tensorflow.compat.v1 as tf\n"
        "class A(tf.train.SessionRunHook): pass\nclass B(A): pass\n"
        "class C: pass"
    )
    judge = ClassJudge(context)

    assert [one.fact.name for one in hook_classes(judge, facts)] == ["A", "B"]
    assert judge.judge(facts.classes[0]) is judge.judge(facts.classes[0])
    assert judge.judge(facts.classes[2]) is None


def test_code_is_shown_with_the_names_that_there_are() -> None:
    """A call is shown in one line, and with its names of TensorFlow 2."""
    context, facts = context_of(
        a="import tensorflow as tf\ntf.train.Saver(\n    tf.Session)"
    )
    call = facts.calls[0].call

    assert context.call_code(facts, call) == (
        "tf.compat.v1.train.Saver(tf.compat.v1.Session)"
    )
    assert context.call_code(facts, call, "f") == "f(tf.compat.v1.Session)"
    assert context.edit_at(facts, (1, 0)) is None


@pytest.mark.parametrize(
    ("text", "write"),
    [
        (
            "import tensorflow as tf\nclass A(tf.train.SessionRunHook): pass",
            "class A(tf.compat.v1.train.SessionRunHook):",
        ),
        (
            "import tensorflow as tf\n"
            "class A(object, tf.estimator.SessionRunHook): pass",
            "class A(object, tf.compat.v1.train.SessionRunHook):",
        ),
        (
            "from tensorflow.estimator import SessionRunHook as S\n"
            "class A(S): pass",
            "from tensorflow.compat.v1.train import SessionRunHook",
        ),
    ],
)
def test_an_old_spelling_has_to_be_changed(
    found: Found, text: str, write: str
) -> None:
    """A class with a base that is gone gets the line with the new base."""
    (finding,) = (f for f in found(text) if f.kind == "hook_class")

    assert finding.verdict == "change"
    assert finding.write == write
    assert "v1_names.install()" in finding.why


def test_a_base_in_another_file_has_to_be_mended_first(found: Found) -> None:
    """What a base needs, the class that derives from it needs, too."""
    findings = found(
        "from other import B\nclass A(B): pass\n",
        other="import tensorflow as tf\nclass B(tf.train.SessionRunHook): pass",
    )
    (finding,) = (f for f in findings if f.name == "A")

    assert (finding.verdict, finding.base) == ("change", "B")
    assert "other.py:2" in finding.why
    assert finding.write.splitlines() == [
        "class B(tf.compat.v1.train.SessionRunHook):",
        "tf.compat.v1.train.SessionRunHook  # other.py:2",
    ]


def test_a_file_that_dies_takes_its_hooks_with_it(found: Found) -> None:
    """A good hook does not run as it stands if its file can't be imported."""
    good, bad = found(
        "import tensorflow as tf\n"
        "class Good(tf.compat.v1.train.SessionRunHook): pass\n"
        "class Bad(tf.train.SessionRunHook): pass\n"
    )

    assert (good.name, good.verdict) == ("Good", "change")
    assert "code.py:3" in good.why
    assert "can't be imported" not in bad.why


def test_the_body_of_a_class_may_have_old_names(found: Found) -> None:
    """Names that are gone, or mean something else, are in the reason."""
    first, *_ = found(
        "import tensorflow as tf\n"
        "class A(tf.compat.v1.train.SessionRunHook):\n"
        "    def begin(self):\n"
        "        tf.logging.info(tf.summary.scalar('a', 1))\n"
    )

    assert first.verdict == "change"
    assert "tf.logging.info" in first.why
    assert "tf.summary.scalar makes no operation" in first.why


@pytest.mark.parametrize(
    ("parameters", "is_hook"),
    [("self, c, v", True), ("self, runner", False), ("self", False)],
)
def test_a_foreign_base_with_the_methods_of_a_hook(
    found: Found, parameters: str, is_hook: bool
) -> None:
    """A base outside of the tree counts if the methods are those of v1."""
    findings = found(
        "import library\nclass A(library.Base):\n"
        f"    def after_run({parameters}): pass\n"
    )

    assert [f.name for f in findings] == (["A"] if is_hook else [])


def test_the_modules_that_a_class_needs_are_told(found: Found) -> None:
    """A class needs the files that its own file imports."""
    (finding,) = found(
        "import other, not_installed\nimport tensorflow.compat.v1 as tf\n"
        "class A(tf.train.SessionRunHook): pass\n",
        other="x = 1\n",
    )

    assert finding.verdict == "unmodified"
    assert "needs the modules of the tree other" in finding.why
    assert "imports not_installed, which is neither" in finding.why


def test_a_listener_goes_to_its_hook(found: Found) -> None:
    """A CheckpointSaverListener is given to a CheckpointSaverHook."""
    (finding,) = found(
        "import tensorflow.compat.v1 as tf\n"
        "class A(tf.train.CheckpointSaverListener): pass\n"
    )

    assert "CheckpointSaverHook(checkpoint_dir, listeners=[A()])" in (
        finding.write
    )


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("tensorflow.contrib.training.StopAfterNEvalsHook", "replace"),
        ("tensorflow.contrib.learn.monitors.PrintTensor", "replace"),
        ("tensorflow.python.debug.LocalCLIDebugHook", "none"),
        ("tensorflow.contrib.tpu.TPUInfeedOutfeedSessionHook", "none"),
        ("tensorflow.train.NanTensorHook", None),
        ("tensorflow.contrib.hooks.ProfilerHook", None),
    ],
)
def test_hooks_of_other_modules(name: str, verdict: str | None) -> None:
    """A hook of contrib has an advice, or a hook of tf.train in its place."""
    hook = known(tuple(name.split(".")))
    assert hook is not None
    advice = contrib.of_hook(hook)

    assert (advice and advice[0]) == verdict


def test_a_hook_without_a_way_has_no_line(found: Found) -> None:
    """The verdict none says why, and shows nothing to write."""
    (finding,) = found(
        "from tensorflow.python import debug as tf_debug\n"
        "hook = tf_debug.LocalCLIDebugHook()\n"
    )

    assert (finding.verdict, finding.write) == ("none", "")
    assert "debugger" in finding.why


def test_only_what_install_puts_back_is_said_to_come_back() -> None:
    """v1_names has the names of tf.train and tf.estimator, not of contrib."""
    old = known(("tensorflow", "train", "StopAtStepHook"))
    contrib_name = known(("tensorflow", "contrib", "hooks", "ProfilerHook"))
    assert old is not None
    assert contrib_name is not None

    assert "v1_names.install()" in is_gone(old)
    assert "v1_names" not in is_gone(contrib_name)


def test_the_statement_of_an_import() -> None:
    """A name is imported from the module before its last dot."""
    assert import_of(("a", "b", "c")) == "from a.b import c"
