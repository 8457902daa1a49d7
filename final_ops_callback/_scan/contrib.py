# SPDX-License-Identifier: Apache-2.0
"""Knows what there is instead of what was in tf.contrib and the like."""

from __future__ import annotations

from final_ops_callback._scan.findings import Verdict
from final_ops_callback._scan.known import Known

_Advice = tuple[Verdict, str, str]

# Hooks that are not of tf.train.
_HOOKS: dict[str, _Advice] = {
    "StopAfterNEvalsHook": (
        "replace",
        "an evaluate of Keras stops by its number of steps",
        "model.evaluate(data, steps=num_evals)",
    ),
    "SummaryAtEndHook": (
        "replace",
        "FinalOpsCallback writes summaries of the values at the end",
        'FinalOpsCallback({"accuracy": "accuracy"}, log_dir=log_dir)',
    ),
    "InMemoryEvaluatorHook": (
        "replace",
        "fit evaluates between its epochs",
        "model.fit(data, validation_data=validation_data)",
    ),
    "BroadcastGlobalVariablesHook": (
        "replace",
        "Horovod has a callback for Keras",
        "callbacks=[horovod.keras.callbacks."
        "BroadcastGlobalVariablesCallback(0)]",
    ),
    "TPUInfeedOutfeedSessionHook": (
        "none",
        "it feeds a TPU of TensorFlow 1; Keras trains on one under "
        "tf.distribute.TPUStrategy, without hooks",
        "",
    ),
}
_DEBUG: _Advice = (
    "none",
    "the debugger of v1 wraps a Session of TensorFlow, which is not there "
    "under Keras; tf.debugging.experimental.enable_dump_debug_info dumps "
    "tensors in TensorFlow 2",
    "",
)
_MONITOR: _Advice = (
    "replace",
    "a monitor of tf.contrib.learn is older than hooks; the hook or callback "
    "of the same purpose takes its place",
    "callbacks=[SessionRunHookCallback(hook)]",
)
# What tf.contrib had besides hooks.
_MODULES: dict[str, _Advice] = {
    "layers": ("replace", "Keras has these layers", "keras.layers"),
    "slim": ("replace", "Keras has these layers", "keras.layers"),
    "learn": ("replace", "Keras trains models", "model.fit(data)"),
    "keras": ("replace", "it is Keras now", "import keras"),
    "summary": ("replace", "TensorFlow 2 writes them so", "tf.summary"),
    "distribute": ("replace", "TensorFlow 2 has it", "tf.distribute"),
    "data": ("replace", "TensorFlow 2 has it", "tf.data"),
    "lookup": ("replace", "TensorFlow 2 has it", "tf.lookup"),
    "rnn": ("replace", "Keras has these layers", "keras.layers.RNN"),
    "metrics": ("replace", "Keras has metrics", "keras.metrics"),
    "losses": ("replace", "Keras has losses", "keras.losses"),
    "hooks": (
        "change",
        "TensorFlow 2 has this hook",
        "tf.compat.v1.train.ProfilerHook",
    ),
    "training": (
        "replace",
        "evaluate_checkpoints and callbacks are in its place",
        "from final_ops_callback import evaluate_checkpoints",
    ),
    "framework": ("replace", "TensorFlow 2 has its parts", "tf.compat.v1"),
}
# What tf.estimator had besides hooks.
_ESTIMATOR: dict[str, tuple[str, str]] = {
    "EstimatorSpec": (
        "what a model_fn returns goes to compile",
        "model.compile(optimizer, loss, metrics=metrics)",
    ),
    "RunConfig": (
        "what it set is set where it is used",
        "MonitoredTrainingCallback(checkpoint_dir=model_dir)",
    ),
    "TrainSpec": (
        "max_steps is a StopAtStepHook under a data set that repeats",
        "model.fit(data.repeat(), steps_per_epoch=steps, callbacks=callbacks)",
    ),
    "EvalSpec": (
        "fit evaluates between its epochs",
        "model.fit(data, validation_data=validation_data)",
    ),
    "train_and_evaluate": (
        "fit trains and evaluates",
        "model.fit(data, validation_data=validation_data, callbacks=callbacks)",
    ),
    "ModeKeys": (
        "fit, evaluate and predict take the place of modes",
        "call(self, inputs, training=False)",
    ),
}


def of_hook(hook: Known) -> _Advice | None:
    """Returns the advice on a hook that is not of tf.train, or `None`.

    Args:
        hook: A `Known` of the kind `"hook"`.
    """
    if hook.name in _HOOKS:
        return _HOOKS[hook.name]
    if hook.name.endswith("DebugHook"):
        return _DEBUG
    if not hook.new and not hook.exists:
        return _MONITOR
    return None


def of_name(name: Known) -> _Advice:
    """Returns the advice on any other name that TensorFlow 2 has not."""
    if name.kind == "switch":
        why = f"{name.label} turns off what Keras trains with"
        return "change", why, "(leave it out)"
    if name.kind == "hook":
        found = of_hook(name)
        if found is not None:
            return found
    if name.kind == "estimator":
        why, write = _ESTIMATOR.get(
            name.name,
            (
                "Estimators are gone; a Keras model takes their place",
                "model.fit(data, callbacks=[SessionRunHookCallback(hooks)])",
            ),
        )
        return "replace", f"{name.label}: {why}", write
    parts = [part for part in name.path if part in _MODULES]
    if "contrib" in name.path and parts:
        verdict, why, write = _MODULES[parts[0]]
        return verdict, f"{name.label} is gone: {why}", write
    return (
        "none",
        f"{name.label} is gone from TensorFlow, and there is nothing here in "
        "its place",
        "",
    )
