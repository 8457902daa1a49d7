# SPDX-License-Identifier: Apache-2.0
"""What MonitoredTrainingSession set up is set up around a fit."""

import copy
import inspect
import itertools
import logging
import pathlib
import pickle
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from final_ops_callback import HookRunner
from final_ops_callback import MonitoredTrainingCallback
from final_ops_callback import errors
from final_ops_callback._hooks.monitored_training import UseDefault
from tests import models
from tests.contract import drivers
from tests.flavors import FLAVORS
from tests.flavors import keras
from tests.flavors import needs_keras_3

pytestmark = pytest.mark.slow

v1 = tf.compat.v1
train = v1.train


def summaries_and_stop(last_step: int) -> list[Any]:
    """Makes a summary of the loss, and the hook that stops."""
    loss = v1.get_default_graph().get_tensor_by_name("loss:0")
    v1.summary.scalar("cross_entropy", loss)
    return [train.StopAtStepHook(last_step=last_step)]


def of_v1(
    root: pathlib.Path, last_steps: tuple[int, ...], **arguments: Any
) -> drivers.Trace:
    """Trains under the original, once for each last step."""
    trace = drivers.Trace()
    options = drivers.Options(epochs=100)
    with drivers.workplace(root, trace):
        for last_step in last_steps:
            with tf.Graph().as_default():
                parts = drivers.v1_model(options)
                hooks = summaries_and_stop(last_step)
                with train.MonitoredTrainingSession(
                    hooks=hooks, **arguments
                ) as session:
                    while not session.should_stop():
                        session.run(parts.train_op)
        add_files(trace)
    return trace


def ours(
    root: pathlib.Path, last_steps: tuple[int, ...], **arguments: Any
) -> drivers.Trace:
    """Trains under Keras, once for each last step, a new model each time."""
    trace = drivers.Trace()
    options = drivers.Options(epochs=100)
    with drivers.workplace(root, trace):
        for last_step in last_steps:
            model, names = drivers.keras_model(options)

            def make(last_step: int = last_step) -> list[Any]:
                return summaries_and_stop(last_step)

            monitored = MonitoredTrainingCallback(
                hooks=make, variable_names=names, **arguments
            )
            drivers.keras_call(model, [monitored], options)
        add_files(trace)
    return trace


def add_files(trace: drivers.Trace) -> None:
    """Lists all files, those of events without the time in their names."""
    trace.files = sorted(
        {str(p).partition(".tfevents")[0] for p in pathlib.Path().rglob("*")}
    )


SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {"checkpoint_dir": "out"},
    "steps": {
        "checkpoint_dir": "out",
        "save_checkpoint_steps": 4,
        "save_summaries_steps": 2,
        "log_step_count_steps": 3,
    },
    "seconds": {
        "checkpoint_dir": "out",
        "save_checkpoint_secs": 1000,
        "save_summaries_secs": 1000,
    },
    "neither": {
        "checkpoint_dir": "out",
        "save_checkpoint_secs": None,
        "save_checkpoint_steps": None,
        "save_summaries_steps": None,
        "save_summaries_secs": None,
        "log_step_count_steps": None,
    },
    "no graph": {
        "checkpoint_dir": "out",
        "save_graph_def": False,
        "log_step_count_steps": 0,
    },
    "two folders": {
        "checkpoint_dir": "saved",
        "summary_dir": "seen",
        "save_summaries_steps": 1,
        "save_checkpoint_steps": 1,
    },
    "summaries alone": {"summary_dir": "seen", "save_summaries_steps": 1},
    "no folder": {"save_checkpoint_steps": 1},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_files_tags_and_steps_are_those_of_v1(
    setting: str, tmp_path: pathlib.Path
) -> None:
    """Two trainings, one after the other, leave the files that v1 leaves."""
    arguments = SETTINGS[setting]
    expected = of_v1(tmp_path / "v1", (5, 12), **arguments)

    actual = ours(tmp_path / "ours", (5, 12), **arguments)

    found = drivers.differences(expected, actual)
    assert not found, "\n".join(found)


def made_by_v1(**arguments: Any) -> Any:
    """Returns the stock hooks that v1 makes, or the kind of its error."""
    with tf.Graph().as_default():
        train.create_global_step()
        try:
            session = train.MonitoredTrainingSession(**arguments)
        except ValueError:
            return ValueError
        with session:
            return described(session._hooks)


def made_by_us(**arguments: Any) -> Any:
    """Returns the stock hooks that this package makes."""
    try:
        callback = MonitoredTrainingCallback(**arguments)
    except ValueError:
        return ValueError
    callback.set_model(drivers.keras_model()[0])
    with tf.Graph().as_default():
        make_hooks, _ = callback._hooks_and_scaffold()
        return described(make_hooks())


def described(hooks: list[Any]) -> list[Any]:
    """Returns the kinds of hooks, and when they trigger."""
    return [
        (type(hook).__name__, timer._every_secs, timer._every_steps)
        for hook in hooks
        for timer in [getattr(hook, "_timer", None)]
        if timer is not None
    ]


VALUES: tuple[Any, ...] = (UseDefault.USE_DEFAULT, None, 0, 7)


@pytest.mark.parametrize("what", ["checkpoint", "summaries"])
@pytest.mark.parametrize(
    ("steps", "secs"), list(itertools.product(VALUES, VALUES)), ids=repr
)
def test_the_rules_for_both_given_or_none_are_those_of_v1(
    what: str, steps: Any, secs: Any, tmp_path: pathlib.Path
) -> None:
    """Each combination of steps and seconds makes the hooks that v1 makes."""
    arguments = {
        name: value
        for name, value in (
            (f"save_{what}_steps", steps),
            (f"save_{what}_secs", secs),
        )
        if not isinstance(value, UseDefault)
    }

    expected = made_by_v1(checkpoint_dir=str(tmp_path), **arguments)

    assert made_by_us(checkpoint_dir=str(tmp_path), **arguments) == expected


class Seen(train.SessionRunHook):
    """Notes the step, and all variables, when the session is there."""

    def begin(self) -> None:
        variables = v1.global_variables()
        self.reads = {v.op.name: tf.identity(v) for v in variables}

    def after_create_session(self, session: Any, coord: Any) -> None:
        self.values = session.run(self.reads)

    def end(self, session: Any) -> None:
        self.last = session.run(self.reads)


def fitted(
    folder: Any,
    last_step: int,
    *hooks: Any,
    optimizer: str = "momentum",
    variant: str | None = None,
    **arguments: Any,
) -> Any:
    """Fits a new model up to a step, on one batch of all data each time."""
    options = drivers.Options(
        batch=12, epochs=100, optimizer=optimizer, variant=variant
    )
    model, names = drivers.keras_model(options)
    stop = train.StopAtStepHook(last_step=last_step)
    monitored = MonitoredTrainingCallback(
        folder, [*hooks, stop], variable_names=names, **arguments
    )
    drivers.keras_call(model, [monitored], options)
    return model


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize(
    "variant", [None, "custom_train_step", "unbuilt_optimizer"]
)
def test_a_training_in_two_parts_is_one_training(
    optimizer: str, variant: str | None, tmp_path: pathlib.Path
) -> None:
    """Weights, slots and step go on where the first part ended."""
    whole, parts = Seen(), [Seen(), Seen()]
    options: Any = {"optimizer": optimizer, "variant": variant}
    fitted(tmp_path / "whole", 7, whole, **options)

    for part, last_step in zip(parts, (3, 7), strict=True):
        fitted(tmp_path / "parts", last_step, part, **options)

    np.testing.assert_equal(parts[1].values, parts[0].last)
    np.testing.assert_equal(parts[1].last, whole.last)


@needs_keras_3
def test_random_layers_go_on_where_they_were(tmp_path: pathlib.Path) -> None:
    """A training with dropout in two parts is that in one, to the last bit."""
    data = tf.data.Dataset.from_tensors((np.ones((8, 4)), np.ones(8)))
    weights = []
    for folder, last_step in (("whole", 7), ("parts", 3), ("parts", 7)):
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((4,)),
            keras.layers.Dense(8, name="hidden"),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.Dense(1, name="out"),
        ]
        model = keras.Sequential(layers, name="net")
        optimizer = keras.optimizers.SGD(0.01)
        model.compile(optimizer, "mse", jit_compile=False)
        monitored = MonitoredTrainingCallback(
            tmp_path / folder, train.StopAtStepHook(last_step=last_step)
        )
        model.fit(
            data.repeat(), shuffle=False, verbose=0, callbacks=[monitored]
        )
        weights.append(model.get_weights())

    np.testing.assert_equal(weights[2], weights[0])


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
def test_nadam_goes_on_where_it_was(
    flavor: Any, tmp_path: pathlib.Path
) -> None:
    """The one of Keras 2 keeps a product that it does not list."""
    weights = {}
    batch = models.tiny_data().x[:4], models.tiny_data().y[:4]
    data = tf.data.Dataset.from_tensors(batch).repeat()
    for folder, last_step in (("whole", 7), ("parts", 3), ("parts", 7)):
        model = models.tiny_model(flavor)
        model.compile(flavor.optimizers.Nadam(0.1), "mse", jit_compile=False)
        monitored = MonitoredTrainingCallback(
            tmp_path / folder, train.StopAtStepHook(last_step=last_step)
        )
        model.fit(
            data,
            steps_per_epoch=20,
            shuffle=False,
            verbose=0,
            callbacks=[monitored],
        )
        weights[folder] = model.get_weights()

    np.testing.assert_equal(weights["parts"], weights["whole"])


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS)
@pytest.mark.parametrize("changes", [True, False])
def test_a_rate_that_has_changed_is_told(
    flavor: Any,
    changes: bool,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Checkpoints don't hold it; the warning comes once, with both rates."""
    model = models.tiny_model(flavor)
    monitored = MonitoredTrainingCallback(tmp_path, save_checkpoint_steps=1)

    def set_rate(epoch: int, logs: Any) -> None:
        if changes and epoch == 1:
            model.optimizer.learning_rate = 0.05

    rates = flavor.callbacks.LambdaCallback(on_epoch_begin=set_rate)

    models.fit(model, monitored, rates, epochs=3)

    told = [r for r in caplog.messages if "rate has changed" in r]
    assert len(told) == changes
    assert all("from 0.1 to 0.05" in message for message in told)


def test_a_model_that_is_not_built_is_restored_before_its_first_step(
    tmp_path: pathlib.Path,
) -> None:
    """A model without weights at first starts with those that were saved."""
    ends = []
    for last_step in (3, 6):
        keras.utils.set_random_seed(last_step)
        seen = Seen()
        layers = [keras.layers.Dense(1, name="dense")]
        model = keras.Sequential(layers, name="net")
        model.compile("sgd", "mse")
        monitored = MonitoredTrainingCallback(
            tmp_path, [seen, train.StopAtStepHook(last_step=last_step)]
        )
        data = tf.data.Dataset.from_tensors((np.ones((4, 2)), np.ones(4)))
        model.fit(
            data.repeat(),
            steps_per_epoch=100,
            shuffle=False,
            verbose=0,
            callbacks=[monitored],
        )
        ends.append(seen)

    np.testing.assert_equal(ends[1].values, ends[0].last)
    assert ends[1].last["global_step"] == 6


def test_a_second_fit_goes_back_to_the_latest_checkpoint(
    tmp_path: pathlib.Path,
) -> None:
    """As in v1, each training begins at the checkpoint, whatever came since."""
    seen = Seen()
    model, names = drivers.keras_model()
    monitored = MonitoredTrainingCallback(
        tmp_path, [seen], variable_names=names
    )
    options = drivers.Options(epochs=1)
    drivers.keras_call(model, [monitored], options)
    last = seen.last
    model.layers[0].kernel.assign(np.zeros((2, 1)))

    drivers.keras_call(model, [monitored], options)

    np.testing.assert_equal(seen.values, last)
    assert int(model.optimizer.iterations.numpy()) == 6


def scaffold_that_notes(calls: list[str]) -> Any:
    return train.Scaffold(
        init_fn=lambda scaffold, session: calls.append("init_fn")
    )


def init_calls_of_v1(folder: str) -> list[str]:
    """Returns when v1 calls `init_fn`, in a first and in a second training."""
    calls: list[str] = []
    for last_step in (2, 4):
        calls.append(str(last_step))
        with tf.Graph().as_default():
            parts = drivers.v1_model(drivers.Options())
            with train.MonitoredTrainingSession(
                checkpoint_dir=folder, scaffold=scaffold_that_notes(calls)
            ) as session:
                session.run(parts.train_op)
    return calls


def test_init_fn_runs_only_without_a_checkpoint(
    tmp_path: pathlib.Path,
) -> None:
    """As in v1, a restored training is not initialized."""
    expected = init_calls_of_v1(str(tmp_path / "v1"))
    calls: list[str] = []

    for last_step in (2, 4):
        calls.append(str(last_step))
        scaffold = scaffold_that_notes(calls)
        fitted(tmp_path / "ours", last_step, scaffold=scaffold)

    assert calls == expected


def test_all_hooks_share_the_scaffold(tmp_path: pathlib.Path) -> None:
    """The stock hooks save with the saver of the scaffold that was given."""
    made: list[Any] = []

    def scaffold() -> Any:
        step = train.get_or_create_global_step()
        made.append(train.Scaffold(saver=train.Saver([step], max_to_keep=2)))
        return made[-1]

    fitted(tmp_path, 5, scaffold=scaffold, save_checkpoint_steps=1)

    assert len(made) == 1
    saved = tf.train.latest_checkpoint(str(tmp_path))
    assert [name for name, _ in tf.train.list_variables(saved)] == [
        "global_step"
    ]
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert len(state.all_model_checkpoint_paths) == 2


def test_old_checkpoints_are_counted_after_a_restore(
    tmp_path: pathlib.Path,
) -> None:
    """As in v1, the newest five are kept, also those of earlier trainings."""
    for last_step in (4, 8):
        fitted(tmp_path, last_step, save_checkpoint_steps=1)

    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert [
        path.rpartition("-")[2] for path in state.all_model_checkpoint_paths
    ] == ["4", "5", "6", "7", "8"]
    assert len(list(tmp_path.glob("*.index"))) == 5


class Named(train.SessionRunHook):
    """Notes that it has begun."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name = name
        self.calls = calls

    def begin(self) -> None:
        self.calls.append(self.name)


def test_hooks_of_the_chief_come_first(tmp_path: pathlib.Path) -> None:
    """The order is that of v1: of the chief, stock hooks, others."""
    expected: list[str] = []
    actual: list[str] = []
    with tf.Graph().as_default():
        train.create_global_step()
        train.MonitoredTrainingSession(
            hooks=[Named("all", expected)],
            chief_only_hooks=[Named("chief", expected)],
        ).close()

    fitted(
        None,
        1,
        Named("all", actual),
        chief_only_hooks=Named("chief", actual),
    )

    assert actual == expected


def copied(callback: Any) -> Any:
    return copy.deepcopy(callback)


def pickled(callback: Any) -> Any:
    return pickle.loads(pickle.dumps(callback))


@pytest.mark.parametrize("duplicate", [copied, pickled])
def test_a_copy_has_hooks_as_they_were_made(
    duplicate: Any, tmp_path: pathlib.Path
) -> None:
    """A callback that has trained is copied without what its hooks keep."""
    monitored = MonitoredTrainingCallback(
        tmp_path,
        train.StopAtStepHook(num_steps=2),
        chief_only_hooks=[train.CheckpointSaverHook(str(tmp_path), 1)],
    )
    model, _ = drivers.keras_model()
    options = drivers.Options(epochs=5)
    drivers.keras_call(model, [monitored], options)

    other = duplicate(monitored)

    drivers.keras_call(model, [other], options)
    assert int(model.optimizer.iterations.numpy()) == 4


def test_a_runner_restores(tmp_path: pathlib.Path) -> None:
    """A training loop of one's own begins at the latest checkpoint, too."""
    for expected in (2, 4):
        weight = tf.Variable(0.0)
        step = tf.Variable(0, dtype=tf.int64)
        hooks = [
            train.StopAtStepHook(num_steps=2),
            train.CheckpointSaverHook(str(tmp_path), save_steps=100),
        ]
        runner = HookRunner(
            hooks,
            {"weight": weight},
            global_step=step,
            checkpoint_dir=tmp_path,
        )
        with runner:
            while not runner.should_stop():
                runner.before_run()
                weight.assign_add(0.5)
                step.assign_add(1)
                runner.after_run({})

        assert int(step.numpy()) == expected
        assert float(weight.numpy()) == expected / 2


# Bad folders: one clear error, and nothing has changed


def cut(folder: pathlib.Path, suffix: str) -> None:
    """Cuts the last file of a suffix in half."""
    file = max(folder.glob(f"*{suffix}*"), key=lambda path: path.name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def lose_the_latest(folder: pathlib.Path) -> None:
    for file in folder.glob("model.ckpt-3.*"):
        file.unlink()


def lose_the_data(folder: pathlib.Path) -> None:
    for file in folder.glob("model.ckpt-3.data*"):
        file.unlink()


def garble_the_state(folder: pathlib.Path) -> None:
    (folder / "checkpoint").write_text("no state")


def empty_the_state(folder: pathlib.Path) -> None:
    (folder / "checkpoint").write_text("")


def of_another_shape(folder: pathlib.Path) -> None:
    rewrite(folder, {"dense/kernel": np.zeros((3, 1), "float32")})


def of_another_dtype(folder: pathlib.Path) -> None:
    rewrite(folder, {"dense/kernel": np.zeros((2, 1), "float64")})


def of_another_model(folder: pathlib.Path) -> None:
    rewrite(folder, {"dense/kernel": None, "other": np.zeros(2)})


def numbered(folder: pathlib.Path) -> None:
    kernel = np.zeros((2, 1), "float32")
    rewrite(folder, {"dense/kernel": None, "dense_1/kernel": kernel})


def rewrite(folder: pathlib.Path, values: dict[str, Any]) -> None:
    """Writes the latest checkpoint with other values, with v1 itself."""
    path = tf.train.latest_checkpoint(str(folder))
    reader = tf.train.load_checkpoint(path)
    kept = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
    kept.update(values)
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in kept.items():
            if value is not None:
                v1.get_variable(name, initializer=value)
        session.run(v1.global_variables_initializer())
        train.Saver().save(session, path, write_state=False)


BAD: dict[str, tuple[Any, str]] = {
    "data cut": (lambda folder: cut(folder, ".data"), "read: .*(bytes|range)"),
    "index cut": (lambda folder: cut(folder, ".index"), "read: .*sstable"),
    "data lost": (lose_the_data, "read: its file of data is not there"),
    "lost": (lose_the_latest, "read: its file of data is not there"),
    "state garbled": (garble_the_state, "read: it is not the state"),
    "state empty": (empty_the_state, "read: Invalid checkpoint state"),
    "shape": (of_another_shape, r"is of another model: 'dense/kernel' has"),
    "dtype": (of_another_dtype, r"'dense/kernel' is float64 there"),
    "model": (of_another_model, r"lacks 1 of the 5 .*restore_v1"),
    "numbers": (numbered, "Keras numbers models and layers"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_checkpoint_that_does_not_fit_changes_nothing(
    bad: str, tmp_path: pathlib.Path
) -> None:
    """The error says what is wrong, before any variable is written."""
    fitted(tmp_path, 3)
    spoil, message = BAD[bad]
    spoil(tmp_path)
    files = sorted(tmp_path.iterdir())
    model, names = drivers.keras_model()
    before = drivers.state_of(model, names, 0.1)
    monitored = MonitoredTrainingCallback(tmp_path, variable_names=names)

    with pytest.raises(errors.CheckpointError, match=message):
        drivers.keras_call(model, [monitored], drivers.Options())

    assert drivers.state_of(model, names, 0.1) == before
    assert sorted(tmp_path.iterdir()) == files


def test_checkpoints_without_their_state_are_mentioned(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in v1, the training starts anew, but not in silence."""
    fitted(tmp_path, 3)
    (tmp_path / "checkpoint").unlink()

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        model = fitted(tmp_path, 2)

    assert int(model.optimizer.iterations.numpy()) == 2
    assert "no file 'checkpoint' that names the latest" in caplog.text


def test_a_folder_without_checkpoints_starts_a_training(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that is empty, or is not there, is that of a new training."""
    fitted(tmp_path / "new" / "folder", 2)

    latest = tf.train.latest_checkpoint(str(tmp_path / "new" / "folder"))
    assert latest is not None
    assert caplog.text == ""


@needs_keras_3
def test_accumulated_gradients_are_refused(tmp_path: pathlib.Path) -> None:
    """A training that could never go on is refused before it begins."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse")

    with pytest.raises(errors.HookUsageError, match="accumulates gradients"):
        drivers.keras_call(
            model, [MonitoredTrainingCallback(tmp_path)], drivers.Options()
        )

    assert list(tmp_path.iterdir()) == []


def test_averages_in_the_place_of_weights_are_mentioned(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Keras puts them there before the last checkpoint is saved."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, use_ema=True), "mse")

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        drivers.keras_call(
            model, [MonitoredTrainingCallback(tmp_path)], drivers.Options()
        )

    assert "the last checkpoint of a fit has the averages" in caplog.text


@pytest.mark.parametrize("argument", ["checkpoint_dir", "summary_dir"])
def test_a_file_in_place_of_the_folder_is_refused(
    argument: str, tmp_path: pathlib.Path
) -> None:
    """The constructor raises the error."""
    (tmp_path / "file").write_text("")

    with pytest.raises(errors.ArgumentError, match="is a file"):
        MonitoredTrainingCallback(**{argument: str(tmp_path / "file")})


@pytest.mark.parametrize("argument", ["hooks", "chief_only_hooks"])
def test_what_is_not_a_hook_is_refused(argument: str) -> None:
    """The constructor raises the error."""
    with pytest.raises(errors.NotAHookError, match="is not a SessionRunHook"):
        MonitoredTrainingCallback(**{argument: [1]})


@pytest.mark.parametrize("mode", ["evaluate", "predict"])
def test_evaluate_and_predict_are_not_its_business(
    mode: str, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is for trainings: it restores nothing there, and says so."""
    model, names = drivers.keras_model()
    monitored = MonitoredTrainingCallback(tmp_path, variable_names=names)

    with caplog.at_level(logging.WARNING, "final_ops_callback"):
        drivers.keras_call(model, [monitored], drivers.Options(mode=mode))

    assert list(tmp_path.iterdir()) == []
    assert f"does nothing in {mode}" in caplog.text
    assert "evaluate_checkpoints" in caplog.text


def test_arguments_that_keras_decides_are_refused() -> None:
    """Each other argument of v1 is an error that says who decides."""
    ours = inspect.signature(MonitoredTrainingCallback.__init__).parameters
    of_v1 = inspect.signature(train.MonitoredTrainingSession).parameters

    others = [name for name in of_v1 if name not in ours]

    assert others
    for name in others:
        with pytest.raises(errors.ArgumentError, match=f"{name}.*Leave it out"):
            MonitoredTrainingCallback(**{name: 1})


def test_the_defaults_are_those_of_v1() -> None:
    """Each argument that both have, has the default of v1."""
    ours = inspect.signature(MonitoredTrainingCallback.__init__).parameters
    of_v1 = inspect.signature(train.MonitoredTrainingSession).parameters

    shared = {
        name: parameter.default
        for name, parameter in of_v1.items()
        if name in ours
    }

    assert len(shared) > 9
    for name, default in shared.items():
        actual = ours[name].default
        # The default that only v1 itself can pass is an object of its own.
        assert (
            isinstance(actual, UseDefault)
            if type(default) is object
            else actual == default
        )


def test_a_misspelt_argument_is_a_type_error() -> None:
    """As for any function."""
    with pytest.raises(TypeError, match="save_checkpoints_steps"):
        MonitoredTrainingCallback(save_checkpoints_steps=1)


@pytest.mark.parametrize("what", ["checkpoint", "summaries"])
@pytest.mark.parametrize("unit", ["steps", "secs"])
def test_what_is_not_a_number_is_refused(what: str, unit: str) -> None:
    """The error names the argument."""
    name = f"save_{what}_{unit}"
    with pytest.raises(errors.ArgumentError, match=f"{name} of Monitored"):
        MonitoredTrainingCallback(**{name: "100"})
