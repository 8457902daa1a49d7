# SPDX-License-Identifier: Apache-2.0
"""Writes final values into a JSON or npz file, atomically."""

from __future__ import annotations

import collections
import json
import math
import os
import re
import uuid
import zipfile
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from typing import Any

import numpy as np

from final_ops_callback import _structure
from final_ops_callback._final_ops.host_values import widened
from final_ops_callback._final_ops.writable import check_folder
from final_ops_callback._final_ops.writable import checked_path
from final_ops_callback._final_ops.writable import reported_as
from final_ops_callback.errors import ArgumentError
from final_ops_callback.errors import WriterError


class ValuesFile:
    """Writes the values into a `.json` or `.npz` file, atomically.

    JSON holds the structure: arrays as nested lists, named tuples as objects,
    bytes as text, and `"NaN"`, `"Infinity"`, `"-Infinity"` for the numbers
    that JSON does not have (the convention of protocol buffers).

    An npz file holds one array for each value, under its path (`auc/0`),
    without pickle. bfloat16 is kept as float32, because a file can't name it;
    values that are `None` are left out.

    Args:
        filepath: String or path. It may hold `{phase}`, `{step}` and
            `{step:06d}`; any other brace is written twice. The folder must
            be there.
        phases: Iterable of strings. The phases that will be written.

    Raises:
        ArgumentError: `filepath` is not a path, or has another suffix or
            another field.
        WriterError: The folder is missing or can't be written.
    """

    writes_files = True

    def __init__(
        self, filepath: str | os.PathLike[str], phases: Iterable[str]
    ) -> None:
        where = f"filepath={filepath}"
        template = checked_path(filepath, where)
        suffix = Path(template).suffix
        if suffix not in _SAVERS:
            raise ArgumentError(
                f"a file can't end in {suffix!r}",
                where,
                f"Use one of {sorted(_SAVERS)}.",
            )
        _check_fields(template, where)
        self._save = _SAVERS[suffix]
        self._template = template
        # Training may change the working directory.
        self._here = Path.cwd()
        if "{step" not in os.path.dirname(template):
            for phase in phases:
                path = self._path(phase, 0)
                check_folder(path.parent, where)
                if path.is_dir():
                    raise WriterError(
                        f"{path} is a folder",
                        where,
                        "Name a file in that folder.",
                    )

    def write(self, values: Any, phase: str, step: int) -> None:
        """Writes the file of a phase and step, and replaces an older one."""
        path = self._path(phase, step)
        # The part file stands beside the target, because a rename is atomic
        # only within one file system.
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        with reported_as(f"filepath={path}"):
            try:
                with part.open("xb") as file:
                    self._save(file, values)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _path(self, phase: str, step: int) -> Path:
        return self._here / self._template.format(phase=phase, step=step)


def _save_json(file: IO[bytes], values: Any) -> None:
    text = json.dumps(_as_json(values), indent=2, allow_nan=False)
    file.write(text.encode() + b"\n")


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        keys = [str(key) for key in value]
        check_distinct(keys, "keys of one JSON object")
        return dict(zip(keys, map(_as_json, value.values()), strict=True))
    if hasattr(value, "_asdict"):
        return _as_json(value._asdict())
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _array_as_json(widened(np.asanyarray(value)))
    if hasattr(value, "to_list"):  # RaggedTensorValue
        return _as_json(value.to_list())
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _array_as_json(array: np.ndarray) -> Any:
    listed = array.tolist()
    # Some NumPy scalars, such as void, have no Python type.
    return str(listed) if isinstance(listed, np.generic) else _as_json(listed)


def _save_npz(file: IO[bytes], values: Any) -> None:
    arrays: list[tuple[str, Any]] = []
    for path, value in _structure.leaves_with_path(values):
        arrays += _named_arrays(path, value)
    check_distinct([name for name, _ in arrays], "names in one npz file")
    # `np.savez` takes names as parameters, and has parameters of its own that
    # could be a name.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _named_arrays(
    path: _structure.Path, value: Any
) -> list[tuple[str, np.ndarray]]:
    if hasattr(value, "row_splits"):  # RaggedTensorValue
        return [
            *_named_arrays((*path, "values"), value.values),
            *_named_arrays((*path, "row_splits"), value.row_splits),
        ]
    if value is None:
        return []
    if isinstance(value, np.ma.MaskedArray):
        raise _no_array(value, path, "Fill it, or use a .json file.")
    array = widened(np.asarray(value))
    if array.dtype.kind in "OT":  # T: the string type of NumPy 2
        array = _bytes_array(array.astype(object), path)
    if array.dtype.hasobject:
        raise _no_array(value, path, "Return an array for each field.")
    return [(_structure.as_name(path, _structure.ROOT), array)]


def _bytes_array(array: np.ndarray, path: _structure.Path) -> np.ndarray:
    items = [_encoded(item, path) for item in array.flat]
    # NumPy's string type drops trailing zero bytes; its void type keeps them.
    kind = "V" if any(item.endswith(b"\0") for item in items) else "S"
    width = max((len(item) for item in items), default=1) or 1
    return np.array(items, f"{kind}{width}").reshape(array.shape)


def _encoded(item: Any, path: _structure.Path) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode()
    raise _no_array(item, path, "Use a .json file, or return an array.")


def _no_array(value: Any, path: _structure.Path, way_out: str) -> WriterError:
    root = _structure.ROOT
    return WriterError(
        f"a {type(value).__name__} can't be kept in an npz file",
        f"{root} value {_structure.as_name(path, root)!r}",
        way_out,
    )


_SAVERS: Mapping[str, Callable[[IO[bytes], Any], None]] = {
    ".json": _save_json,
    ".npz": _save_npz,
}


_FIELDS = ("{phase}", "{step}", "{step:06d}")


def _check_fields(template: str, where: str) -> None:
    # As in a format string, a brace that is written twice is itself.
    rest = template.replace("{{", "").replace("}}", "")
    for field in _FIELDS:
        rest = rest.replace(field, "")
    found = re.search(r"\{[^{}]*\}?|\}", rest)
    if found:
        raise ArgumentError(
            f"{found[0]!r} is not a field of a path",
            where,
            "Only {phase}, {step} and {step:06d}, which has zeros before it, "
            "are filled in. Write a brace that is part of the name twice.",
        )


def check_distinct(names: Iterable[str], what: str) -> None:
    """Checks that no two values would be written under one name.

    Args:
        names: Iterable of strings.
        what: String. What the names are, for the error.

    Raises:
        WriterError: A name is there twice.
    """
    counts = collections.Counter(names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise WriterError(
            f"two {what} would be {twice[0]!r}",
            _structure.ROOT,
            "Rename a key of final_ops.",
        )
