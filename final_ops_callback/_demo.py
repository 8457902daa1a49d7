# SPDX-License-Identifier: Apache-2.0
"""Runs the main job: trains and evaluates a classifier, shows its values."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import SessionRunHookCallback

CLASSES = 10
BATCH_SIZE = 32


class Digits(NamedTuple):
    """The digits of scikit-learn, split by class with a fixed seed.

    Images are `float32` of shape `(n, 8, 8, 1)` from 0 to 1, labels `int64`
    of shape `(n,)` from 0 to 9.
    """

    train_images: np.ndarray[Any, Any]
    train_labels: np.ndarray[Any, Any]
    test_images: np.ndarray[Any, Any]
    test_labels: np.ndarray[Any, Any]


def run(folder: Path, epochs: int) -> None:
    """Trains on the digits, prints the final values and writes two files.

    Args:
        folder: Path of an existing folder.
        epochs: Integer. The number of passes over the training images.
    """
    keras.utils.set_random_seed(0)
    digits = load_digits()
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model = build_model(accuracy)
    values_file = folder / "final_ops.json"
    picture_file = folder / "confusion_matrix.png"
    fit_values = fit(model, accuracy, digits, epochs)
    values = evaluate(model, accuracy, digits, fit_values, values_file)
    print_table(values)
    draw_confusion_matrix(values["evaluate"]["confusion_matrix"], picture_file)
    print(f"Final values: {values_file}\nPicture: {picture_file}")


def load_digits() -> Digits:
    """Loads 1,797 real images: three quarters to train, one quarter to test."""
    # Here, not at the top: --help works without the demo packages.
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    digits = sklearn_digits()
    images = (digits.images[..., np.newaxis] / 16.0).astype("float32")
    labels = digits.target.astype("int64")
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=0
    )
    return Digits(train_images, train_labels, test_images, test_labels)


def build_model(accuracy: keras.metrics.Metric) -> keras.Model:
    """Builds a small convolutional classifier, compiled with `accuracy`."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(16, 3, activation="relu", name="conv")(image)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(32, activation="relu", name="hidden")(x)
    x = keras.layers.Dense(CLASSES, activation="softmax", name="digit")(x)
    model = keras.Model(image, x, name="digits")
    model.compile(
        optimizer=keras.optimizers.Adam(0.005),
        loss="sparse_categorical_crossentropy",
        metrics=[accuracy],
    )
    return model


def weight_norm(model: keras.Model) -> tf.Tensor:
    """Computes the joint Euclidean norm of all trainable weights."""
    return tf.linalg.global_norm(
        [tf.convert_to_tensor(w) for w in model.trainable_weights]
    )


def confusion_matrix(
    model: keras.Model, images: tf.Tensor, labels: tf.Tensor
) -> tf.Tensor:
    """Counts how often each class (row) is predicted as each class (column)."""
    predictions = tf.argmax(model(images, training=False), axis=-1)
    return tf.math.confusion_matrix(labels, predictions, CLASSES)


def fit(
    model: keras.Model,
    accuracy: keras.metrics.Metric,
    digits: Digits,
    epochs: int,
) -> dict[str, Any]:
    """Trains the model; a v1 hook logs the loss as each epoch starts.

    Args:
        model: A compiled model.
        accuracy: The metric object that the model was compiled with.
        digits: The images to train on; the last tenth is for validation.
        epochs: Positive integer.

    Returns:
        The final values: the training `accuracy`, the `val_accuracy`, the
        `weight_norm`, and the output of the layer `hidden` for two images.
    """
    final = FinalOpsCallback(
        {
            "accuracy": accuracy,
            "val_accuracy": "val_accuracy",
            "weight_norm": tf.function(weight_norm),
            "hidden": model.get_layer("hidden").output,
        },
        {"image": digits.train_images[:2]},
    )
    tf.get_logger().setLevel("INFO")  # v1 hooks use this logger
    steps = math.ceil(0.9 * len(digits.train_images) / BATCH_SIZE)
    # Once in an epoch, before the progress bar is drawn.
    hook = tf.compat.v1.train.LoggingTensorHook(
        {"step": "global_step:0", "loss": "loss:0"}, every_n_iter=steps
    )
    model.fit(
        digits.train_images,
        digits.train_labels,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_split=0.1,
        callbacks=[SessionRunHookCallback(hook), final],
        verbose=1,
    )
    return final.final_ops_values


def evaluate(
    model: keras.Model,
    accuracy: keras.metrics.Metric,
    digits: Digits,
    fit_values: dict[str, Any],
    filepath: Path,
) -> dict[str, Any]:
    """Evaluates the model on the test images and keeps all values.

    Args:
        model: A trained model.
        accuracy: The metric object that the model was compiled with.
        digits: The images to evaluate on.
        fit_values: The final values of `fit`: they are leaves like any other,
            and are in the file together with those of the evaluation.
        filepath: The `.json` file to write.

    Returns:
        The final values under `"fit"` and `"evaluate"`; the latter are the
        test `accuracy` and the `confusion_matrix`.
    """
    final = FinalOpsCallback(
        {
            "fit": fit_values,
            "evaluate": {
                "accuracy": accuracy,
                "confusion_matrix": tf.function(confusion_matrix),
            },
        },
        {"images": digits.test_images, "labels": digits.test_labels},
        # A brace in the name of a folder is not a format field.
        filepath=str(filepath).replace("{", "{{").replace("}", "}}"),
    )
    model.evaluate(
        digits.test_images,
        digits.test_labels,
        batch_size=BATCH_SIZE,
        callbacks=[final],
        verbose=0,
    )
    return final.final_ops_values


def print_table(values: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints the values of each phase, one line per scalar."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Final values")
    table.add_column("in")
    table.add_column("final op")
    table.add_column("value")
    for phase, phase_values in values.items():
        for name, value in phase_values.items():
            table.add_row(phase, name, describe(np.asarray(value)))
        table.add_section()
    Console().print(table)


def describe(value: np.ndarray[Any, Any]) -> str:
    """Formats a scalar with four decimals, integers in full, else the shape."""
    if value.ndim == 0:
        return f"{value:.4f}"
    if np.issubdtype(value.dtype, np.integer):
        return str(value)
    return f"{value.dtype} {value.shape}, mean {value.mean():.4f}"


def draw_confusion_matrix(counts: np.ndarray[Any, Any], path: Path) -> None:
    """Draws the counts, darker for more, with each count in its cell.

    Args:
        counts: Integer array of shape `(classes, classes)`: rows are the
            true classes, columns the predicted ones.
        path: The `.png` file to write, 1050 by 900 pixels.
    """
    # A bare Figure draws with Agg: no window, no global pyplot state.
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    # The square root makes a single mistake visible beside 45 hits.
    norm = PowerNorm(0.5, vmin=0, vmax=counts.max())
    image = axes.imshow(counts, cmap="Greys", norm=norm)
    for (row, column), count in np.ndenumerate(counts):
        shade = "white" if norm(count) > 0.5 else "black"
        axes.text(column, row, count, color=shade, ha="center", va="center")
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    axes.set_xlabel("predicted digit")
    axes.set_ylabel("true digit")
    axes.set_title(f"{counts.trace()} of {counts.sum()} test images right")
    figure.colorbar(image, label="images")
    figure.savefig(path)
