# -*- coding: latin-1 -*-
# SPDX-License-Identifier: Apache-2.0
"""Café, tabs and CRLF."""

import tensorflow.compat.v1 as tf


class Latin(tf.train.SessionRunHook):
	def end(self, session):
		self.name = "été"
