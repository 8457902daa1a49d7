# SPDX-License-Identifier: Apache-2.0
"""What is said of a tensor that is not of the hook graph."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks.foreign import explain
from final_ops_callback._names import step_specs_of
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback.errors import ForeignTensorError
from final_ops_callback.errors import HookUsageError
from tests.flavors import keras

ANOTHER = ValueError("Tensor is not an element of this graph.")
NONE = TypeError("Fetch argument has invalid type")


class Holder:
    """An object of the user's that holds something."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def method(self) -> Any:
        return self.held


def message(error: Exception, held: Any, argument: str = "hooks") -> str:
    """Returns what is said, in the graph of a model with a loss."""
    graph = HookGraph((), step_specs_of({"loss": tf.TensorSpec([])}))
    with pytest.raises(ForeignTensorError, match=r".") as caught:
        explain(error, "begin of Hook", held, graph, argument)
    assert caught.value.__cause__ is error
    assert "begin of Hook" in str(caught.value)
    return str(caught.value)


def in_other_graph(name: str, kind: Any = tf.constant) -> Any:
    """Returns a tensor of a graph of its own."""
    with tf.Graph().as_default():
        return kind(1.0, name=name)


@pytest.mark.parametrize(
    "held",
    [
        lambda t: t,
        lambda t: {"a": [t]},
        lambda t: Holder({1: (t,)}),
        lambda t: lambda: t,
        lambda t: Holder(t).method,
    ],
    ids=["alone", "nested", "object", "function", "method"],
)
def test_the_tensor_is_found_wherever_it_is_held(held: Any) -> None:
    """In containers, objects and closures."""
    tensor = in_other_graph("mine")

    assert "'mine:0' belongs to a graph" in message(ANOTHER, held(tensor))


def test_the_advice_fits_the_tensor() -> None:
    """The name of what the step delivers, or the twin of a variable."""
    loss = message(ANOTHER, in_other_graph("loss"))
    variable = message(ANOTHER, in_other_graph("w", tf.Variable))
    scaffold = message(ANOTHER, in_other_graph("x"), "scaffold")

    assert "Use 'loss:0'" in loss
    assert "Take the twin" in variable
    assert "function that is passed as scaffold" in scaffold


def test_the_graph_of_another_run_is_told() -> None:
    """A hook that built once, in its first run, has it."""
    with HookGraph().as_default():
        tensor = tf.constant(1.0)

    assert "another run" in message(ANOTHER, tensor)


def test_what_is_of_no_graph_is_told_by_its_kind() -> None:
    """Eager tensors, variables of the model and symbolic tensors differ."""
    layer = keras.layers.Dense(1, name="dense")
    layer.build((None, 1))

    assert "an eager tensor" in message(NONE, [tf.constant(1.0)])
    assert "the variable" in message(NONE, [layer.kernel])
    assert "symbolic Keras tensor 'x'" in message(
        NONE, [keras.Input((1,), name="x")]
    )


def test_another_error_is_none_of_ours() -> None:
    """Nothing is raised, whatever is held."""
    explain(ValueError("else"), "begin", in_other_graph("x"), HookGraph())
    explain(NONE, "begin", ["text"], HookGraph())


def test_an_operation_that_comes_too_late_is_told() -> None:
    """The graph is finalized, and nothing held is foreign."""
    error = RuntimeError("Graph is finalized and cannot be modified.")
    with pytest.raises(HookUsageError, match="not later"):
        explain(error, "before_run of Hook", None, HookGraph())


def test_a_search_that_finds_nothing_gives_the_rule() -> None:
    """Tensors by name, or hooks in a function."""
    assert "Give tensors by their names" in message(ANOTHER, object())
