# SPDX-License-Identifier: Apache-2.0
"""Other names that are gone."""

import pytest

from final_ops_callback._scan.findings import Finding
from final_ops_callback._scan.removed import removed_names
from tests._scan.conftest import Found
from tests._scan.contexts import context_of


def removed(found: Found, code: str) -> list[Finding]:
    return [f for f in found(code) if f.kind == "removed_name"]


@pytest.mark.parametrize(
    ("code", "name", "verdict", "write"),
    [
        (
            "import tensorflow as tf\nisinstance(h, tf.train.SessionRunHook)",
            "tf.train.SessionRunHook",
            "change",
            "tf.compat.v1.train.SessionRunHook",
        ),
        (
            "from tensorflow.estimator import SessionRunHook",
            "tf.estimator.SessionRunHook",
            "change",
            "from tensorflow.compat.v1.train import SessionRunHook",
        ),
        (
            "from tensorflow import estimator",
            "tf.estimator",
            "change",
            "import final_ops_callback.estimator as estimator",
        ),
        (
            "import tensorflow as tf\ntf.estimator.Estimator(f)",
            "tf.estimator.Estimator",
            "replace",
            "model.fit",
        ),
        (
            "import tensorflow as tf\ntf.estimator.ModeKeys.TRAIN",
            "tf.estimator.ModeKeys.TRAIN",
            "replace",
            "",
        ),
        (
            "import tensorflow as tf\ntf.contrib.layers.conv2d(x)",
            "tf.contrib.layers",
            "replace",
            "keras.layers",
        ),
        (
            "import tensorflow as tf\ntf.contrib.ffmpeg.decode(x)",
            "tf.contrib.ffmpeg",
            "none",
            "",
        ),
        (
            "import tensorflow.contrib.slim as slim\nslim.conv2d(x)",
            "tf.contrib.slim",
            "replace",
            "keras.layers",
        ),
        (
            "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()",
            "tf.compat.v1.disable_v2_behavior",
            "change",
            "leave it out",
        ),
        (
            "import tensorflow as tf\ntf.disable_v2_behavior()",
            "tf.disable_v2_behavior",
            "change",
            "leave it out",
        ),
    ],
)
def test_names_that_are_gone(
    found: Found, code: str, name: str, verdict: str, write: str
) -> None:
    """A name that is gone is told once, with what there is instead."""
    (finding,) = removed(found, code)

    assert (finding.name, finding.verdict) == (name, verdict)
    assert write in finding.write


def test_a_name_is_told_once_in_a_file(found: Found) -> None:
    """Many uses of a name are one finding, with all of their edits."""
    code = "import tensorflow as tf\n" + "tf.train.SessionRunArgs(1)\n" * 3
    (finding,) = removed(found, code)

    assert finding.line == 2
    assert "in 3 places" in finding.why
    assert len(finding.edits) == 3


def test_what_a_finding_tells_is_not_told_twice(found: Found) -> None:
    """The base of a class and the name of a hook are told with these."""
    code = (
        "import tensorflow as tf\n"
        "class A(tf.train.SessionRunHook): pass\n"
        "tf.train.StopAtStepHook(3)\n"
    )

    assert removed(found, code) == []


def test_other_old_names_are_told_only_beside_hooks(found: Found) -> None:
    """A file without hooks is not about them, whatever else is gone in it."""
    code = "import tensorflow as tf\ntf.placeholder(1)  # estimator\n"
    hook = "h = tf.compat.v1.train.StopAtStepHook(3)\n"

    assert removed(found, code) == []
    assert [f.name for f in removed(found, code + hook)] == ["tf.placeholder"]


def test_what_is_told_elsewhere_is_left_out() -> None:
    """A place that another finding tells of is no finding of its own."""
    context, facts = context_of(
        a="import tensorflow as tf\ntf.train.Saver\ntf.Session"
    )

    names = [f.name for f in removed_names(context, facts, {(2, 0)})]

    assert names == ["tf.Session"]
