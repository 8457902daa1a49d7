# SPDX-License-Identifier: Apache-2.0
"""What is read of Keras models, and what differs between the Keras versions.

What it is for: Keras 3, tf_keras and the Keras 2 inside TensorFlow 2.15 keep
the same things in different places. The other packages ask this one, and do
not know which Keras they run under. All private names of Keras are used here
and nowhere else; `tests/test_private_api.py` notices when one of them changes.

How data goes through it: mostly, a function takes a model, an optimizer, a
metric or a variable of any Keras and answers one question about it. Nothing
here knows of hooks, graphs or final ops.

Which file to open:

- `compat`: what differs between the Keras versions, for models, layers,
  metrics and variables; `optimizer_compat`: the same for optimizers.
- `callback_base`: the callback base that every Keras accepts; it turns Keras's
  moments into phases. `phases`: checks the phases that a user names.
- `model_info`: what a run needs to know of a model: its layers, inputs,
  steps per execution, whether it is built.
- `log_names`: what the steps of a model will log.
- `optimizers`: which optimizers train a model, and what their slots held in v1.
- `randomness`: whether a step may draw random numbers.
- `symbolic`: the values of symbolic Keras tensors.
- `step_functions`: where a model keeps its step functions, and makes others.
- `step_count`: which variable counts the steps of a training.
- `first_trace`: what only Keras 2 does in the first trace of a step.
- `wrapping`: wraps a method of a Keras object for a while.
- `workers`: what the workers of one training have to agree on.
"""
