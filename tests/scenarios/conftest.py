# SPDX-License-Identifier: Apache-2.0
"""Speeds up hundreds of trainings in one process."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    """Keeps the collector from objects that TensorFlow never frees.

    Keras collects garbage whenever a session is cleared, which would walk
    through all of it each time.
    """
    yield
    gc.collect()
    gc.freeze()
