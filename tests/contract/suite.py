# SPDX-License-Identifier: Apache-2.0
"""Registering cases by name, and running one under both drivers."""

import tensorflow as tf

from tests.contract import drivers

v1 = tf.compat.v1


def hook_of(**methods):
    """Build a hook from functions that take the arguments of its methods.

    Args:
        **methods: A function, less `self`, for each method to override.

    Returns:
        A `SessionRunHook` that overrides only these.
    """
    own = {name: staticmethod(method) for name, method in methods.items()}
    return type("CustomHook", (v1.train.SessionRunHook,), own)()


def args(fetches, feeds=None):
    """Build what `before_run` returns."""
    return v1.train.SessionRunArgs(fetches, feeds)


def tensor(name):
    """Give a tensor of the default graph by its name."""
    return v1.get_default_graph().get_tensor_by_name(name)


def kernel():
    """Give the variable of the layer's weights."""
    return v1.trainable_variables()[0]


def bias():
    """Give the variable of the layer's bias."""
    return v1.trainable_variables()[1]


def step():
    """Give the global step."""
    return v1.train.get_global_step()


class Suite(dict):
    """Cases by name: pairs of a function that makes the hooks and options."""

    def case(self, name=None, **options):
        """Register the decorated `make(env)` as a case.

        Args:
            name: The case's name; the function's own if not given.
            **options: Fields of `drivers.Options`.

        Returns:
            A decorator that hands the function back.
        """

        def register(make):
            key = name or make.__name__
            if key in self:
                raise ValueError(f"there are two cases {key!r}")
            self[key] = (make, options)
            return make

        return register

    def add(self, name, make, **options):
        """Register `make(env)` as a case."""
        self.case(name, **options)(make)


def disagreements(make, options, folder):
    """Run one case under the original and under ours.

    Args:
        make: Takes an `Env`, returns a list of hooks.
        options: A dict of fields of `drivers.Options`.
        folder: An empty folder, a `pathlib.Path`.

    Returns:
        A list of lines, one per difference.
    """
    expected = drivers.run_v1(make, folder / "v1", **options)
    actual = drivers.run_keras(make, folder / "ours", **options)
    return drivers.differences(expected, actual, options)
