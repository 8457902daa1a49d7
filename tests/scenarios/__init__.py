# SPDX-License-Identifier: Apache-2.0
"""Tests combined features, drawn by seed: models, hooks, data, phases."""
