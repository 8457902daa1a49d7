# SPDX-License-Identifier: Apache-2.0
"""Both drivers train the same, so a difference comes from the hooks."""

import pytest

from tests.contract import drivers

pytestmark = pytest.mark.slow

OPTIONS = {
    "plain": {},
    "adam": {"optimizer": "adam"},
    "short_last_batch": {"batch": 5},
    "later_start": {"start_step": 7},
    "metrics": {"metrics": True, "epochs": 1},
    "evaluate": {"mode": "evaluate"},
    "predict": {"mode": "predict"},
    "data_of_unknown_length": {
        "unknown_length": True,
        "epochs": 1,
        "variant": "run_eagerly",
    },
    **{name: {"variant": name} for name in drivers.VARIANTS},
}


def trained(options):
    """Train the Keras model without any callback.

    Args:
        options: A dict of fields of `drivers.Options`.

    Returns:
        A `Trace` of the model.
    """
    options = drivers.Options(**options)
    model, names = drivers.keras_model(options)
    drivers.keras_call(model, [], options)
    state = drivers.state_of(model, names, options.learning_rate)
    return drivers.Trace(**state)


@pytest.mark.parametrize("name", OPTIONS)
def test_keras_and_v1_end_with_the_same_variables(name, tmp_path):
    """Without hooks, Keras and v1 end with equal weights, slots and step."""
    expected = drivers.run_v1(lambda env: [], tmp_path, **OPTIONS[name])

    actual = trained(OPTIONS[name])

    found = drivers.differences(expected, actual)
    assert not found, "\n".join(found)


def test_keras_counts_a_step_too_many():
    """With `run_eagerly`, Keras counts the step that finds no more data."""
    actual = trained({"unknown_length": True, "epochs": 1})

    assert actual.step == 4


def test_a_difference_is_noticed(tmp_path):
    """Trainings of different length do not compare as equal."""
    expected = drivers.run_v1(lambda env: [], tmp_path, epochs=1)

    actual = trained({"epochs": 2})

    assert drivers.differences(expected, actual)
