# SPDX-License-Identifier: Apache-2.0
"""Groups the hooks under test by their origin, to run a group at once."""

from tests import legacy_hooks
from tests.conformance import citizens

GROUPS = {
    "stock": list(citizens.STOCK.values()),
    "logs": list(legacy_hooks.logs.CITIZENS.values()),
    "saving": list(legacy_hooks.saving.CITIZENS.values()),
    "stopping": list(legacy_hooks.stopping.CITIZENS.values()),
    "summaries": list(legacy_hooks.summaries.CITIZENS.values()),
    "training": list(legacy_hooks.training.CITIZENS.values()),
    "weights": list(legacy_hooks.weights.CITIZENS.values()),
}


def hooks_of(name):
    """Build the hooks of a group.

    Args:
        name: A key of `GROUPS`.

    Returns:
        A list of hooks.
    """
    return [make() for make in GROUPS[name]]
