# SPDX-License-Identifier: Apache-2.0
"""A model that its first batch builds, in predict.

The oracle is the data itself, in the batches of plain Keras.
"""

from types import ModuleType

import numpy as np
import pytest

from final_ops_callback import SessionRunHookCallback
from final_ops_callback.testing import RecordingHook
from tests.flavors import FLAVORS

FEATURES = np.random.default_rng(0).normal(size=(7, 3)).astype("f")


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=list(FLAVORS))
def test_the_first_batch_says_nothing_of_the_others(
    flavor: ModuleType, steps: int
) -> None:
    """The last batch may be shorter than the one that built the model."""
    model = flavor.Sequential([flavor.layers.Dense(1, name="out")])
    model.compile(steps_per_execution=steps, jit_compile=False)
    hook = RecordingHook({"x": "features:0", "out": "predictions:0"})
    expected = model.predict(
        FEATURES, 2, verbose=0, callbacks=[SessionRunHookCallback(hook)]
    )

    seen = [e.results for e in hook.events if e.method == "after_run"]
    rows = [len(results["x"]) for results in seen]
    assert rows == ([2, 2, 2, 1] if steps == 1 else [4, 3])
    for name, whole in (("x", FEATURES), ("out", expected)):
        parts = [results[name] for results in seen]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
