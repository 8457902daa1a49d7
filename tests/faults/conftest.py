# SPDX-License-Identifier: Apache-2.0
"""Has the checks that the tests share say what they compared."""

import pytest

pytest.register_assert_rewrite("tests.faults.cases")
