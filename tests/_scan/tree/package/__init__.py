# SPDX-License-Identifier: Apache-2.0
"""A package whose modules derive from one another."""
