# SPDX-License-Identifier: Apache-2.0
"""Draws README's picture: the losses that one hook saw under v1 and Keras.

`python -m tests.picture` trains the small model of `tests.contract.drivers`
twice, under `MonitoredSession` and under `model.fit`, and writes
`notebooks/losses.png`.
"""

import pathlib
import tempfile
from typing import Any

import tensorflow as tf

from tests.contract import drivers

PICTURE = pathlib.Path(__file__).parents[1] / "notebooks" / "losses.png"
EPOCHS = 20

v1 = tf.compat.v1


class Losses(v1.train.SessionRunHook):
    """Keeps the loss of each step, as it was written for v1."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def before_run(self, run_context: Any) -> Any:
        return v1.train.SessionRunArgs("loss:0")

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.losses.append(float(run_values.results))


def losses_of(run: Any) -> list[float]:
    """Returns the losses that the hook saw under a driver."""
    hook = Losses()
    with tempfile.TemporaryDirectory() as folder:
        trace = run(
            lambda env: [hook],
            folder,
            epochs=EPOCHS,
            learning_rate=0.02,
        )
    if trace.error is not None:
        raise trace.error
    return hook.losses


def draw(under_v1: list[float], under_keras: list[float], path: Any) -> None:
    """Draws both lists of losses into a PNG file."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 2.6), layout="constrained")
    steps = range(1, len(under_v1) + 1)
    axes.plot(
        steps,
        under_v1,
        color="#f4a259",
        linewidth=6,
        label="MonitoredSession (TensorFlow 1)",
    )
    axes.plot(
        steps,
        under_keras,
        color="#1d3557",
        linewidth=1.5,
        label="model.fit with SessionRunHookCallback",
    )
    axes.set(xlabel="step", ylabel="loss seen by the hook", yscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    pyplot.close(figure)


def main() -> None:
    """Trains twice, and draws what the hook saw."""
    draw(losses_of(drivers.run_v1), losses_of(drivers.run_keras), PICTURE)


if __name__ == "__main__":
    main()
