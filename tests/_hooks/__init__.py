# SPDX-License-Identifier: Apache-2.0
"""The life of v1 hooks, under Keras and in a loop of one's own."""
