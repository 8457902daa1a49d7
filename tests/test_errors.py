# SPDX-License-Identifier: Apache-2.0
"""The errors of the package: one base, and the names they had before."""

import importlib
import inspect

import pytest

from final_ops_callback import errors

OLD = {"HookError": "FinalOpsCallbackError", "OutletError": "WriterError"}


def test_every_error_has_one_base() -> None:
    """Catching the base class catches every error that this package raises."""
    found = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__
    ]

    assert len(found) > 10
    assert all(issubclass(k, errors.FinalOpsCallbackError) for k in found)
    assert not any(k.__name__ in OLD for k in errors.LeafError.__mro__)


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_still_catches(old: str) -> None:
    """It warns, and it is the same class: except and isinstance work."""
    module = importlib.import_module("final_ops_callback.errors")
    new = getattr(errors, OLD[old])
    error = new("what", "where", "Way out.")

    with pytest.warns(DeprecationWarning, match=rf"{old} is now .*{OLD[old]}"):
        kind = getattr(module, old)

    assert kind is new
    assert isinstance(error, kind)


def test_another_name_is_no_error() -> None:
    """A name that never existed is an AttributeError, without a warning."""
    with pytest.raises(AttributeError, match="no attribute 'NoError'"):
        _ = errors.NoError
