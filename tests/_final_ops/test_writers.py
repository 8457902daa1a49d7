# SPDX-License-Identifier: Apache-2.0
"""Final values go to the console, TensorBoard, a JSON or an npz file."""

import errno
import json
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import errors
from final_ops_callback._final_ops import values_file
from final_ops_callback._final_ops import writers
from final_ops_callback._final_ops.values_file import ValuesFile
from final_ops_callback._final_ops.writers import Console
from final_ops_callback._final_ops.writers import TensorBoard
from tests import models
from tests import original

PHASES = ("train",)


class Pair(NamedTuple):
    first: Any
    second: Any


def in_session(make: Callable[[], Any]) -> Any:
    """A value as a v1 session gives it."""
    return original.session_run(make)


def values() -> dict[str, Any]:
    """Final values of many kinds."""
    return {
        "scalar": np.float32(0.1),
        "bfloat16": in_session(lambda: tf.constant([0.5, 1], tf.bfloat16)),
        "float8": in_session(
            lambda: tf.cast([0.5], tf.dtypes.experimental.float8_e5m2)
        ),
        "matrix": np.arange(6, dtype=np.int64).reshape(2, 3),
        "empty": np.zeros((0, 2)),
        "bool": np.bool_(True),
        "nan": np.array([np.nan, np.inf, -np.inf, 1.0]),
        "text": "é",
        "bytes": "é".encode(),
        "strings": in_session(lambda: tf.constant([["a", "bcd"], ["", "é"]])),
        "zeros at the end": in_session(lambda: tf.constant(["a\0", "b"])),
        "none": None,
        "pair": Pair(1, [2.5]),
        "sparse": in_session(lambda: tf.sparse.from_dense([[0, 2]])),
        "ragged": in_session(lambda: tf.ragged.constant([[1, 2], []])),
        "deep": in_session(lambda: tf.ragged.constant([[["a"], []], []])),
        "slices": in_session(
            lambda: tf.IndexedSlices(tf.constant([1.0]), tf.constant([2]))
        ),
    }


# The console.


def test_the_console_prints_one_aligned_line_for_each_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each value has one line, and all values start in one column."""
    Console().write(values(), "train", 7)

    title, *lines = capsys.readouterr().out.splitlines()
    names = [line[2:].split("  ")[0].strip() for line in lines]
    column = 2 + max(map(len, names)) + 2
    assert "train" in title
    assert "7" in title
    assert len(set(names)) == len(lines)
    assert {line[column - 2 : column] for line in lines} == {"  "}
    assert not any(line[column].isspace() for line in lines)


def test_the_console_prints_values_as_numpy_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A small value is printed as NumPy prints it, in one line."""
    matrix = np.eye(2)

    Console().write({"a": matrix, "b": np.float32(0.1)}, "test", 0)

    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[1:] == str(matrix).split()
    assert second.split()[1:] == str(np.float32(0.1)).split()


def test_the_console_shortens_a_large_array(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A large array is one line with its dtype, shape and edges."""
    Console().write(np.zeros((100, 100), "int16"), "test", 0)

    _, line = capsys.readouterr().out.splitlines()
    assert "int16[100, 100]" in line
    assert len(line) < 80


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (b"a" * 1000, "bytes[1000] b'aaa"),
        ("a\nb" * 1000, "str[3000] 'a\\nba"),
        (np.array([b"a" * 1000], object), "object[1] [b'aaa"),
        (" ".join("ab") * 1000, "str[3000] 'a ba"),
    ],
    ids=["bytes", "text", "array of bytes", "words"],
)
def test_the_console_shortens_long_text(
    value: Any, start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long value is one short line that says what it is."""
    Console().write({"a": value}, "test", 0)

    _, line = capsys.readouterr().out.splitlines()
    assert line.startswith(f"  a  {start}")
    assert len(line) < 200


def test_the_console_prints_a_ragged_value_as_lists(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A ragged value is printed as the lists that it stands for."""
    ragged = values()["ragged"]

    Console().write(ragged, "test", 0)

    assert (
        capsys.readouterr().out.splitlines()[1].endswith(str(ragged.to_list()))
    )


def test_the_console_prints_an_empty_structure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A structure without leaves has a title and no lines."""
    Console().write({}, "test", 0)

    assert len(capsys.readouterr().out.splitlines()) == 1


# TensorBoard.


def events(folder: Path) -> dict[str, Any]:
    """Returns what a reader of v1 finds: the value and step of each tag."""
    found = {}
    for file in sorted(folder.iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                found[value.tag] = (value, event.step)
    return found


def written(folder: Path, final: Any, step: int = 3) -> dict[str, Any]:
    """The events of some values, after they are written."""
    TensorBoard(folder).write(final, "train", step)
    return events(folder / "train")


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.int64(3), np.bool_(True), 2, 0.25, np.nan]
)
def test_a_scalar_becomes_a_scalar_summary(value: Any, tmp_path: Path) -> None:
    """A number is a scalar under its path, at the step."""
    summary, step = written(tmp_path, {"a": [value]}, 3)["a/0"]

    np.testing.assert_equal(summary.simple_value, float(value))
    assert step == 3


@pytest.mark.parametrize("name", ["matrix", "bfloat16", "float8", "nan"])
def test_an_array_becomes_a_histogram(name: str, tmp_path: Path) -> None:
    """A vector or above is a histogram of its finite numbers."""
    value = values()[name].astype("float64")
    finite = value[np.isfinite(value)]

    summary, _ = written(tmp_path, {"a": values()[name]})["a"]

    assert summary.histo.num == finite.size
    assert summary.histo.sum == finite.sum()
    assert (summary.histo.min, summary.histo.max) == (
        finite.min(),
        finite.max(),
    )


def test_a_serialized_summary_becomes_itself(tmp_path: Path) -> None:
    """A summary that a v1 summary op gives is written as it is."""
    serialized = in_session(
        lambda: tf.compat.v1.summary.scalar("tag", tf.constant(0.5))
    )
    expected = tf.compat.v1.Summary.FromString(serialized).value[0]

    summary, step = written(tmp_path, {"a": serialized}, 5)["tag"]

    assert summary == expected
    assert step == 5


def test_other_values_have_no_summary(tmp_path: Path) -> None:
    """Strings, bytes, sparse and ragged values are left out quietly."""
    found = written(tmp_path, values())

    arrays = {"matrix", "empty", "nan", "bfloat16", "float8"}
    assert {tag for tag in found if "/" not in tag} == {
        "scalar",
        "bool",
    } | arrays


def test_two_values_under_one_tag_are_an_error(tmp_path: Path) -> None:
    """Two values are never drawn as one curve; strings have no tag."""
    with pytest.raises(
        errors.WriterError, match=r"tags .*would be '1'.*Rename"
    ):
        written(tmp_path, {1: np.int64(1), "1": np.int64(2)})

    assert list(tmp_path.iterdir()) == []
    assert list(written(tmp_path, {1: np.int64(1), "1": "a"})) == ["1"]


def test_a_masked_array_is_a_histogram_of_what_is_there(tmp_path: Path) -> None:
    """Masked values are not part of the histogram."""
    masked = np.ma.array([1.0, 2.0, 100.0], mask=[False, False, True])

    summary, _ = written(tmp_path, {"a": masked})["a"]

    assert summary.histo.num == masked.count()
    assert summary.histo.sum == masked.sum()


def test_a_writer_is_closed_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file stays open after a summary that can't be written."""
    writers: list[Any] = []
    make = tf.summary.create_file_writer

    def fail(_: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(
        tf.summary,
        "create_file_writer",
        lambda folder: writers.append(make(folder)) or writers[-1],
    )
    monkeypatch.setattr(tf.summary.experimental, "write_raw_pb", fail)

    with pytest.raises(errors.WriterError, match="no space"):
        written(tmp_path, 1.0)

    with pytest.raises(RuntimeError, match="already closed"):
        writers[0].as_default().__enter__()


def test_each_phase_has_a_folder(tmp_path: Path) -> None:
    """Runs of two phases write into two folders, made when needed."""
    writer = TensorBoard(tmp_path / "logs")
    before = list(tmp_path.iterdir())

    writer.write(np.float32(1), "train", 1)
    writer.write(np.float32(2), "test", 2)

    assert before == []
    assert {
        phase: events(tmp_path / "logs" / phase)["final_ops"][1]
        for phase in ("train", "test")
    } == {"train": 1, "test": 2}


# JSON and npz.


def saved(folder: Path, suffix: str, final: Any) -> Path:
    """The file of some values, after they are written."""
    path = folder / f"values{suffix}"
    ValuesFile(path, PHASES).write(final, "train", 0)
    return path


def as_json(folder: Path, final: Any) -> Any:
    """Returns some values as a strict reader of JSON finds them."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    text = saved(folder, ".json", final).read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)


def as_npz(folder: Path, final: Any) -> dict[str, np.ndarray]:
    """Returns some values as NumPy loads them, without pickle."""
    with np.load(saved(folder, ".npz", final), allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", ["matrix", "empty", "bool", "bfloat16"])
def test_json_holds_an_array_as_nested_lists(name: str, tmp_path: Path) -> None:
    """An array is what its `tolist` gives."""
    value = values()[name]

    assert as_json(tmp_path, {"a": [value]}) == {"a": [value.tolist()]}


def test_json_keeps_each_digit(tmp_path: Path) -> None:
    """A float32 comes back from JSON as the same float32."""
    value = values()["scalar"]

    read = as_json(tmp_path, value)

    assert np.float32(read) == value


def test_json_names_what_is_no_number(tmp_path: Path) -> None:
    """NaN and the infinities are the strings of protocol buffers."""
    value = values()["nan"]

    read = as_json(tmp_path, value)

    assert read[:3] == ["NaN", "Infinity", "-Infinity"]
    np.testing.assert_equal(np.array(read, "float64"), value)


def test_json_holds_named_tuples_as_objects(tmp_path: Path) -> None:
    """A named tuple is an object of its fields, a sparse value too."""
    final = {"pair": values()["pair"], "sparse": values()["sparse"]}

    read = as_json(tmp_path, final)

    sparse = final["sparse"]._asdict()
    assert read["pair"] == final["pair"]._asdict()
    assert read["sparse"] == {k: v.tolist() for k, v in sparse.items()}


@pytest.mark.parametrize("name", ["ragged", "deep", "slices", "none"])
def test_json_holds_every_value(name: str, tmp_path: Path) -> None:
    """A ragged value is nested lists, bytes are text, None is null."""
    value = values()[name]
    expected = {
        "ragged": lambda: value.to_list(),
        "deep": lambda: [
            [[item.decode() for item in row] for row in rows]
            for rows in value.to_list()
        ],
        "slices": lambda: {
            k: None if v is None else v.tolist()
            for k, v in value._asdict().items()
        },
        "none": lambda: None,
    }

    assert as_json(tmp_path, value) == expected[name]()


def test_json_holds_bytes_as_text(tmp_path: Path) -> None:
    """Bytes are decoded; those that are not text are escaped."""
    read = as_json(tmp_path, [values()["bytes"], b"\xff", values()["strings"]])

    text = values()["bytes"].decode()
    strings = [[b.decode() for b in row] for row in values()["strings"]]
    assert read == [text, "\\xff", strings]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([1j]), [str(1j)]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.array([(1, b"a")], [("n", "i4"), ("s", "S1")]), [[1, "a"]]),
    ],
    ids=["complex", "masked", "structured"],
)
def test_json_holds_what_python_has_no_type_for(
    value: Any, expected: Any, tmp_path: Path
) -> None:
    """A complex number is text, what is masked is null, a record a list."""
    assert as_json(tmp_path, value) == expected


def test_npz_holds_each_array_under_its_path(tmp_path: Path) -> None:
    """Arrays and scalars come back as they were, by their paths."""
    final = {"a": [values()["matrix"]], "b": Pair(values()["scalar"], 1)}

    read = as_npz(tmp_path, final)

    assert list(read) == ["a/0", "b/first", "b/second"]
    assert original.is_same(final["a"][0], read["a/0"])
    assert original.is_same(final["b"].first, read["b/first"][()])


@pytest.mark.parametrize("name", ["strings", "zeros at the end", "bytes"])
def test_npz_holds_strings_without_pickle(name: str, tmp_path: Path) -> None:
    """Each string comes back byte by byte, also with zeros at its end."""
    value = np.asarray(values()[name], object)

    read = as_npz(tmp_path, value)["final_ops"]

    padded = [item.ljust(read.dtype.itemsize, b"\0") for item in value.flat]
    assert read.tobytes() == b"".join(padded)
    assert read.shape == value.shape


@pytest.mark.parametrize("name", ["bfloat16", "float8"])
def test_npz_keeps_what_it_cannot_name_as_float32(
    name: str, tmp_path: Path
) -> None:
    """bfloat16 and float8 come back as float32 of the same values."""
    value = values()[name]

    read = as_npz(tmp_path, value)["final_ops"]

    assert original.is_same(value.astype("float32"), read)


def test_npz_holds_the_parts_of_sparse_and_ragged_values(
    tmp_path: Path,
) -> None:
    """Sparse and ragged values come back in their parts."""
    sparse, ragged = values()["sparse"], values()["ragged"]

    read = as_npz(tmp_path, {"s": sparse, "r": ragged})

    parts = {f"s/{name}": part for name, part in sparse._asdict().items()}
    parts |= {"r/values": ragged.values, "r/row_splits": ragged.row_splits}
    assert original.is_same(parts, read)


def test_npz_holds_any_name(tmp_path: Path) -> None:
    """A value may have the name of a parameter of `np.savez`."""
    names = ("file", "args", "kwds", "allow_pickle")
    final = {name: np.ones(2) for name in names}

    assert original.is_same(final, as_npz(tmp_path, final))


def test_npz_holds_everything_but_none(tmp_path: Path) -> None:
    """All kinds of values fit into one file; `None` is left out."""
    read = as_npz(tmp_path, values())

    assert {name.split("/")[0] for name in read} == set(values()) - {"none"}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_names_that_would_collide_are_an_error(
    suffix: str, tmp_path: Path
) -> None:
    """Two values are never written under one name."""
    final = {1: np.int64(1), "1": np.int64(2)}

    with pytest.raises(errors.WriterError, match=r"would be '1'.*Rename"):
        saved(tmp_path, suffix, final)

    assert list(tmp_path.iterdir()) == []


NO_ARRAYS: dict[str, Any] = {
    "object": object(),
    "array of objects": np.array([object()]),
    "structured": np.array([(1, "a")], [("n", "i4"), ("o", object)]),
    "masked": np.ma.array([1, 2], mask=[False, True]),
}
if hasattr(np.dtypes, "StringDType"):  # of NumPy 2
    NO_ARRAYS["missing string"] = np.array(
        ["a", None], np.dtypes.StringDType(na_object=None)
    )


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_npz_refuses_what_is_no_array(name: str, tmp_path: Path) -> None:
    """A value that NumPy would pickle or lose is an error that names it."""
    with pytest.raises(
        errors.WriterError, match=r"can't be kept.*'a/b'\)\. (Use|Fill|Return)"
    ):
        saved(tmp_path, ".npz", {"a": {"b": NO_ARRAYS[name]}})

    assert list(tmp_path.iterdir()) == []


def test_npz_holds_records_and_strings_of_numpy(tmp_path: Path) -> None:
    """A structured array comes back as it was, NumPy's strings as bytes."""
    records = np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")])
    final = {"r": records}
    if hasattr(np.dtypes, "StringDType"):
        final["s"] = np.array(["a", "é"], np.dtypes.StringDType())

    read = as_npz(tmp_path, final)

    assert read["r"].dtype == records.dtype
    assert read["r"].tolist() == records.tolist()
    if "s" in final:
        assert read["s"].tolist() == [b"a", "é".encode()]


def test_the_file_names_phase_and_step(model: Any, tmp_path: Path) -> None:
    """`{phase}` and `{step}` are filled in, with the optimizer's step."""
    callback = FinalOpsCallback(
        "loss", filepath=tmp_path / "{phase}-{step:06d}.json"
    )

    models.fit(model, callback)

    step = int(model.optimizer.iterations.numpy())
    assert os.listdir(tmp_path) == [f"train-{step:06d}.json"]


def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """The permissions of the file follow the umask."""
    plain = tmp_path / "plain"
    plain.touch()

    path = saved(tmp_path, ".json", 1)

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(
        plain.stat().st_mode
    )


def test_relative_paths_are_those_of_the_constructor(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the working directory moves no file."""
    before, after = tmp_path / "run{1}", tmp_path / "elsewhere"
    before.mkdir()
    after.mkdir()
    monkeypatch.chdir(before)
    callback = FinalOpsCallback(
        "loss", filepath="{phase}.json", log_dir=Path("logs")
    )

    monkeypatch.chdir(after)
    models.fit(model, callback)

    assert sorted(os.listdir(before)) == ["logs", "train.json"]
    assert list(after.iterdir()) == []


# Failures.


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("moment", ["save", "replace"])
def test_a_failing_save_leaves_the_old_file(
    moment: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file stays whole and nothing half-written is left."""
    path = saved(tmp_path, suffix, {"a": np.float64(1)})
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    writer = ValuesFile(path, PHASES)
    if moment == "save":
        monkeypatch.setattr(values_file.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(errors.WriterError, match=r"disk full.*still in"):
        writer.write({"a": np.float64(2)}, "train", 0)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_file_would_be_found(tmp_path: Path) -> None:
    """The file stands under another name until it is whole."""
    path = saved(tmp_path, ".json", 1)
    seen: list[set[str]] = []

    class Watching(dict):
        def values(self) -> Any:
            seen.append(set(os.listdir(tmp_path)) - {path.name})
            return super().values()

    saved(tmp_path, ".json", Watching(a=2))

    assert [name.endswith(".part") for name, *_ in map(list, seen)] == [True]


@pytest.mark.parametrize("failing", ["log_dir", "filepath", "on"])
def test_a_failing_writer_costs_neither_values_nor_writers(
    failing: str,
    model: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The values are set and all other writers run before it is raised."""
    seen: list[Any] = []

    def fail(*_: Any) -> None:
        raise OSError("no space")

    class Recording(FinalOpsCallback):
        def on_final_ops_values(self, final: Any, *_: Any) -> None:
            seen.append(final)

    owner, name = {
        "log_dir": (TensorBoard, "write"),
        "filepath": (ValuesFile, "write"),
        "on": (Recording, "on_final_ops_values"),
    }[failing]
    monkeypatch.setattr(owner, name, fail)
    file, logs = tmp_path / "a.json", tmp_path / "logs"
    callback = Recording(1.5, filepath=file, log_dir=logs)

    with pytest.raises(OSError, match="no space"):
        models.fit(model, callback)

    assert callback.final_ops_values == 1.5
    assert callback.final_ops_values_by_phase == {"train": 1.5}
    assert [file.exists(), logs.exists(), seen == [1.5]] == [
        failing != "filepath",
        failing != "log_dir",
        failing != "on",
    ]


def test_each_failing_writer_is_told_of(model: Any, tmp_path: Path) -> None:
    """The first failure is raised; it has a note for each other one."""
    callback = FinalOpsCallback(
        1, filepath=tmp_path / "a.json", log_dir=tmp_path / "logs" / "a"
    )
    (tmp_path / "logs").write_text("in the way")
    (tmp_path / "a.json").mkdir()

    with pytest.raises(errors.WriterError, match=r"log_dir=.*logs") as caught:
        models.fit(model, callback)

    (note,) = caught.value.__notes__
    assert note.startswith("and then: WriterError: ")
    assert "a.json" in note
    assert callback.final_ops_values == 1
    assert sorted(os.listdir(tmp_path)) == ["a.json", "logs"]


def test_a_failure_keeps_what_the_system_says(tmp_path: Path) -> None:
    """The error has the `errno` and file of its cause, also when pickled."""
    path = tmp_path / "folder" / "a.json"
    path.parent.mkdir()
    writer = ValuesFile(path, PHASES)
    path.parent.rmdir()

    with pytest.raises(errors.WriterError, match=r"\(at filepath=") as caught:
        writer.write(1, "train", 0)

    error = caught.value
    assert error.errno == error.__cause__.errno == errno.ENOENT
    assert error.filename == error.__cause__.filename
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_error_of_ours_has_no_errno(tmp_path: Path) -> None:
    """Without a cause, the error has no number and no file."""
    with pytest.raises(errors.WriterError) as caught:
        FinalOpsCallback("loss", filepath=tmp_path / "missing" / "a.json")

    assert caught.value.errno is None
    assert caught.value.filename is None


@pytest.mark.parametrize("argument", ["filepath", "log_dir"])
@pytest.mark.parametrize("value", [3, b"a.json", ["a.json"]])
def test_what_is_no_path_is_refused_at_once(argument: str, value: Any) -> None:
    """A number, bytes or list is an error that names the argument."""
    with pytest.raises(
        errors.ArgumentError,
        match=rf"a {type(value).__name__} is not a path \(at {argument}=.*Use",
    ):
        FinalOpsCallback("loss", **{argument: value})


BAD_PATHS: dict[str, tuple[str, type[Exception], str]] = {
    "another ending": (
        "a.pkl",
        errors.ArgumentError,
        r"can't end in '\.pkl' .*Use one of \['\.json', '\.npz'\]",
    ),
    "no ending": ("a", errors.ArgumentError, "can't end in ''"),
    "missing folder": ("b/a.json", errors.WriterError, "is not a folder"),
    "missing folder of a phase": (
        "{phase}/a.json",
        errors.WriterError,
        r"train is not a folder .*Create it",
    ),
    "a folder": ("folder.json", errors.WriterError, "is a folder"),
    "a file as folder": ("file/a.json", errors.WriterError, "is not a folder"),
    "unknown field": (
        "{epoch}.json",
        errors.ArgumentError,
        r"'\{epoch\}' is not a field.*Only \{phase\}, \{step\} and \{step:06",
    ),
    "attribute of a field": (
        "{phase.real}.json",
        errors.ArgumentError,
        r"'\{phase\.real\}' is not a field",
    ),
    "numbered field": (
        "{}.json",
        errors.ArgumentError,
        r"'\{\}' is not a field",
    ),
    "brace that stays open": (
        "{phase.json",
        errors.ArgumentError,
        r"'\{phase\.json' is not a field.*is part of the name twice",
    ),
    "another format": (
        "{step:04d}.json",
        errors.ArgumentError,
        r"'\{step:04d\}' is not a field.*Only",
    ),
}


@pytest.mark.parametrize(
    ("name", "kind", "message"), BAD_PATHS.values(), ids=BAD_PATHS
)
def test_a_bad_filepath_is_refused_at_once(
    name: str, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    """The constructor says what is wrong with a path, and writes nothing."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(kind, match=message):
        FinalOpsCallback("loss", filepath=tmp_path / name)

    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_permission_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be written is an error before any training."""
    # Root may write everywhere, so the answer of the system is replaced.
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(errors.WriterError, match="no permission to write"):
        FinalOpsCallback("loss", filepath=tmp_path / "a.json")
    with pytest.raises(errors.WriterError, match="no permission to write"):
        FinalOpsCallback("loss", log_dir=tmp_path / "logs")


def test_a_file_in_the_way_of_log_dir_is_refused_at_once(
    tmp_path: Path,
) -> None:
    """A `log_dir` below a file is an error before any training."""
    (tmp_path / "file").touch()

    with pytest.raises(errors.WriterError, match=r"is not a folder.*log_dir="):
        FinalOpsCallback("loss", log_dir=tmp_path / "file" / "logs")


def test_no_writer_is_made_without_an_argument() -> None:
    """Nothing is printed or written unless it is asked for."""
    assert writers.make_writers(PHASES, None, None, 0) == []
