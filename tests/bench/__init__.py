# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of the callbacks: `python -m tests.bench` prints it."""
