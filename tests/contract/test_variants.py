# SPDX-License-Identifier: Apache-2.0
"""However Keras trains, hooks see what they do under the original."""

import pytest

from tests.contract import test_custom_hooks as custom
from tests.contract import test_stock_hooks as stock
from tests.contract import test_stops_and_errors as stops
from tests.contract.drivers import VARIANTS
from tests.contract.suite import disagreements

pytestmark = pytest.mark.slow

CASES = {
    "several_stock_hooks": stock.suite,
    "feed_learning_rate": custom.suite,
    "fetch_mix_of_all": custom.suite,
    "stop_iteration_in_before_run_of_step_4": stops.suite,
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CASES)
def test_same_as_the_original(name, variant, tmp_path):
    """A case leaves the same trace however the model is made and trained."""
    make, options = CASES[name][name]
    options = {**options, "variant": variant}

    found = disagreements(make, options, tmp_path)

    assert not found, "\n".join(found)
