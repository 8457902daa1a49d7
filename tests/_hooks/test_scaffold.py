# SPDX-License-Identifier: Apache-2.0
"""The scaffold of a run: finalized last, run first."""

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
