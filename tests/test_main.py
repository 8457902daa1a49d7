# SPDX-License-Identifier: Apache-2.0
"""The main job: what it prints, what it writes, how it refuses."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.image import imread
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from final_ops_callback import __main__ as main_job
from final_ops_callback import _demo as demo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
EPOCHS = 3


class Job(NamedTuple):
    code: int
    stdout: str
    stderr: str
    out: Path

    @property
    def values(self) -> Any:
        return json.loads((self.out / "final_ops.json").read_bytes())


def run_job(out: Path, *arguments: str) -> Job:
    """Runs the main job as a process of its own, from the checkout."""
    done = subprocess.run(
        [sys.executable, "-m", "final_ops_callback", "--out", out, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        encoding="utf-8",
        capture_output=True,
        timeout=60,  # the promise: under a minute on two cores
        check=False,
    )
    return Job(done.returncode, done.stdout, done.stderr, out)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job, run once, into a folder that it makes itself."""
    # Braces are no fields here, as they are in a `filepath`.
    out = tmp_path_factory.mktemp("job") / "run{1}" / "{phase}"
    return run_job(out, "--epochs", str(EPOCHS))


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that wrong arguments get."""
    with pytest.raises(SystemExit) as exit_info:
        main_job.main(arguments)
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_it_succeeds_and_writes_two_files(job: Job) -> None:
    """The job exits 0 and leaves the values, the picture, nothing else."""
    assert job.code == 0, job.stderr
    assert sorted(path.name for path in job.out.iterdir()) == [
        "confusion_matrix.png",
        "final_ops.json",
    ]


def test_it_shows_progress_and_a_table(job: Job) -> None:
    """A bar runs through every step of every epoch, then a table follows."""
    bar, _, table = job.stdout.partition("Final values")

    assert f"Epoch {EPOCHS}/{EPOCHS}" in bar
    assert bar.count("38/38") >= EPOCHS
    for name in ("accuracy", "val_accuracy", "weight_norm", "hidden"):
        assert re.search(rf"fit\W+{name}\W", table)
    assert re.search(r"evaluate\W+confusion_matrix\W", table)


def test_a_v1_hook_logs_the_loss(job: Job) -> None:
    """The hook logs once in an epoch the step, and the loss Keras shows."""
    logged = re.findall(r"^INFO:.*loss = (\S+), step = (\d+)", job.stderr, re.M)
    shown = re.findall(r"\b1/38\b.*? loss: ([\d.]+)", job.stdout)

    assert [int(step) for _, step in logged] == [38 * e for e in range(EPOCHS)]
    assert [float(loss) for loss, _ in logged] == pytest.approx(
        [float(loss) for loss in shown], abs=1e-4
    )


def test_the_file_holds_both_runs(job: Job) -> None:
    """The file holds the final values of fit and of evaluate."""
    fit, evaluate = job.values["fit"], job.values["evaluate"]
    hidden = np.array(fit["hidden"])

    assert list(fit) == ["accuracy", "val_accuracy", "weight_norm", "hidden"]
    assert list(evaluate) == ["accuracy", "confusion_matrix"]
    assert fit["weight_norm"] > 0
    assert hidden.shape == (2, 32)
    assert hidden.min() >= 0  # behind a ReLU


def test_fit_keeps_the_training_accuracy(job: Job) -> None:
    """The metric object gives the training value of Keras's last line."""
    line = re.findall(
        # Keras 3 orders the logs by name, Keras 2 begins with the loss.
        r" accuracy: ([\d.]+)(?: - (?:val_)?loss: [\d.e-]+)*"
        r" - val_accuracy: ([\d.]+)",
        job.stdout,
    )[-1]

    fit = job.values["fit"]

    assert [fit["accuracy"], fit["val_accuracy"]] == pytest.approx(
        [float(text) for text in line], abs=1e-4
    )
    assert fit["accuracy"] != fit["val_accuracy"]


def test_the_confusion_matrix_counts_the_test_images(job: Job) -> None:
    """Its rows count the true digits, its diagonal gives the accuracy."""
    labels = load_digits().target
    _, test_labels = train_test_split(
        labels, test_size=0.25, stratify=labels, random_state=0
    )
    evaluate = job.values["evaluate"]
    counts = np.array(evaluate["confusion_matrix"])

    accuracy = counts.trace() / counts.sum()

    assert counts.sum(axis=1).tolist() == np.bincount(test_labels).tolist()
    assert evaluate["accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.9


def test_the_picture_is_grey(job: Job) -> None:
    """The picture opens, has its size, and uses no colour to tell things."""
    pixels = imread(job.out / "confusion_matrix.png")

    assert pixels.shape == (900, 1050, 4)
    assert np.ptp(pixels[..., :3], axis=-1).max() == 0
    assert pixels.min() < 0.1
    assert pixels[..., :3].max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--epochs", "0"], "not a positive integer: '0'", id="0"),
        pytest.param(["--epochs", "x"], "not a positive integer: 'x'", id="x"),
        pytest.param(["--epoch\ns", "2"], "unrecognized arg", id="unknown"),
        pytest.param(["--out"], "--out: expected one argument", id="no-out"),
    ],
)
def test_wrong_arguments_get_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument gets one line that names it, and exit code 2."""
    assert message in refusal(capsys, *arguments)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_an_out_that_cannot_be_a_folder_gets_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where the folder should be gets one line, and stays."""
    (tmp_path / "file").write_text("precious")

    line = refusal(capsys, "--out", str(tmp_path / name))

    assert f"--out: can't write to {tmp_path / name}" in line
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("name", main_job.FILES)
def test_a_folder_in_the_way_of_a_file_gets_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder where a file should be gets one line, before any training."""
    (tmp_path / name).mkdir()

    line = refusal(capsys, "--out", str(tmp_path))

    assert f"--out: {tmp_path / name} is a folder" in line


def test_a_missing_package_gets_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the demo packages, one line says how to install them."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    line = refusal(capsys)

    assert "sklearn, matplotlib, rich" in line
    assert 'pip install "final_ops_callback[demo]"' in line


def test_the_process_refuses_without_a_traceback(tmp_path: Path) -> None:
    """The exit code reaches the shell; no traceback, no usage."""
    refused = run_job(tmp_path, "--epochs", "many")

    assert refused.code == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.endswith("not a positive integer: 'many'\n")
    assert "Traceback" not in refused.stderr
    assert "usage" not in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_explains(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what is written, and where to by default."""
    with pytest.raises(SystemExit, match="0"):
        main_job.main(["--help"])

    text = " ".join(capsys.readouterr().out.split())

    assert "final_ops.json and confusion_matrix.png" in text
    assert "default: final_ops_demo" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.98768), "0.9877"),
        (np.array([[1, 0], [0, 2]]), "[[1 0]\n [0 2]]"),
        (np.zeros((2, 32), "float32"), "float32 (2, 32), mean 0.0000"),
    ],
    ids=["scalar", "counts", "floats"],
)
def test_a_value_is_described(value: Any, text: str) -> None:
    """Scalars get four decimals, counts stand in full, floats in short."""
    assert demo.describe(np.asarray(value)) == text
