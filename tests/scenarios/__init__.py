# SPDX-License-Identifier: Apache-2.0
"""Crossed features, drawn by seed: models, optimizers, hooks, data, phases."""
