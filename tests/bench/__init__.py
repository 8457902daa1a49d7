# SPDX-License-Identifier: Apache-2.0
"""What the callbacks cost; `python -m tests.bench` prints it."""
