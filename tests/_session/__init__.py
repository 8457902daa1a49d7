# SPDX-License-Identifier: Apache-2.0
"""Graphs and sessions whose operations run eagerly."""
