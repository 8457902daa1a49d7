# SPDX-License-Identifier: Apache-2.0
"""Stands for the names of `tf.estimator` that were not brought back."""

from __future__ import annotations

import functools
from typing import Any
from typing import NoReturn

from final_ops_callback.errors import EstimatorError

_MODEL = (
    "Build a Keras model, compile it, and call model.fit, model.evaluate or "
    "model.predict with callbacks=[SessionRunHookCallback(hooks)]."
)
_DATA = "Pass the tf.data.Dataset of your input_fn to model.fit."
_SAVE = "Save the Keras model: model.export(folder) writes a SavedModel."

# What to do about each name.
_WAYS_OUT = {
    "Estimator": _MODEL,
    "EstimatorSpec": (
        "What a model_fn returned in it goes to Keras: loss and train_op to "
        "model.compile(optimizer, loss), eval_metric_ops to its metrics, "
        "training_hooks to SessionRunHookCallback in model.fit, "
        "evaluation_hooks to one in model.evaluate, scaffold to its argument "
        "scaffold."
    ),
    "TrainSpec": (
        "Call model.fit(dataset.repeat(), steps_per_epoch=...), with a "
        "StopAtStepHook(last_step=max_steps) among the hooks of "
        "MonitoredTrainingCallback."
    ),
    "EvalSpec": (
        "Pass validation_data to model.fit, or run evaluate_checkpoints "
        "beside the training."
    ),
    "train_and_evaluate": (
        "Call model.fit(..., validation_data=...) with "
        "MonitoredTrainingCallback(checkpoint_dir, hooks), or run "
        "evaluate_checkpoints beside the training."
    ),
    "RunConfig": (
        "Its save_checkpoints_steps, save_checkpoints_secs, "
        "save_summary_steps, log_step_count_steps and model_dir are arguments "
        "of MonitoredTrainingCallback; its train_distribute is the "
        "tf.distribute strategy in whose scope the Keras model is built."
    ),
    "WarmStartSettings": (
        "Call final_ops_callback.restore_v1(model, path), or "
        "tf.compat.v1.train.warm_start in the function that returns the hooks."
    ),
    "add_metrics": "Pass the metrics to model.compile(metrics=[...]).",
    "inputs": _DATA,
    "export": _SAVE,
    "tpu": "Build the Keras model in the scope of tf.distribute.TPUStrategy.",
    "Exporter": _SAVE,
    "BestExporter": (
        "Use keras.callbacks.ModelCheckpoint(save_best_only=True), or "
        "evaluate_checkpoints(..., best=(metric, max))."
    ),
    "FinalExporter": _SAVE,
    "LatestExporter": _SAVE,
    "InMemoryEvaluatorHook": "Pass validation_data to model.fit.",
    "make_stop_at_checkpoint_step_hook": (
        "Use StopAtStepHook(last_step=...) among the hooks of the training."
    ),
    "classifier_parse_example_spec": _DATA,
    "regressor_parse_example_spec": _DATA,
    "build_raw_supervised_input_receiver_fn": _SAVE,
    "call_logit_fn": _MODEL,
    "dnn_logit_fn_builder": _MODEL,
    "linear_logit_fn_builder": _MODEL,
    **dict.fromkeys(
        (
            "BaselineClassifier",
            "BaselineEstimator",
            "BaselineRegressor",
            "BinaryClassHead",
            "DNNClassifier",
            "DNNEstimator",
            "DNNLinearCombinedClassifier",
            "DNNLinearCombinedEstimator",
            "DNNLinearCombinedRegressor",
            "DNNRegressor",
            "Head",
            "KMeans",
            "LinearClassifier",
            "LinearEstimator",
            "LinearRegressor",
            "LinearSDCA",
            "LogisticRegressionHead",
            "MultiClassHead",
            "MultiHead",
            "MultiLabelHead",
            "PoissonRegressionHead",
            "RNNClassifier",
            "RNNEstimator",
            "RegressionHead",
        ),
        _MODEL,
    ),
}


# These were modules: what was in them can be mentioned, too.
_MODULES = ("export", "inputs", "tpu")


class _Removed(type):
    """The type of a name that can be mentioned, but not used."""

    _way_out: str

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise _error(cls)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):  # Python's own questions
            raise AttributeError(name)
        if cls.__name__ in _MODULES:
            inside = f"{cls.__module__}.{cls.__name__}"
            return _placeholder(inside, name, cls._way_out)
        raise _error(cls, f".{name}")


@functools.cache
def _placeholder(module: str, name: str, way_out: str) -> _Removed:
    def refuse_subclass(cls: type, /, **kwargs: Any) -> Any:
        raise _error(cls.__mro__[1])

    return _Removed(
        name,
        (),
        {
            "__module__": module,
            "__doc__": f"Is not brought back. {way_out}",
            "__init_subclass__": classmethod(refuse_subclass),
            "_way_out": way_out,
        },
    )


def removed(module: str, name: str) -> Any:
    """Returns what stands for a name of `tf.estimator`.

    It can be imported, mentioned in annotations and passed to `isinstance`.

    Args:
        module: String. The name of the module that is asked for it.
        name: String.

    Returns:
        A class. To call it, to derive a class from it, or to get an attribute
        of it is an `EstimatorError` with the way out.

    Raises:
        AttributeError: `tf.estimator` never had the name.

    Example:
    >>> removed("tf.estimator", "RunConfig")
    <class 'tf.estimator.RunConfig'>
    """
    if name not in _WAYS_OUT:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return _placeholder(module, name, _WAYS_OUT[name])


def _error(cls: Any, attribute: str = "") -> EstimatorError:
    return EstimatorError(
        f"Estimators ended with TensorFlow 2.15, and {cls.__name__!r} is not "
        "brought back",
        f"{cls.__module__}.{cls.__name__}{attribute}",
        cls._way_out,
    )
