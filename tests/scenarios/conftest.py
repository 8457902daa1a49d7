# SPDX-License-Identifier: Apache-2.0
"""What makes hundreds of trainings in one process bearable."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    """Sets aside what TensorFlow never frees of a training.

    Keras collects garbage whenever a session is cleared, which would walk
    through all of it each time.
    """
    yield
    gc.collect()
    gc.freeze()
