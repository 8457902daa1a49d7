# SPDX-License-Identifier: Apache-2.0
"""The same training under v1 and under Keras, which go on from each other."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests.flavors import IS_KERAS_3
from tests.flavors import keras
from tests.flavors import to_numpy
from tests.flavors import variables_of

v1 = tf.compat.v1
TRAIN, OPTIMIZERS = v1.train, keras.optimizers
BATCH = 4
_DRAW = np.random.default_rng(0)
X = _DRAW.random((24, BATCH, 3), "f")
Y = _DRAW.random((24, BATCH, 1), "f")
WEIGHTS = {
    "hidden/kernel": _DRAW.normal(size=(3, 5)).astype("f"),
    "hidden/bias": _DRAW.normal(size=(5,)).astype("f"),
    "out/kernel": _DRAW.normal(size=(5, 1)).astype("f"),
    "out/bias": _DRAW.normal(size=(1,)).astype("f"),
}


class Pair(NamedTuple):
    """An optimizer of v1, and its counterpart in Keras."""

    original: Callable[[], Any]
    ours: Callable[[], Any]


PAIRS = {
    "gradient descent": Pair(
        lambda: TRAIN.GradientDescentOptimizer(0.1),
        lambda: OPTIMIZERS.SGD(0.1),
    ),
    "momentum": Pair(
        lambda: TRAIN.MomentumOptimizer(0.1, 0.9),
        lambda: OPTIMIZERS.SGD(0.1, momentum=0.9),
    ),
    "nesterov": Pair(
        lambda: TRAIN.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
        lambda: OPTIMIZERS.SGD(0.1, momentum=0.9, nesterov=True),
    ),
    "adam": Pair(
        lambda: TRAIN.AdamOptimizer(0.1, epsilon=1e-7),
        lambda: OPTIMIZERS.Adam(0.1, epsilon=1e-7),
    ),
    "rmsprop": Pair(
        lambda: TRAIN.RMSPropOptimizer(0.1, 0.9, epsilon=1e-7),
        lambda: OPTIMIZERS.RMSprop(0.1, 0.9, epsilon=1e-7),
    ),
    "rmsprop with momentum": Pair(
        lambda: TRAIN.RMSPropOptimizer(0.1, 0.9, momentum=0.5, epsilon=1e-7),
        lambda: OPTIMIZERS.RMSprop(0.1, 0.9, momentum=0.5, epsilon=1e-7),
    ),
    "rmsprop centered": Pair(
        lambda: TRAIN.RMSPropOptimizer(0.1, 0.9, epsilon=1e-5, centered=True),
        lambda: OPTIMIZERS.RMSprop(0.1, 0.9, epsilon=1e-5, centered=True),
    ),
    "rmsprop centered with momentum": Pair(
        lambda: TRAIN.RMSPropOptimizer(
            0.1, 0.9, momentum=0.5, epsilon=1e-5, centered=True
        ),
        lambda: OPTIMIZERS.RMSprop(
            0.1, 0.9, momentum=0.5, epsilon=1e-5, centered=True
        ),
    ),
    "adagrad": Pair(
        lambda: TRAIN.AdagradOptimizer(0.1),
        lambda: OPTIMIZERS.Adagrad(0.1),
    ),
    "adadelta": Pair(
        lambda: TRAIN.AdadeltaOptimizer(0.1, 0.95, 1e-7),
        lambda: OPTIMIZERS.Adadelta(0.1, rho=0.95, epsilon=1e-7),
    ),
    "ftrl": Pair(
        lambda: TRAIN.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
        lambda: OPTIMIZERS.Ftrl(0.1, l1_regularization_strength=0.01),
    ),
}
if not IS_KERAS_3:
    LEGACY = OPTIMIZERS.legacy
    PAIRS |= {
        "legacy momentum": PAIRS["momentum"]._replace(
            ours=lambda: LEGACY.SGD(0.1, momentum=0.9)
        ),
        "legacy adam": PAIRS["adam"]._replace(
            ours=lambda: LEGACY.Adam(0.1, epsilon=1e-7)
        ),
        "legacy rmsprop": PAIRS["rmsprop"]._replace(
            ours=lambda: LEGACY.RMSprop(0.1, 0.9, epsilon=1e-7)
        ),
        "legacy rmsprop centered": PAIRS[
            "rmsprop centered with momentum"
        ]._replace(
            ours=lambda: LEGACY.RMSprop(
                0.1, 0.9, momentum=0.5, epsilon=1e-5, centered=True
            )
        ),
        "legacy adagrad": PAIRS["adagrad"]._replace(
            ours=lambda: LEGACY.Adagrad(0.1)
        ),
        "legacy adadelta": PAIRS["adadelta"]._replace(
            ours=lambda: LEGACY.Adadelta(0.1, rho=0.95, epsilon=1e-7)
        ),
        "legacy ftrl": PAIRS["ftrl"]._replace(
            ours=lambda: LEGACY.Ftrl(0.1, l1_regularization_strength=0.01)
        ),
    }


class Original:
    """A program of v1: a graph, a session and a saver.

    Args:
        make: Function that returns v1's optimizer; called in the graph.
        rename: Function from a name in `WEIGHTS` to that in the program.
        average: Boolean. Whether it keeps moving averages.
        parts: Integer. Into how many parts it divides the first kernel.
        **saver: Arguments of the saver.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        rename: Callable[[str], str] = str,
        average: bool = False,
        parts: int = 0,
        **saver: Any,
    ) -> None:
        with tf.Graph().as_default() as graph:
            self._x = v1.placeholder(tf.float32, [None, 3])
            self._y = v1.placeholder(tf.float32, [None, 1])
            weights = {
                name: self._variable(rename(name), value, parts)
                for name, value in WEIGHTS.items()
            }
            hidden = tf.nn.tanh(
                self._x @ weights["hidden/kernel"] + weights["hidden/bias"]
            )
            out = hidden @ weights["out/kernel"] + weights["out/bias"]
            self._loss = tf.reduce_mean(tf.square(out - self._y))
            self._step = TRAIN.get_or_create_global_step()
            self._update = make().minimize(self._loss, global_step=self._step)
            if average:
                averages = TRAIN.ExponentialMovingAverage(0.5)
                with tf.control_dependencies([self._update]):
                    self._update = averages.apply(v1.trainable_variables())
            self.saver = TRAIN.Saver(**saver)
            self.session = v1.Session(graph=graph)
            self.session.run(v1.global_variables_initializer())
            self.variables = {one.op.name: one for one in v1.global_variables()}

    def _variable(self, name: str, value: Any, parts: int) -> Any:
        if not parts or value.shape[0] < 3:
            return v1.get_variable(name, initializer=value)
        partitioner = v1.fixed_size_partitioner(parts)
        made = v1.get_variable(name, value.shape, partitioner=partitioner)
        return tf.convert_to_tensor(made)

    def train(self, steps: int) -> list[float]:
        """Trains; returns the losses, each from before its step."""
        losses = []
        for _ in range(steps):
            at = self.session.run(self._step)
            feeds = {self._x: X[at], self._y: Y[at]}
            loss, _ = self.session.run((self._loss, self._update), feeds)
            losses.append(float(loss))
        return losses

    def evaluate(self) -> float:
        """Returns the loss of the first batch."""
        feeds = {self._x: X[0], self._y: Y[0]}
        return float(self.session.run(self._loss, feeds))

    def final_ops(self, prefix: str) -> Any:
        """Evaluates a checkpoint as v1 did, with its hook."""
        feeds = {self._x: X[0], self._y: Y[0]}
        with self.session.graph.as_default():
            norm = tf.linalg.global_norm(v1.trainable_variables())
            ops = {"loss": self._loss, "norm": norm}
            hook = TRAIN.FinalOpsHook(ops, feeds)
            creator = TRAIN.ChiefSessionCreator(
                TRAIN.Scaffold(saver=self.saver),
                checkpoint_filename_with_path=prefix,
            )
            with TRAIN.MonitoredSession(creator, [hook]):
                pass
        return hook.final_ops_values

    def save(self, path: Any, **options: Any) -> str:
        """Saves; returns the path that `Saver.save` returned."""
        with self.session.graph.as_default():
            return str(self.saver.save(self.session, str(path), **options))

    def restore(self, path: Any) -> None:
        """Restores with the saver of the program."""
        with self.session.graph.as_default():
            self.saver.restore(self.session, str(path))


def model_of(optimizer: Any = None) -> Any:
    """Returns the model with the weights of `WEIGHTS`, at zero."""
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(5, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="out")(hidden))
    if optimizer is not None:
        model.compile(optimizer, "mse", jit_compile=False)
    model.set_weights([np.zeros_like(value) for value in WEIGHTS.values()])
    return model


def begin(model: Any) -> Any:
    """Gives a model the weights with which v1 begins."""
    model.set_weights(list(WEIGHTS.values()))
    return model


def train(model: Any, steps: int, at: int | None = None) -> list[float]:
    """Trains a model on; returns the losses, each from before its step."""
    losses = []
    for _ in range(steps):
        step = int(model.optimizer.iterations) if at is None else at
        error = np.asarray(model(X[step])) - Y[step]
        losses.append(float(np.mean(np.square(error))))
        model.train_on_batch(X[step], Y[step])
        at = None if at is None else at + 1
    return losses


def snapshot(model: Any) -> list[np.ndarray]:
    """Returns copies of all weights and all variables of the optimizer."""
    return [
        np.array(to_numpy(one))
        for one in (*model.weights, *variables_of(model.optimizer))
    ]


def write_v1(path: Any, values: Mapping[str, Any]) -> str:
    """Writes variables with v1's saver; returns the path."""
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.Variable(value, name=name, use_resource=True)
        session.run(v1.global_variables_initializer())
        return str(TRAIN.Saver().save(session, str(path)))


def read_v1(path: Any) -> dict[str, np.ndarray]:
    """Returns the values of a checkpoint by their names."""
    reader = tf.train.load_checkpoint(str(path))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names}
