# SPDX-License-Identifier: Apache-2.0
"""The scaffold of a run: finalized last, run first."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from final_ops_callback._hooks import scaffold as scaffolds
from final_ops_callback._session.hook_graph import HookGraph
from final_ops_callback._session.live_variable import LiveVariable
from final_ops_callback._session.session import EagerSession
from final_ops_callback.errors import HookUsageError

v1 = tf.compat.v1


def test_a_scaffold_is_given_made_or_the_default() -> None:
    """A function makes one for each run."""
    own = v1.train.Scaffold()
    with HookGraph().as_default():
        for given, is_own in ((own, True), (lambda: own, True), (None, False)):
            with scaffolds.scaffold_of(given) as scaffold:
                assert (scaffold is own) is is_own
                assert isinstance(scaffold, v1.train.Scaffold)


def test_a_scaffold_forgets_the_graph_of_a_run() -> None:
    """So it serves in the next run, whose graph is another."""
    own = v1.train.Scaffold()
    for _ in range(2):
        graph = HookGraph()
        with graph.as_default(), scaffolds.scaffold_of(own) as scaffold:
            scaffolds.finalize(scaffold, graph)
            assert scaffold.init_op.graph is graph
    assert own.init_op is None


def began(build: Any, given: Any = None) -> Any:
    """Initializes a hook graph, and returns what `build` gave, run."""
    graph = HookGraph([LiveVariable("w", tf.Variable(3.0))])
    with graph.as_default(), scaffolds.scaffold_of(given) as scaffold:
        fetches = build()
        scaffolds.finalize(scaffold, graph)
        with EagerSession() as session:
            scaffolds.initialize(scaffold, session)
            return session.run(fetches)


def test_variables_of_hooks_are_initialized_and_twins_are_not() -> None:
    """The model's have the values of the model."""

    def build() -> Any:
        own = v1.get_variable("own", initializer=5.0)
        local = v1.get_variable(
            "local", initializer=6.0, collections=["local_variables"]
        )
        return [own, local, "w:0"]

    assert began(build) == [5.0, 6.0, 3.0]


def test_an_init_function_gets_the_session() -> None:
    """It runs between the two default operations."""
    seen = []
    scaffold = v1.train.Scaffold(
        init_fn=lambda _, session: seen.append(session.run("own:0"))
    )
    began(lambda: v1.get_variable("own", initializer=5.0), scaffold)

    assert seen == [5.0]


def test_what_stays_uninitialized_is_told() -> None:
    """The error names the variable, and the way out."""

    def build() -> Any:
        return v1.get_variable("own", initializer=5.0)

    def scaffold() -> Any:
        return v1.train.Scaffold(init_op=tf.no_op())

    with pytest.raises(HookUsageError, match=r"not initialized: .*'own'\]"):
        began(build, scaffold)


def test_a_saver_is_about_all_variables() -> None:
    """Also about the twins, which initializers leave alone."""
    graph = HookGraph([LiveVariable("w", tf.Variable(3.0))])
    with graph.as_default(), scaffolds.scaffold_of(None) as scaffold:
        before = [v.name for v in v1.global_variables()]
        scaffolds.finalize(scaffold, graph)
        (saver,) = v1.get_collection(v1.GraphKeys.SAVERS)
        after = [v.name for v in v1.global_variables()]

    assert before == after
    assert graph.finalized
    assert {v.op.name for v in saver._var_list} == {"w", "global_step"}


def test_a_variable_may_have_another_name_in_checkpoints(
    tmp_path: pathlib.Path,
) -> None:
    """The saver writes and reads that name; hooks know the one in the graph."""
    seed = LiveVariable("seed_3", tf.Variable(3), saved_as="drop/seed")
    own = LiveVariable("w", tf.Variable([1.0, 2.0]))
    graph = HookGraph([own, seed])
    with graph.as_default(), scaffolds.scaffold_of(None) as scaffold:
        v1.get_variable("d", [4], partitioner=v1.fixed_size_partitioner(2))
        (twin,) = (v for v in v1.global_variables() if v.op.name == "seed_3")
        change = twin.assign(4)
        scaffolds.finalize(scaffold, graph)
        with EagerSession() as session:
            scaffolds.initialize(scaffold, session)
            path = scaffold.saver.save(session, str(tmp_path / "m"))
            session.run(change)
            scaffold.saver.restore(session, path)
            after = session.run("seed_3:0")

    shapes = {"d": [4], "drop/seed": [], "global_step": [], "w": [2]}
    assert dict(tf.train.list_variables(path)) == shapes
    assert after == seed.variable.numpy() == 3


def test_a_name_in_checkpoints_may_be_taken_by_a_hook() -> None:
    """Then both variables are saved under their names in the graph."""
    seed = LiveVariable("seed_3", tf.Variable(3), saved_as="drop/seed")
    graph = HookGraph([seed])
    with graph.as_default(), scaffolds.scaffold_of(None) as scaffold:
        v1.get_variable("drop/seed", [])
        scaffolds.finalize(scaffold, graph)

        names = scaffold.saver._var_list.keys()

    assert names == {"drop/seed", "global_step", "seed_3"}


def replaced_when_saved_again(
    save: Callable[[], str], folder: pathlib.Path
) -> set[str]:
    """Returns the files of a checkpoint that a second save replaces whole.

    The others keep their inode: they are cut off and written anew.
    """
    inodes = []
    for _ in range(2):
        files = folder.glob(f"{pathlib.Path(save()).name}.*")
        inodes.append({path.name: path.stat().st_ino for path in files})
    before, after = inodes
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_a_checkpoint_that_is_saved_again_is_never_cut_off(
    tmp_path: pathlib.Path,
) -> None:
    """So a training that is killed there goes on; v1's saver cut the index."""
    graph = HookGraph([LiveVariable("w", tf.Variable(3.0))])
    with graph.as_default(), scaffolds.scaffold_of(None) as scaffold:
        scaffolds.finalize(scaffold, graph)
        with EagerSession() as session:
            scaffolds.initialize(scaffold, session)
            ours = replaced_when_saved_again(
                lambda: scaffold.saver.save(session, str(tmp_path / "m"), 2),
                tmp_path,
            )
    with tf.Graph().as_default(), v1.Session() as real:
        v1.get_variable("w", initializer=3.0)
        original = v1.train.Scaffold().finalize()
        real.run(original.init_op)
        of_v1 = replaced_when_saved_again(
            lambda: original.saver.save(real, str(tmp_path / "v1"), 2),
            tmp_path,
        )

    data, index, meta = ".data-00000-of-00001", ".index", ".meta"
    assert ours == {f"m-2{suffix}" for suffix in (data, index, meta)}
    assert of_v1 == {f"v1-2{suffix}" for suffix in (data, meta)}
