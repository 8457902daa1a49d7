# SPDX-License-Identifier: Apache-2.0
"""Names of tf.estimator are there, or name the Keras way when used."""

import importlib

import pytest
import tensorflow as tf

from final_ops_callback import errors
from final_ops_callback import estimator
from final_ops_callback.estimator import _removed
from final_ops_callback.estimator import experimental


@pytest.mark.parametrize("name", estimator.HOOK_NAMES)
def test_a_hook_is_the_class_of_tensorflow(name: str) -> None:
    """A class of this module is the one that v1 scripts have."""
    assert getattr(estimator, name) is getattr(tf.compat.v1.train, name)


def test_every_public_name_of_tensorflow_is_known() -> None:
    """What the last tf.estimator had is here, or raises the clear error."""
    original = pytest.importorskip(
        "tensorflow_estimator.python.estimator.api._v1.estimator",
        reason="tf.estimator ended with TensorFlow 2.15, which .ci/stacks/"
        "legacy has",
    )
    modules = {estimator: [original, tf.estimator]}
    modules[experimental] = [m.experimental for m in modules[estimator]]

    missing = [
        name
        for ours, theirs in modules.items()
        for module in theirs
        for name in dir(module)
        if not name.startswith("_") and not hasattr(ours, name)
    ]

    assert missing == []
    for name in ("TRAIN", "EVAL", "PREDICT"):
        expected = getattr(tf.estimator.ModeKeys, name)
        assert getattr(estimator.ModeKeys, name) == expected


@pytest.mark.parametrize("name", _removed._WAYS_OUT)
def test_a_removed_name_can_be_mentioned_but_not_used(name: str) -> None:
    """It can be imported and compared; each use names the Keras way."""
    found = getattr(importlib.import_module(estimator.__name__), name)

    assert not isinstance(1, found)
    with pytest.raises(errors.EstimatorError, match="is not brought back"):
        found(model_fn=None)
    with pytest.raises(errors.EstimatorError, match=rf"{name}\.train"):
        found.train()  # of what was a module: the name of the function
    with pytest.raises(errors.EstimatorError, match="is not brought back"):
        type("Mine", (found,), {})


def test_what_was_in_a_module_can_be_mentioned() -> None:
    """An annotation does not end the import of a module."""

    def receiver(of: "estimator.export.ServingInputReceiver") -> None: ...

    assert receiver.__annotations__
    assert not isinstance(1, estimator.export.ServingInputReceiver)
    with pytest.raises(errors.EstimatorError, match="writes a SavedModel"):
        estimator.export.ServingInputReceiver({}, {})


def test_an_estimator_names_the_call_of_keras() -> None:
    """The way out is a line that the reader can write."""
    with pytest.raises(errors.EstimatorError, match=r"call model\.fit"):
        estimator.Estimator(model_fn=print, model_dir="folder")


@pytest.mark.parametrize("module", [estimator, experimental])
def test_a_name_that_never_was_is_an_attribute_error(module: object) -> None:
    """A misspelt name is found at once."""
    with pytest.raises(AttributeError, match="has no attribute 'Estimatr'"):
        _ = module.Estimatr  # type: ignore[attr-defined]
