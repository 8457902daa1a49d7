# SPDX-License-Identifier: Apache-2.0
"""Promise: an exception in the data leaves the model as good as before."""

import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests.conformance import groups
from tests.contract import drivers
from tests.flavors import keras

pytestmark = pytest.mark.slow


def broken_data():
    """Give two batches, then fail."""

    def rows():
        for start in (0, 4):
            rows = slice(start, start + 4)
            yield drivers.FEATURES[rows], drivers.LABELS[rows]
        raise ValueError("the data is broken")

    return tf.data.Dataset.from_generator(
        rows,
        output_signature=(
            tf.TensorSpec([4, 2], tf.float32),
            tf.TensorSpec([4, 1], tf.float32),
        ),
    )


def ends(trace):
    """List the hooks whose `end` was called."""
    return [event[0] for event in trace.events if event[1] == "end"]


def failed_fit(name, model, names):
    """Fit a model on broken data with a group of hooks.

    Args:
        name: The group's.
        model: The model.
        names: The names of its variables in v1.

    Returns:
        The `Trace`, with the exception that escaped.
    """
    trace = drivers.Trace()

    def make_hooks():
        hooks = groups.hooks_of(name)
        drivers.watch(hooks, trace)
        return hooks

    callback = SessionRunHookCallback(make_hooks, variable_names=names)
    try:
        model.fit(broken_data(), shuffle=False, callbacks=[callback], verbose=0)
    except tf.errors.InvalidArgumentError as error:
        trace.error = error
    return trace


@pytest.mark.parametrize("name", groups.GROUPS)
def test_model_is_usable_afterwards(name, tmp_path):
    """The exception escapes, no hook ends, and the model trains on."""
    model, names = drivers.keras_model()
    with drivers.workplace(tmp_path, drivers.Trace()):
        trace = failed_fit(name, model, names)
    marks = drivers.marks_on(model)
    steps = []
    # Counted here: the step that failed may or may not have been counted by
    # the optimizer, with hooks and without.
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )

    drivers.keras_call(model, [count], drivers.Options())

    assert "the data is broken" in str(trace.error)
    assert ends(trace) == []
    assert marks == []
    assert len(steps) == 6
