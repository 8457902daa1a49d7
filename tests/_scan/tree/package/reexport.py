# SPDX-License-Identifier: Apache-2.0
"""Hands on."""

from .base import *
