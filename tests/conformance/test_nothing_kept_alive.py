# SPDX-License-Identifier: Apache-2.0
"""Promise: after the run nothing keeps a hook or the callback alive."""

import gc
import weakref

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.conformance import groups
from tests.contract import drivers

pytestmark = pytest.mark.slow


def references_after(name, model, names, folder):
    """Fit with a group of hooks, and keep only weak references.

    Args:
        name: The group's.
        model: The model, which stays alive.
        names: The names of its variables in v1.
        folder: An empty folder.

    Returns:
        A dict of name to weak reference: the callback, each hook, the graph.
    """
    kept = {}

    def make_hooks():
        hooks = groups.hooks_of(name)
        for index, hook in enumerate(hooks):
            kept[f"{index}:{type(hook).__name__}"] = weakref.ref(hook)
        kept["graph"] = weakref.ref(tf.compat.v1.get_default_graph())
        return hooks

    callback = SessionRunHookCallback(make_hooks, variable_names=names)
    kept["callback"] = weakref.ref(callback)
    with drivers.workplace(folder, drivers.Trace()):
        drivers.keras_call(model, [callback], drivers.Options())
    return kept


@pytest.mark.parametrize("name", groups.GROUPS)
def test_all_is_freed_while_the_model_lives(name, tmp_path):
    """The callback, the hooks and the graph go when the fit is over."""
    model, names = drivers.keras_model()

    kept = references_after(name, model, names, tmp_path)
    gc.collect()

    assert [key for key, ref in kept.items() if ref() is not None] == []


def test_what_is_kept_is_noticed():
    """A weak reference to something that is held is still alive."""
    held = drivers.Trace()

    gc.collect()

    assert weakref.ref(held)() is held
