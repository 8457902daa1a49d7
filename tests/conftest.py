# SPDX-License-Identifier: Apache-2.0
"""Fixtures that the tests of FinalOpsCallback share."""

from typing import Any

import hypothesis
import pytest

from final_ops_callback._keras.direct_step import DirectStep
from final_ops_callback._step.fusion import Fusion
from tests import models
from tests.flavors import keras

# No deadline: the first example of a test traces functions, others don't.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--unfused",
        action="store_true",
        help="call the steps as Keras does, and each part of a run by itself",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Fused at once, because most tests run few steps.
    Fusion.occasions = 1
    DirectStep.is_used = not config.getoption("--unfused")


@pytest.fixture
def model() -> Any:
    """A compiled Keras model of one layer."""
    return models.tiny_model()


@pytest.fixture
def data() -> models.Data:
    """The data that the model fits, and its validation data."""
    return models.tiny_data()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    keras.utils.set_random_seed(0)
