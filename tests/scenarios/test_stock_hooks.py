# SPDX-License-Identifier: Apache-2.0
"""Stock hooks with all their arguments, together, do what they do in v1."""

import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.contract.drivers import VARIANTS
from tests.contract.suite import Suite
from tests.contract.suite import disagreements
from tests.contract.suite import kernel
from tests.contract.suite import tensor
from tests.scenarios.drawn import SEED

pytestmark = pytest.mark.scenarios

v1 = tf.compat.v1
train = v1.train
Make = Callable[[Any, random.Random, str], Any]


def norm() -> tf.Tensor:
    """Builds an operation that belongs to the hook."""
    return tf.norm(kernel(), name="norm")


def period(draw: random.Random, steps: str, secs: str) -> dict[str, Any]:
    """Draws how often: by steps, in each step, or hardly ever."""
    each = {secs: draw.choice([1e-9, 1e9])}
    return draw.choice([{steps: draw.randint(1, 4)}, each])


def logging(env: Any, draw: random.Random, mode: str) -> Any:
    often = period(draw, "every_n_iter", "every_n_secs")
    at_end = draw.random() < 0.4
    step = tf.identity(train.get_global_step(), name="read_step")
    names = {"step": step, "norm": norm()}
    if mode != "predict" and not at_end:
        names["loss"] = "loss:0"
        names["twice"] = tf.multiply(tensor("loss:0"), 2.0, name="twice")
    formatter = None
    if draw.random() < 0.3:

        def formatter(values: Any) -> str:
            return "; ".join(f"{k} {float(v):.4f}" for k, v in values.items())

    kept = draw.sample(sorted(names), draw.randint(1, len(names)))
    if at_end and draw.random() < 0.4:
        often = {}
    tensors: Any = {key: names[key] for key in sorted(kept)}
    if draw.random() < 0.3 and formatter is None:
        tensors = [names[key] for key in sorted(kept)]
    return train.LoggingTensorHook(
        tensors, **often, at_end=at_end, formatter=formatter
    )


def stop(env: Any, draw: random.Random, mode: str) -> Any:
    if draw.random() < 0.5:
        return train.StopAtStepHook(num_steps=draw.randint(1, 7))
    return train.StopAtStepHook(last_step=draw.choice([1, 2, 4, 6, 12, 99]))


class Listener(train.CheckpointSaverListener):
    """Notes its calls; may ask for a stop."""

    def __init__(self, env: Any, stop_at: int | None) -> None:
        self.env, self.stop_at = env, stop_at

    def __repr__(self) -> str:
        return "a listener"

    def begin(self) -> None:
        self.env.note("listener begins")

    def before_save(self, session: Any, step: int) -> None:
        self.env.note("before", (step, session.run(kernel())))

    def after_save(self, session: Any, step: int) -> Any:
        self.env.note("after", (step, session.run(train.get_global_step())))
        return self.stop_at is not None and step >= self.stop_at

    def end(self, session: Any, step: int) -> None:
        self.env.note("listener ends", step)


def checkpoint(env: Any, draw: random.Random, mode: str) -> Any:
    often = period(draw, "save_steps", "save_secs")
    more: dict[str, Any] = {"save_graph_def": draw.random() < 0.5}
    if draw.random() < 0.4:
        more["checkpoint_basename"] = "other.ckpt"
    if draw.random() < 0.5:
        at = draw.choice([None, 0, 3])
        more["listeners"] = [Listener(env, at), Listener(env, None)]
    if env.scaffold is not None and draw.random() < 0.7:
        more["scaffold"] = env.scaffold
    elif draw.random() < 0.3:
        more["saver"] = train.Saver([kernel()], max_to_keep=2)
    return train.CheckpointSaverHook("ckpt", **often, **more)


def counter(env: Any, draw: random.Random, mode: str) -> Any:
    often = {"every_n_steps": None}
    often |= period(draw, "every_n_steps", "every_n_secs")
    if draw.random() < 0.3:
        writer = v1.summary.FileWriter("counted")
        return train.StepCounterHook(**often, summary_writer=writer)
    return train.StepCounterHook(**often, output_dir="logs")


def nan(env: Any, draw: random.Random, mode: str) -> Any:
    if mode == "predict":
        return train.NanTensorHook(norm(), draw.random() < 0.5)
    loss = draw.choice(["loss:0", tensor("loss:0")])
    return train.NanTensorHook(loss, fail_on_nan_loss=draw.random() < 0.5)


def summary(env: Any, draw: random.Random, mode: str) -> Any:
    often = period(draw, "save_steps", "save_secs")
    op = v1.summary.scalar("norm", norm())
    if mode != "predict" and draw.random() < 0.7:
        loss = v1.summary.scalar("the_loss", tensor("loss:0"))
        op = draw.choice([loss, [op, loss]])
    where: dict[str, Any] = {"output_dir": "logs"}
    if draw.random() < 0.3:
        where = {"summary_writer": v1.summary.FileWriter("summed")}
    if env.scaffold is not None and draw.random() < 0.5:
        return train.SummarySaverHook(**often, **where, scaffold=env.scaffold)
    return train.SummarySaverHook(**often, **where, summary_op=op)


def waiter(env: Any, draw: random.Random, mode: str) -> Any:
    return train.GlobalStepWaiterHook(wait_until_step=0)


def final_ops(env: Any, draw: random.Random, mode: str) -> Any:
    fed = v1.placeholder(tf.float32, [2, 1])
    ops = {"k": [kernel(), norm()], "n": None, "f": fed - kernel()}
    if draw.random() < 0.5:
        return train.FinalOpsHook(ops["k"])
    del ops["n"]
    return train.FinalOpsHook(ops, {fed: np.full([2, 1], 2.0)})


def feed(env: Any, draw: random.Random, mode: str) -> Any:
    fed = v1.placeholder(tf.float32, [])
    numbers = iter(range(1000))
    logged = {"f": fed * kernel()[0, 0]}
    return [
        train.FeedFnHook(lambda: {fed: float(next(numbers))}),
        train.LoggingTensorHook(logged, every_n_iter=draw.randint(1, 3)),
    ]


def rate(env: Any, draw: random.Random, mode: str) -> Any:
    rates = (0.1 / (1 + step % 3) for step in range(1000))
    names = ["learning_rate:0"]
    return [
        train.FeedFnHook(lambda: {"learning_rate:0": next(rates)}),
        train.LoggingTensorHook(names, every_n_iter=draw.randint(1, 3)),
    ]


def profiler(env: Any, draw: random.Random, mode: str) -> Any:
    often = draw.choice(
        [{"save_steps": draw.randint(2, 5)}, {"save_secs": 1e9}]
    )
    return train.ProfilerHook(
        **often,
        output_dir="prof",
        show_dataflow=draw.random() < 0.5,
        show_memory=draw.random() < 0.3,
    )


HOOKS: dict[str, Make] = {
    make.__name__: make
    for make in (
        logging,
        stop,
        checkpoint,
        counter,
        nan,
        summary,
        waiter,
        final_ops,
        feed,
        rate,
        profiler,
    )
}


def options_of(draw: random.Random, names: list[str]) -> dict[str, Any]:
    """Draws what a run is like."""
    mode = draw.choice(["train"] * 5 + ["evaluate", "predict"])
    options: dict[str, Any] = {
        "mode": mode,
        "epochs": draw.randint(1, 3),
        "batch": draw.choice([3, 4, 5, 12]),
        "start_step": draw.choice([0, 0, 3, 10]),
        "learning_rate": draw.choice([0.1, 0.03]),
        "optimizer": draw.choice(["momentum", "adam"]),
    }
    if "nan" in names and mode != "predict":
        options["nan_at"] = draw.choice([None, 0, 1])
    if draw.random() < 0.3:
        options["scaffold"] = train.Scaffold
    if draw.random() < 0.5:
        variants = [v for v in VARIANTS if v != "jit_compile"]
        options["variant"] = draw.choice(variants)
    if options.get("variant") == "unbuilt_optimizer":
        options["start_step"] = 0
        if mode != "train":  # which makes slots alone in Keras 2
            del options["variant"]
    return options


def drawn(count: int, seed: int) -> Suite:
    """Draws cases of one to four stock hooks."""
    suite, draw = Suite(), random.Random(seed)
    for number in range(count):
        names = draw.sample(sorted(HOOKS), draw.randint(1, 4))
        options = options_of(draw, names)
        if options["mode"] != "train":
            # A step that never moves is warned of five times in a process.
            names = [name for name in names if name not in ("rate", "counter")]
        if "feed" in names and "rate" in names:
            names.remove("feed")
        own = draw.random()

        def make(
            env: Any,
            names: list[str] = names,
            own: float = own,
            options: dict[str, Any] = options,
        ) -> list[Any]:
            again = random.Random(own)
            made: list[Any] = []
            for name in names:
                hook = HOOKS[name](env, again, options["mode"])
                made += hook if isinstance(hook, list) else [hook]
            return made

        told = "+".join(names) or "nothing"
        suite.add(f"{number}-{told}-{options['mode']}", make, **options)
    return suite


SUITE = drawn(80, SEED)


@pytest.mark.parametrize("name", SUITE)
def test_same_as_the_original(name: str, tmp_path: pathlib.Path) -> None:
    """Stock hooks together leave the same trace under both."""
    make, options = SUITE[name]

    found = disagreements(make, options, tmp_path)

    assert not found, "\n".join(found)
