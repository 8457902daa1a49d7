# SPDX-License-Identifier: Apache-2.0
"""Runs the same v1 script on the session of TensorFlow and on ours."""

import numpy as np
import tensorflow as tf

from final_ops_callback import EagerSession

SESSIONS = (tf.compat.v1.Session, EagerSession)


class Failed(Exception):
    """The type and text of an exception of a script, to compare."""


def of_both(script):
    """Run a script on both sessions, each time in a graph of its own.

    Args:
        script: Called with a function that builds a session.

    Returns:
        A list of two: what the script returned, or a `Failed`.
    """
    outcomes = []
    for session_of in SESSIONS:
        with tf.Graph().as_default():
            try:
                outcomes.append(script(session_of))
            except Exception as error:
                outcomes.append(Failed(type(error), str(error)))
    return outcomes


def assert_same(script, *, text=True):
    """Fail if a script has a different outcome on our session.

    Args:
        script: As in `of_both`.
        text: Whether the texts of errors are compared, too.
    """
    expected, actual = of_both(script)
    if isinstance(expected, Failed) or isinstance(actual, Failed):
        one, other = (
            side.args[: 1 + text] if isinstance(side, Failed) else side
            for side in (expected, actual)
        )
        assert other == one
        return
    tf.nest.assert_same_structure(actual, expected)
    for one, other in zip(
        tf.nest.flatten(expected), tf.nest.flatten(actual), strict=True
    ):
        if one is None or np.asarray(one).dtype.kind in "OSU":
            np.testing.assert_array_equal(other, one)
        else:
            np.testing.assert_allclose(other, one, rtol=1e-5)
