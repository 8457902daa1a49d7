# SPDX-License-Identifier: Apache-2.0
"""Lets pytest explain the failed asserts of the shared checks."""

import pytest

pytest.register_assert_rewrite("tests.faults.cases")
