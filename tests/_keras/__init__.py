# SPDX-License-Identifier: Apache-2.0
"""What is read of Keras models, on each flavor, device and strategy."""
