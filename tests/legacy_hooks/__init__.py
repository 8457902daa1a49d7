# SPDX-License-Identifier: Apache-2.0
"""Collects hooks in the style of real code of the TensorFlow 1 era.

None of them refers to Keras or to this package. `CITIZENS` has a zero-argument
factory for each; it is called with the hook graph as the default graph, and
what a hook writes goes below the working folder.
"""

from tests.legacy_hooks import logs
from tests.legacy_hooks import saving
from tests.legacy_hooks import stopping
from tests.legacy_hooks import summaries
from tests.legacy_hooks import training
from tests.legacy_hooks import weights

CITIZENS = {
    **logs.CITIZENS,
    **saving.CITIZENS,
    **stopping.CITIZENS,
    **summaries.CITIZENS,
    **training.CITIZENS,
    **weights.CITIZENS,
}
