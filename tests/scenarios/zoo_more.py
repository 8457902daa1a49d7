# SPDX-License-Identifier: Apache-2.0
"""Kinds of models whose training is out of the ordinary."""

from typing import Any

import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.scenarios.zoo import L
from tests.scenarios.zoo import classes
from tests.scenarios.zoo import dense_rows
from tests.scenarios.zoo import kind
from tests.scenarios.zoo import rows_of
from tests.scenarios.zoo import stack
from tests.scenarios.zoo import words

OPTIMIZERS = keras.optimizers


@kind(words, keras_3=True)
def low_rank_adaptation() -> Any:
    embedding = L.Embedding(7, 3, name="embedding")
    dense = L.Dense(4, "relu", name="adapted")
    model = stack(
        keras.Input((5,), dtype="int32"),
        embedding,
        dense,
        L.Flatten(),
        L.Dense(1),
    )
    embedding.enable_lora(2)
    dense.enable_lora(1)
    return model


@kind(dense_rows)
def frozen_layers() -> Any:
    frozen = L.Dense(4, name="frozen", trainable=False)
    normal = L.BatchNormalization(name="bn", trainable=False)
    return stack(keras.Input((3,)), frozen, normal, L.Dense(1))


@kind(dense_rows)
def constraints_and_regularizers() -> Any:
    return stack(
        keras.Input((3,)),
        L.Dense(
            4,
            kernel_constraint=keras.constraints.MaxNorm(0.5),
            kernel_regularizer=keras.regularizers.L1L2(0.1, 0.1),
            activity_regularizer="l2",
            name="held",
        ),
        L.Dense(1, bias_regularizer="l1", kernel_constraint="unit_norm"),
    )


@kind(dense_rows)
def added_loss() -> Any:
    class Penalty(L.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_loss(0.1 * tf.reduce_mean(tf.square(inputs)))
            return inputs

    return stack(keras.Input((3,)), L.Dense(3), Penalty(name="pen"), L.Dense(1))


@kind(dense_rows, "own step", metrics=None)
def own_train_step() -> Any:
    class Own(keras.Sequential):
        def train_step(self, data: Any) -> Any:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x, y, y_pred, weight)
            weights = self.trainable_variables
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            return {"loss": loss, "double": 2 * loss}

    return Own([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(1)])


@kind(dense_rows, "own step", "adversaries", "opaque", "random", metrics=None)
def gan() -> Any:
    class Gan(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="gan")
            self.generator = stack(
                keras.Input((2,)), L.Dense(3, name="g"), name="generator"
            )
            self.critic = stack(
                keras.Input((3,)), L.Dense(1, name="c"), name="critic"
            )
            self.g_optimizer = OPTIMIZERS.Adam(0.01, name="g_adam")
            self.c_optimizer = OPTIMIZERS.RMSprop(0.01, name="c_rms")
            self.built = True

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.critic(inputs)

        def train_step(self, data: Any) -> Any:
            real = keras.utils.unpack_x_y_sample_weight(data)[0]
            noise = tf.random.stateless_normal((4, 2), [1, 2])
            with tf.GradientTape(persistent=True) as tape:
                fake = self.critic(self.generator(noise))
                lies = -tf.reduce_mean(fake)
                truth = tf.reduce_mean(fake) - tf.reduce_mean(self.critic(real))
            for part, optimizer, loss in (
                (self.generator, self.g_optimizer, lies),
                (self.critic, self.c_optimizer, truth),
            ):
                weights = part.trainable_variables
                steps = tape.gradient(loss, weights)
                optimizer.apply_gradients(zip(steps, weights, strict=True))
            return {"lies": lies, "truth": truth}

    return Gan()


@kind(dense_rows, "own step", "opaque")
def own_compute_loss() -> Any:
    class Own(keras.Sequential):
        def compute_loss(
            self,
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            **more: Any,
        ) -> Any:
            return tf.reduce_mean(tf.abs(y - y_pred)) + tf.reduce_mean(x) ** 2

    return Own([L.Dense(4, "relu", name="a"), L.Dense(1, name="b")])


def _half() -> Any:
    return stack(
        keras.Input((3,)),
        L.Dense(4, "relu", name="half"),
        L.Dense(1, name="out"),
    )


@kind(dense_rows, "mixed_bfloat16")
def mixed_bfloat16() -> Any:
    return _half()


@kind(dense_rows, "mixed_float16")
def mixed_float16() -> Any:
    return _half()


@kind(lambda rows: tuple(v.astype("float64") for v in dense_rows(rows)))
def double_precision() -> Any:
    x = keras.Input((3,), dtype="float64", name="x")
    hidden = L.Dense(4, "tanh", dtype="float64", name="hidden")(x)
    return keras.Model(x, L.Dense(1, dtype="float64", name="out")(hidden))


@kind(dense_rows, "random")
def dropout() -> Any:
    return stack(
        keras.Input((3,)),
        L.Dense(6, name="wide"),
        L.Dropout(0.5, name="drop"),
        L.GaussianNoise(0.1),
        L.AlphaDropout(0.2),
        L.Dense(1),
    )


@kind(dense_rows, "random", "own random")
def random_layer_of_the_user() -> Any:
    class Noise(L.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + tf.random.normal(tf.shape(inputs))

    return stack(keras.Input((3,)), L.Dense(4), Noise(name="noise"), L.Dense(1))


def _classifier_metrics() -> list[Any]:
    return [
        "accuracy",
        keras.metrics.SparseTopKCategoricalAccuracy(2, name="top"),
    ]


@kind(
    classes,
    loss="sparse_categorical_crossentropy",
    metrics=_classifier_metrics,
)
def classifier() -> Any:
    return stack(
        keras.Input((3,)), L.Dense(5, "relu"), L.Dense(3, "softmax", name="p")
    )


@kind(
    lambda rows: (dense_rows(rows)[0], (dense_rows(rows)[1] > 0).astype("f")),
    loss="binary_crossentropy",
    metrics=lambda: [
        keras.metrics.AUC(name="auc"),
        keras.metrics.Precision(name="precision"),
    ],
)
def binary_classifier() -> Any:
    return stack(keras.Input((3,)), L.Dense(1, "sigmoid", name="p"))


@kind(rows_of((4,)))
def normalizations() -> Any:
    layers = [
        keras.Input((4,)),
        L.Dense(4, name="first"),
        L.GroupNormalization(2, name="group"),
        L.UnitNormalization(name="unit"),
    ]
    if IS_KERAS_3:  # that of Keras 2 does not train
        layers.append(L.SpectralNormalization(L.Dense(2), name="spectral"))
    return stack(*layers, L.Dense(1, name="out"))


@kind(dense_rows)
def trained_by_layer_code() -> Any:
    class Counting(L.Layer):
        def build(self, shape: Any) -> None:
            self.calls = self.add_weight(
                name="calls", shape=(), initializer="zeros", trainable=False
            )
            self.built = True

        def call(self, inputs: Any, training: bool = False) -> Any:
            if training:
                self.calls.assign(self.calls + 1.0)
            return inputs * (1.0 + 0.01 * self.calls)

    return stack(keras.Input((3,)), Counting(name="count"), L.Dense(1))


@kind(rows_of((32, 32, 3)), "slow", "no xla")
def mobile_net_v2() -> Any:
    return keras.applications.MobileNetV2(
        (32, 32, 3), 0.35, weights=None, classes=1, classifier_activation=None
    )


@kind(rows_of((32, 32, 3)), "slow", "random", "no xla")
def mobile_net() -> Any:
    return keras.applications.MobileNet(
        (32, 32, 3), 0.25, weights=None, classes=1, classifier_activation=None
    )


@kind(dense_rows, keras_3=False, metrics=None)
def legacy_added_metric() -> Any:
    class Says(L.Layer):
        def call(self, inputs: Any) -> Any:
            self.add_metric(tf.reduce_mean(inputs), name="level")
            return inputs

    return stack(keras.Input((3,)), Says(name="says"), L.Dense(1))
