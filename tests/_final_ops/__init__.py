# SPDX-License-Identifier: Apache-2.0
"""Final ops: leaves, feeds, values and writers."""
