# SPDX-License-Identifier: Apache-2.0
"""Promise: a hook sees and leaves behind what it does in a session."""

import pytest

from tests.conformance import citizens
from tests.contract.suite import disagreements

CASES = {
    **{name: (make, "train") for name, make in citizens.TRAINING.items()},
    **{
        kind.__name__: (make, "evaluate")
        for kind, make in citizens.EVALUATORS.items()
    },
}


@pytest.mark.parametrize("name", CASES)
def test_same_trace(name, tmp_path):
    """A citizen leaves the same trace under both drivers."""
    make, mode = CASES[name]

    found = disagreements(lambda env: [make()], {"mode": mode}, tmp_path)

    assert not found, "\n".join(found)


def test_every_stock_hook_is_a_citizen():
    """No stock hook that TensorFlow has is missing."""
    known = citizens.STOCK | citizens.EVALUATORS

    assert set(known) == citizens.found_by_inspection()
