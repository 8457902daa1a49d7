# SPDX-License-Identifier: Apache-2.0
"""Errors of kernels, as a v1 session raised them."""

import pytest
import tensorflow as tf

from final_ops_callback._session.function_def import NAME
from final_ops_callback._session.op_errors import of_the_graph
from final_ops_callback._session.session import EagerSession

v1 = tf.compat.v1


def test_an_error_is_that_of_the_original() -> None:
    """Type, operation and the first line are those of a v1 session."""
    with tf.Graph().as_default():
        text = v1.placeholder(tf.string, [], "text")
        number = tf.strings.to_number(text, name="number")
        errors = []
        for kind in (v1.Session, EagerSession):
            with kind() as session, pytest.raises(tf.errors.OpError) as caught:
                session.run(number, {text: "x"})
            errors.append(caught.value)
    original, ours = errors

    assert type(ours) is type(original)
    assert ours.op is original.op is number.op
    assert ours.node_def == original.node_def
    assert "StringToNumberOp could not correctly convert string: x" in str(ours)
    assert NAME not in str(ours)


def test_an_operation_that_is_not_there_is_none() -> None:
    """The message stays; it may name a node of a function."""
    error = tf.errors.InvalidArgumentError(
        None, None, "bad {{node inside}} of it"
    )
    found = of_the_graph(error, tf.Graph())

    assert isinstance(found, tf.errors.InvalidArgumentError)
    assert (found.op, found.node_def) == (None, None)
    assert "of it" in found.message


def test_the_operation_is_found_by_its_node() -> None:
    """What the runtime adds about our function is taken out."""
    with tf.Graph().as_default() as graph:
        op = tf.constant(1.0, name="here").op
    message = (
        "Graph execution error:\n\n"
        f"{{{{function_node __wrapped__{NAME}7}}}} "
        f"{{{{node here}}}} failed [Op:{NAME}7]"
    )
    found = of_the_graph(tf.errors.DataLossError(None, None, message), graph)

    assert isinstance(found, tf.errors.DataLossError)
    assert found.op is op
    assert NAME not in found.message
