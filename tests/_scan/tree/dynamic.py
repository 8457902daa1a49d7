# SPDX-License-Identifier: Apache-2.0
"""Names that are looked up when the code runs."""

import functools
import importlib

import six

tf = importlib.import_module("tensorflow")
train = getattr(tf.compat.v1, "train")


class Looked(getattr(train, "SessionRunHook")):
    pass


class Meta(type):
    pass


class WithMeta(six.with_metaclass(Meta, train.SessionRunHook)):
    pass


def decorated(cls):
    return cls


@decorated
class Decorated(train.SessionRunHook, metaclass=Meta):
    pass


def make():
    class Local(__import__("tensorflow").compat.v1.train.SessionRunHook):
        def end(self, session):
            self.ended = True

    return Local()


stop = functools.partial(train.StopAtStepHook, num_steps=3)
