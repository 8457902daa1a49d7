# SPDX-License-Identifier: Apache-2.0
"""What a hook is, and what is said when one fails."""

from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks import calls
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback.errors import HookUsageError
from final_ops_callback.errors import NotAHookError
from final_ops_callback.errors import StepTensorError

v1 = tf.compat.v1
Base = v1.train.SessionRunHook


class Duck:
    """Has the methods of a hook, and no base."""

    def __init__(self, *inner: Any) -> None:
        self.inner = inner

    def begin(self) -> None:
        """Does nothing."""

    after_create_session = before_run = after_run = end = begin


def test_a_hook_is_what_has_its_methods() -> None:
    """Its class is none, nor is what lacks a method."""
    assert calls.is_hook(Base())
    assert calls.is_hook(Duck())
    assert not calls.is_hook(Base)
    assert not calls.is_hook(len)


def test_hooks_are_given_in_three_ways() -> None:
    """One, several, or a function that is called later."""
    hook = Base()

    def make() -> list[Any]:
        return [hook]

    assert calls.checked_hooks(hook)() == [hook]
    assert calls.checked_hooks((hook, hook))() == [hook, hook]
    assert calls.checked_hooks(make) is make
    assert calls.hook_objects(hook) == calls.hook_objects([hook]) == [hook]
    assert calls.hook_objects(make) == []


@pytest.mark.parametrize(
    ("hooks", "place"),
    [(None, r"hooks\[0\]"), ([Base(), 1], r"hooks\[1\]"), ([Base], "0")],
)
def test_what_is_no_hook_is_refused(hooks: Any, place: str) -> None:
    """The error says which, and what a hook is."""
    with pytest.raises(NotAHookError, match=place) as caught:
        calls.checked_hooks(hooks)

    assert "before_run" in str(caught.value)


def test_hooks_inside_of_hooks_are_found() -> None:
    """In the order in which they were given, each once."""
    first, second = Duck(), Base()
    outer = Duck(first, {"a": [second, first]})
    found = list(calls.hooks_within([outer, second]))

    assert list(map(id, found)) == list(map(id, [outer, first, second]))
    assert list(calls.hooks_within(lambda: [first])) == []


def test_methods_of_ones_own_are_known() -> None:
    """Those of the base do nothing, and are not called."""

    class Ending(Base):
        def end(self, session: Any) -> None:
            """Does something."""

    hooks = [Base(), Ending(), Duck()]

    assert calls.overriding(hooks, "end") == [(1, hooks[1]), (2, hooks[2])]
    assert calls.overriding(hooks, "begin") == [(2, hooks[2])]
    assert calls.only_end(hooks[:2])
    assert not calls.only_end(hooks)


def raise_in(error: BaseException) -> BaseException:
    """Returns what an exception becomes that a hook raises."""
    try:
        calls.annotate_hook_error(error, Duck(), "begin", HookGraph())
    except HookUsageError as better:
        return better
    return error


def test_an_error_has_a_note_of_the_hook() -> None:
    """It is the same error; one of ours has its place in itself."""
    error, own = KeyError("x"), StepTensorError("what", "where", "way out")

    assert raise_in(error) is error
    assert error.__notes__ == ["raised by begin of Duck"]
    assert raise_in(own) is own
    assert "begin of Duck" in str(own)


def test_an_eager_tensor_in_the_graph_is_explained() -> None:
    """TensorFlow speaks of capturing; a hook has to take the twin."""
    error = TypeError("Attempting to capture an EagerTensor without building")
    found = raise_in(error)

    assert isinstance(found, HookUsageError)
    assert "global_variables" in str(found)
    assert found.__cause__ is error


def test_no_error_is_no_error() -> None:
    """A method gets its arguments; only an exception has a note."""
    got: list[Any] = []

    class Ending(Duck):
        def end(self, session: Any) -> None:
            got.append(session)
            if session is None:
                raise KeyError("x")

    calls.call(Ending(), "end", HookGraph(), 1)
    with pytest.raises(KeyError) as caught:
        calls.call(Ending(), "end", HookGraph(), None)

    assert got == [1, None]
    assert caught.value.__notes__ == ["raised by end of Ending"]
