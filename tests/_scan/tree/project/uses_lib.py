# SPDX-License-Identifier: Apache-2.0
"""Imports a module that is elsewhere in the tree."""

import lib.hooklib as hooklib


def hooks():
    return [hooklib.LibHook()]
