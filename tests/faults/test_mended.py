# SPDX-License-Identifier: Apache-2.0
"""Cases of the grid that once went wrong, for every run of the tests."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.faults import cases

pytestmark = pytest.mark.slow

MENDED = (
    # The values of the run before were still there.
    "keras-fit-begin-0-ValueError",
    # The replacement of the step function stayed: the next run had no values.
    "keras-fit-batch_begin_of_a_callback_after_ours-1-ValueError",
    # The tensors of the step that failed stayed.
    "keras-fit-step-1-OutOfRangeError",
    # The replacement of the function of evaluate stayed.
    "tf_keras-fit-begin_of_a_callback_after_ours-0-ValueError",
    # A stop ended the loop, and neither `end` nor the threads.
    "tf_keras-evaluate-after_run-1-StopIteration",
    # It was taken for the end of the data.
    "tf_keras-fit-begin_of_an_unbuilt_model-0-StopIteration",
    "tf_keras-predict-begin_of_an_unbuilt_model-0-OutOfRangeError",
)
BY_NAME = {str(case): case for case in cases.CASES}


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with cases.warm():
        yield


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", MENDED)
def test_what_was_mended_stays_mended(
    name: str, tmp_path: pathlib.Path
) -> None:
    """The original escapes, the model trains on, all else is gone."""
    cases.check(BY_NAME[name], tmp_path)
