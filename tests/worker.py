# SPDX-License-Identifier: Apache-2.0
"""Runs one of several workers as a process, for `_keras/test_workers`.

python -m tests.worker KERAS INDEX PORTS SCENARIO FOLDER
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback

import numpy as np
import tensorflow as tf

from final_ops_callback import FinalOpsCallback
from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback import SessionRunHookCallback
from final_ops_callback._keras import workers
from final_ops_callback.errors import FinalOpsCallbackError

v1 = tf.compat.v1
X = np.random.RandomState(0).normal(size=(32, 2)).astype("float32")
Y = 2 * X.sum(axis=1, keepdims=True)


class Stops(v1.train.SessionRunHook):
    """Counts its runs, and stops in one of two ways."""

    def __init__(self, at=None, way="request"):
        self.at, self.way, self.runs, self.ended = at, way, 0, False

    def before_run(self, run_context):
        if self.way == "before" and self.runs == self.at:
            raise StopIteration

    def after_run(self, run_context, run_values):
        self.runs += 1
        if self.runs != self.at:
            return
        if self.way == "request":
            run_context.request_stop()
        if self.way == "fail":
            raise ValueError("of the hook")
        if self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    def end(self, session):
        self.ended = True


class Writes(v1.train.SessionRunHook):
    """Writes a weight of the model."""

    def begin(self):
        weight = v1.trainable_variables()[0]
        self.double = weight.assign(weight * 2)

    def after_run(self, run_context, run_values):
        run_context.session.run(self.double)


class Worker:
    """The strategy, models and folder that a scenario needs."""

    def __init__(self, keras, index, folder):
        self.keras, self.index, self.folder = keras, index, folder
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        assert self.strategy.num_replicas_in_sync == 2

    def model(self):
        layers = self.keras.layers
        with self.strategy.scope():
            model = self.keras.Sequential(
                [
                    self.keras.Input((2,)),
                    layers.Dense(1, kernel_initializer="ones", name="dense"),
                ],
                name="net",
            )
            optimizer = self.keras.optimizers.SGD(0.05)
            model.compile(optimizer, "mse", metrics=["mae"])
        return model

    def fit(self, model, *callbacks):
        """Trains for 2 epochs of 4 steps; returns the step at the end."""
        data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
        options = tf.data.Options()
        policy = tf.data.experimental.AutoShardPolicy.DATA
        options.experimental_distribute.auto_shard_policy = policy
        model.fit(
            data.with_options(options),
            epochs=2,
            verbose=0,
            callbacks=list(callbacks),
        )
        return int(model.optimizer.iterations.numpy())

    def stop(self, at, way):
        """Lets worker 1 stop; says when this one did."""
        hook = Stops(at if self.index == 1 else None, way)
        step = self.fit(self.model(), SessionRunHookCallback(hook))
        return [step, hook.runs, hook.ended]


def agree(worker):
    """Values, files and stops, all the same on both workers."""
    found = {}
    model = worker.model()
    saver = v1.train.CheckpointSaverHook(f"{worker.folder}/of_hook", 1e9)
    hook = Stops(3)
    own = SessionRunHookCallback(Stops(), on="train")
    final = FinalOpsCallback(
        ["loss", "mae", model.weights],
        filepath=f"{worker.folder}/final.json",
        log_dir=f"{worker.folder}/events",
    )
    found["chief stops"] = worker.fit(
        model, SessionRunHookCallback([saver, hook], chief_only=True), own
    )
    found["hooks"] = [hook.runs, hook.ended]
    found["all"] = worker.fit(model, final)
    loss, mae, weights = final.final_ops_values
    found["values"] = [float(loss), float(mae)]
    found["weights"] = [value.tolist() for value in weights]
    found["live"] = [value.tolist() for value in model.get_weights()]
    found["request"] = worker.stop(2, "request")
    found["before"] = worker.stop(2, "before")
    worker.fit(model, SessionRunHookCallback(Writes()))
    found["written"] = [value.tolist() for value in model.get_weights()]
    found["files"] = sorted(os.listdir(worker.folder))
    return found


def fail(worker):
    """A hook of worker 1 fails."""
    return worker.stop(2, "fail")


def fail_at_begin(worker):
    """The hook of worker 1 fails when it begins."""
    hook = Stops()
    if worker.index == 1:
        hook.begin = lambda: 1 / 0
    return worker.fit(worker.model(), SessionRunHookCallback(hook))


def write_alone(worker):
    """A hook that runs on the chief alone writes a weight."""
    hook = SessionRunHookCallback(Writes(), chief_only=True)
    return worker.fit(worker.model(), hook)


def feed_alone(worker):
    """A hook that runs on the chief alone sets the learning rate."""
    feed = v1.train.FeedFnHook(lambda: {"learning_rate:0": 0.5})
    hook = SessionRunHookCallback(feed, chief_only=True)
    return worker.fit(worker.model(), hook)


def only_one(worker):
    """Worker 1 alone has the callback."""
    workers.FIRST_AGREEMENT_SECONDS = 10.0
    hooks = [SessionRunHookCallback(Stops())] if worker.index else []
    return worker.fit(worker.model(), *hooks)


def inside_the_step(worker):
    """A hook asks for a value from inside the step."""
    hook = v1.train.NanTensorHook("loss:0")
    return worker.fit(worker.model(), SessionRunHookCallback(hook))


def killed(worker):
    """Worker 1 is killed in its third step."""
    hook = Stops(3 if worker.index else None, "kill")
    saver = v1.train.CheckpointSaverHook(f"{worker.folder}/of_hook", None, 1)
    final = FinalOpsCallback("mae", filepath=f"{worker.folder}/final.json")
    return worker.fit(
        worker.model(),
        SessionRunHookCallback(saver, chief_only=True),
        SessionRunHookCallback(hook),
        final,
    )


def go_on(worker, folder):
    """Trains twice for 8 steps, as two processes would, from checkpoints."""
    steps, weights = [], []
    for _ in range(2):
        model = worker.model()
        monitored = MonitoredTrainingCallback(folder, [Stops()])
        steps.append(worker.fit(model, monitored))
        weights.append([value.tolist() for value in model.get_weights()])
    return {"steps": steps, "weights": weights}


def go_on_together(worker):
    """All workers have the folder of checkpoints."""
    return go_on(worker, os.path.join(worker.folder, "..", "shared"))


def go_on_apart(worker):
    """Each worker has a folder of its own, and only the chief writes."""
    return go_on(worker, os.path.join(worker.folder, "own"))


def slow_to_hear(worker, scenario):
    """Runs a scenario that fails, whose chief hears of it 1 s late.

    Returns:
        The name of the error, and whether this worker waited for the chief.
    """
    heard = os.path.join(worker.folder, "..", "heard")
    together = workers.Workers._leave_together

    def late(self):
        if worker.index == 0:
            time.sleep(1.0)
            open(heard, "w").close()
        together(self)

    workers.Workers._leave_together = late
    try:
        return [scenario(worker), os.path.exists(heard)]
    except (FinalOpsCallbackError, ValueError, ZeroDivisionError) as error:
        return [type(error).__name__, os.path.exists(heard)]


def leave_apart(worker):
    """Leaves after a restore of another step."""
    return slow_to_hear(worker, go_on_apart)


def leave_failed(worker):
    """Leaves because a hook failed in a step."""
    return slow_to_hear(worker, fail)


def leave_at_begin(worker):
    """Leaves because a hook failed when it began."""
    return slow_to_hear(worker, fail_at_begin)


def bare(worker):
    """Trains with Keras alone."""
    return worker.fit(worker.model())


SCENARIOS = {
    function.__name__: function
    for function in (
        agree,
        bare,
        fail,
        fail_at_begin,
        feed_alone,
        go_on_apart,
        go_on_together,
        inside_the_step,
        killed,
        leave_apart,
        leave_at_begin,
        leave_failed,
        only_one,
        write_alone,
    )
}


def main(package, index, ports, scenario, folder):
    """Runs a scenario, and prints what it found as the last line."""
    workers = [f"127.0.0.1:{port}" for port in ports.split(",")]
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": workers},
            "task": {"type": "worker", "index": int(index)},
        }
    )
    worker = Worker(importlib.import_module(package), int(index), folder)
    try:
        found = SCENARIOS[scenario](worker)
    except Exception as error:
        traceback.print_exc()
        found = {"error": type(error).__name__, "text": str(error)}
        found["ours"] = isinstance(error, FinalOpsCallbackError)
    print(json.dumps(found), flush=True)
    # Whoever failed leaves at once: tearing down would wait for the others.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
