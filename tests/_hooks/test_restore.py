# SPDX-License-Identifier: Apache-2.0
"""A saver that finds no slots in an old checkpoint shows the way out."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from final_ops_callback import errors
from final_ops_callback._hooks.restore import explain
from tests import models
from tests.flavors import keras
from tests.flavors import path_of

v1 = tf.compat.v1
KERNEL = np.full((3, 1), 0.5, "float32")


def make() -> Any:
    """Returns a model whose optimizer keeps slots."""
    model = models.tiny_model()
    model.compile(keras.optimizers.Adam(0.0, name="adam"), "mse")
    return model


def old_checkpoint(model: Any, folder: Path) -> str:
    """Writes, with v1 itself, what its script kept: weights and step."""
    with tf.Graph().as_default(), v1.Session() as session:
        for weight in model.weights:
            value = KERNEL if len(weight.shape) == 2 else np.ones(1, "float32")
            v1.get_variable(path_of(weight), initializer=value)
        v1.train.create_global_step()
        session.run(v1.global_variables_initializer())
        return str(v1.train.Saver().save(session, str(folder / "old")))


class Restores(v1.train.SessionRunHook):
    """Restores a checkpoint as scripts do, with a saver or the default one."""

    def __init__(self, path: str, make_saver: Callable[[], Any]) -> None:
        self.path = path
        self.make_saver = make_saver

    def begin(self) -> None:
        self.saver = self.make_saver()

    def after_create_session(self, session: Any, coord: Any) -> None:
        saver = self.saver
        if saver is None:
            (saver,) = v1.get_collection(v1.GraphKeys.SAVERS)
        saver.restore(session, self.path)


def default() -> None:
    return None


def there(path: str) -> list[Any]:
    names = {name for name, _ in tf.train.list_variables(path)}
    return [v for v in v1.global_variables() if v.op.name in names]


MATCH = (
    r"old' lacks 4 of the 7 variables that the saver restores: .*adam.*kernel"
    r".*{}.*Scaffold\(saver=.*Saver\(.*variable_names"
)


@pytest.mark.parametrize("make_saver", [default, v1.train.Saver])
def test_a_hook_that_restores_what_has_no_slots(
    make_saver: Callable[[], Any], tmp_path: Path
) -> None:
    """The error lists all missing variables, with the saver to write."""
    model = make()
    hook = Restores(old_checkpoint(model, tmp_path), make_saver)

    with pytest.raises(
        errors.HookUsageError,
        match=MATCH.format("after_create_session of Restores"),
    ):
        models.fit(model, SessionRunHookCallback(hook))


def test_an_init_fn_that_restores_what_has_no_slots(tmp_path: Path) -> None:
    """The error of the scaffold's own restore is the same."""
    model = make()
    path = old_checkpoint(model, tmp_path)

    def scaffold() -> Any:
        made = v1.train.Scaffold(
            init_fn=lambda _, session: made.saver.restore(session, path)
        )
        return made

    callback = SessionRunHookCallback(
        v1.train.SessionRunHook(), scaffold=scaffold
    )

    with pytest.raises(
        errors.HookUsageError, match=MATCH.format("init_fn of the scaffold")
    ):
        models.fit(model, callback)


def test_the_way_out_restores_what_there_is(tmp_path: Path) -> None:
    """The saver that the error writes down gives the weights of v1."""
    model = make()
    path = old_checkpoint(model, tmp_path)

    made: list[Any] = []

    def scaffold() -> Any:
        made.append(v1.train.Scaffold(saver=v1.train.Saver(there(path))))
        return made[0]

    class Restoring(v1.train.SessionRunHook):
        def after_create_session(self, session: Any, coord: Any) -> None:
            made[0].saver.restore(session, path)

    models.fit(model, SessionRunHookCallback(Restoring(), scaffold=scaffold))

    np.testing.assert_array_equal(model.get_weights()[0], KERNEL)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    """The error names the first missing variables, and counts the others."""

    class Makes(Restores):
        def begin(self) -> None:
            for index in range(30):
                v1.get_variable(f"more/{index:02}", [])
            super().begin()

    model = make()
    hook = Makes(old_checkpoint(model, tmp_path), default)

    with pytest.raises(errors.HookUsageError, match=r"lacks 34 .*and 14 more"):
        models.fit(model, SessionRunHookCallback(hook))


def test_another_error_of_a_restore_is_that_of_v1(tmp_path: Path) -> None:
    """A missing checkpoint is v1's own error."""
    hook = Restores(str(tmp_path / "none"), default)

    with pytest.raises(ValueError, match="not a valid checkpoint"):
        models.fit(make(), SessionRunHookCallback(hook))


def test_what_a_hook_does_not_find_is_its_own_error() -> None:
    """A NotFoundError of another kind keeps its type, with a note."""

    class Fails(v1.train.SessionRunHook):
        def begin(self) -> None:
            raise tf.errors.NotFoundError(None, None, "nothing there")

    with pytest.raises(tf.errors.NotFoundError, match="nothing") as caught:
        models.fit(make(), SessionRunHookCallback(Fails()))

    assert caught.value.__notes__ == ["raised by begin of Fails"]


def test_it_is_the_error_of_v1_too() -> None:
    """Code that caught v1's error catches this one, with all its parts."""
    error = errors.CheckpointError("what", "where", "way out")

    assert isinstance(error, tf.errors.NotFoundError)
    assert str(error) == "what (at where). way out"
    assert (error.op, error.node_def) == (None, None)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_only_a_failed_restore_is_explained() -> None:
    """Another error, or one that no saver raised, stays as it is."""
    explain(ValueError("else"), "begin of Hook")
    explain(tf.errors.NotFoundError(None, None, "no file"), "begin of Hook")


def test_what_the_checkpoint_lacks_is_listed(tmp_path: Path) -> None:
    """The names are those of the saver that failed; many are cut short."""
    with tf.Graph().as_default(), v1.Session() as session:
        there = v1.get_variable("there", [])
        session.run(there.initializer)
        path = v1.train.Saver().save(session, str(tmp_path / "a"))
        for index in range(25):
            v1.get_variable(f"lacks_{index:02}", [])
        with pytest.raises(tf.errors.NotFoundError) as caught:
            v1.train.Saver().restore(session, path)
        with pytest.raises(errors.CheckpointError, match="and 5 more") as told:
            explain(caught.value, "begin of Hook")

    assert "lacks 25 of the 26 variables" in str(told.value)
    assert "'lacks_00'" in str(told.value)
    assert "'there'" not in str(told.value)
