# SPDX-License-Identifier: Apache-2.0
"""All optimizers of Keras, with their options."""

from collections.abc import Callable
from typing import Any

from tests.flavors import IS_KERAS_3
from tests.flavors import LossScaleOptimizer
from tests.flavors import keras

O = keras.optimizers  # noqa: E741
S = O.schedules

STEPPERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: O.SGD(0.05),
    "momentum": lambda: O.SGD(0.05, momentum=0.9),
    "nesterov": lambda: O.SGD(0.05, momentum=0.5, nesterov=True),
    "adam": lambda: O.Adam(0.01),
    "amsgrad": lambda: O.Adam(0.01, amsgrad=True, name="mine"),
    "adamw": lambda: O.AdamW(0.01, weight_decay=0.1),
    "adamax": lambda: O.Adamax(0.01),
    "nadam": lambda: O.Nadam(0.01),
    "rmsprop": lambda: O.RMSprop(0.01),
    "centered rmsprop": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: O.Adagrad(0.05),
    "adadelta": lambda: O.Adadelta(0.5),
    "ftrl": lambda: O.Ftrl(0.05, l1_regularization_strength=0.01),
    "adafactor": lambda: O.Adafactor(0.01),
    "lion": lambda: O.Lion(0.01),
    "clipped norm": lambda: O.Adam(0.01, clipnorm=0.1),
    "clipped value": lambda: O.SGD(0.05, clipvalue=0.1),
    "clipped globally": lambda: O.RMSprop(0.01, global_clipnorm=0.1),
    "moving average": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.5),
    "moving average written": lambda: O.SGD(
        0.05, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "decay": lambda: O.SGD(S.ExponentialDecay(0.1, 2, 0.5), momentum=0.5),
    "cosine": lambda: O.Adam(S.CosineDecay(0.02, 6)),
    "pieces": lambda: O.RMSprop(
        S.PiecewiseConstantDecay([2, 5], [0.1, 0.01, 1e-3])
    ),
    "scaled loss": lambda: LossScaleOptimizer(O.Adam(0.01)),
    "by name": lambda: "rmsprop",
}
if IS_KERAS_3:
    STEPPERS |= {
        "lamb": lambda: O.Lamb(0.01),
        "muon": lambda: O.Muon(0.01),
        "accumulation": lambda: O.SGD(0.05, gradient_accumulation_steps=2),
        "accumulation by adam": lambda: O.Adam(
            0.01, gradient_accumulation_steps=3
        ),
    }
else:
    STEPPERS |= {
        "legacy sgd": lambda: O.legacy.SGD(0.05, momentum=0.5),
        "legacy adam": lambda: O.legacy.Adam(0.01),
        "legacy rmsprop": lambda: O.legacy.RMSprop(0.01),
        "legacy ftrl": lambda: O.legacy.Ftrl(0.05),
        "legacy nadam": lambda: O.legacy.Nadam(0.01),
    }
