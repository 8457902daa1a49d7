# SPDX-License-Identifier: Apache-2.0
"""The same hook objects in a fit, and in a run inside of it.

Under v1, each session had its own hooks. The oracle for the outer run is the
same fit without the inner one.
"""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import SessionRunHookCallback
from tests import models
from tests.flavors import keras

pytestmark = pytest.mark.slow

v1 = tf.compat.v1


class Watches(v1.train.SessionRunHook):
    """Builds in `begin`, once, and fetches what it has built in each step."""

    def __init__(self) -> None:
        self.tensor: Any = None
        self.count = 0
        self.seen: list[tuple[str, int, float]] = []
        self.last_end = ""

    def begin(self) -> None:
        if self.tensor is None:
            loss = v1.get_default_graph().get_tensor_by_name("loss:0")
            self.tensor = loss * 2
        self.variable = v1.get_variable("own", initializer=0)
        self.add = v1.assign_add(self.variable, 1)
        self.count = 0

    def before_run(self, run_context: Any) -> Any:
        self.count += 1
        return v1.train.SessionRunArgs([self.tensor, self.add])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        loss, added = run_values.results
        assert added == self.count
        self.seen.append(("step", self.count, float(loss)))

    def end(self, session: Any) -> None:
        self.seen.append(("end", int(session.run(self.variable)), 0.0))
        self.last_end = f"after {self.count}"


def test_a_validation_leaves_the_hooks_of_fit_as_they_were() -> None:
    """Hooks of both phases go on in fit as if no validation had been."""
    alone, both = Watches(), Watches()
    models.fit(models.tiny_model(), SessionRunHookCallback(alone), epochs=2)
    callback = SessionRunHookCallback(both, on=("train", "test"))
    models.fit(models.tiny_model(), callback, epochs=2, validate=True)

    inner = [("step", 1), ("end", 1)]
    steps = [item[:2] for item in both.seen]
    of_fit = [item[:2] for item in alone.seen]
    assert steps == [*of_fit[:2], *inner, *of_fit[2:4], *inner, of_fit[4]]
    losses = [item for item in both.seen if item in alone.seen]
    assert losses[:2] + losses[-3:] == alone.seen


def test_a_result_of_the_inner_run_stays() -> None:
    """An attribute that only the inner run sets stays for the outer run."""

    class Counts(v1.train.SessionRunHook):
        def __init__(self) -> None:
            self.ends = 0
            self.lasts: list[int] = []

        def begin(self) -> None:
            self.step = v1.train.get_global_step()

        def before_run(self, run_context: Any) -> Any:
            self.lasts.append(self.ends)
            return v1.train.SessionRunArgs(self.step)

        def end(self, session: Any) -> None:
            self.ends += 1

    hook = Counts()
    callback = SessionRunHookCallback(hook, on=("train", "test"))
    models.fit(models.tiny_model(), callback, epochs=2, validate=True)

    # Two steps of fit, one of a validation, twice.
    assert hook.lasts == [0, 0, 0, 1, 1, 1]
    assert hook.ends == 3


def test_stock_hooks_keep_their_count(caplog: pytest.LogCaptureFixture) -> None:
    """The timer of a stock hook is that of fit, before and after."""

    def logged(**options: Any) -> list[str]:
        hook = v1.train.LoggingTensorHook(["global_step:0"], every_n_iter=3)
        caplog.clear()
        with caplog.at_level("INFO", "tensorflow"):
            models.fit(
                models.tiny_model(),
                SessionRunHookCallback(hook, on=("train", "test")),
                epochs=4,
                **options,
            )
        return [
            record.getMessage().partition(" (")[0]
            for record in caplog.records
            if "global_step" in record.getMessage()
        ]

    alone = logged()
    both = logged(validate=True)
    inner = [f"global_step:0 = {step}" for step in (2, 4, 6, 8)]

    assert alone == [f"global_step:0 = {step}" for step in (0, 3, 6)]
    rest = list(both)
    for line in inner:
        rest.remove(line)
    assert rest == alone


def test_an_evaluate_inside_of_fit() -> None:
    """The same callback may evaluate inside of a fit; fit goes on."""
    hook = Watches()
    callback = SessionRunHookCallback(hook)
    model, data = models.tiny_model(), models.tiny_data()

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            model.evaluate(
                data.x, data.y, batch_size=8, verbose=0, callbacks=[callback]
            )

    models.fit(model, callback, Evaluates(), epochs=2)

    inner = [("step", 1), ("end", 1)]
    of_fit = [("step", step) for step in (1, 2, 3, 4)]
    expected = [*of_fit[:2], *inner, *of_fit[2:], *inner, ("end", 4)]
    assert [item[:2] for item in hook.seen] == expected


def test_a_failure_of_the_inner_run_gives_the_hooks_back() -> None:
    """After an exception in the validation, the next fit works."""

    class Fails(Watches):
        fails = True

        def after_run(self, run_context: Any, run_values: Any) -> None:
            super().after_run(run_context, run_values)
            if self.fails and len(self.seen) == 3:
                raise ValueError("in the validation")

    hook = Fails()
    callback = SessionRunHookCallback(hook, on=("train", "test"))
    model = models.tiny_model()
    with pytest.raises(ValueError, match="in the validation"):
        models.fit(model, callback, epochs=2, validate=True)
    hook.fails, hook.tensor = False, None
    models.fit(model, callback, epochs=1, validate=True)

    steps = [("step", 1), ("step", 2), ("step", 1)]
    assert [item[:2] for item in hook.seen[:3]] == steps
    assert [i[:2] for i in hook.seen[3:]] == [*steps, ("end", 1), ("end", 2)]


def test_an_inner_run_that_fails_and_is_caught() -> None:
    """Fit goes on with its hooks when an evaluate inside of it has failed."""
    hook = Watches()
    callback = SessionRunHookCallback(hook)
    model, data = models.tiny_model(), models.tiny_data()

    class Fails(keras.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise ValueError("in the evaluate")

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            callbacks = [callback, Fails()]
            with pytest.raises(ValueError, match="in the evaluate"):
                model.evaluate(data.x, data.y, verbose=0, callbacks=callbacks)

    models.fit(model, callback, Evaluates(), epochs=2)

    inner = ("step", 1)  # fails after its first step
    of_fit = [("step", step) for step in (1, 2, 3, 4)]
    expected = [*of_fit[:2], inner, *of_fit[2:], inner, ("end", 4)]
    assert [item[:2] for item in hook.seen] == expected
    assert not {name for name in vars(model) if name.endswith("_on_batch")}


def test_the_values_of_both_are_those_of_plain_keras() -> None:
    """Hooks in both phases leave training and validation alone."""
    plain, hooked = models.tiny_model(), models.tiny_model()
    expected = models.fit(plain, epochs=3, validate=True)
    callback = SessionRunHookCallback(Watches(), on=("train", "test"))
    history = models.fit(hooked, callback, epochs=3, validate=True)

    assert history == expected
    np.testing.assert_array_equal(
        plain.get_weights()[0], hooked.get_weights()[0]
    )
