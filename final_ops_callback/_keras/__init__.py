# SPDX-License-Identifier: Apache-2.0
"""Reads Keras models, and hides the differences between the Keras flavors.

What it is for: Keras 3, tf_keras and the Keras 2 inside TensorFlow 2.15 keep
the same things in different places. The other packages ask this one and do
not depend on the flavor they run under. All private names of Keras are used
here and nowhere else; `tests/test_private_api.py` fails when one of them
changes.

How data goes through it: mostly, a function takes a model, an optimizer, a
metric or a variable of any flavor and answers one question about it. No other
package is imported here; some answers are in the terms of v1 (the names and
values of slots).

Which file to open:

- `compat`: the differences between the flavors, for models, layers, metrics
  and variables; `optimizer_compat`: the same for optimizers.
- `callback_base`: the callback base class that every flavor accepts; it turns
  Keras's callback methods into phases. `phases`: checks the phases that a user
  names.
- `model_info`: facts about a model that a run needs: its layers, inputs,
  steps per execution, whether it is built.
- `log_names`: the names that the steps of a model will log.
- `optimizers`: which optimizers train a model, and what their slots held in v1.
  `optimizer_slots`: which slots v1's optimizer of the same kind had.
- `weights_files`: loads the files in which Keras keeps weights.
- `randomness`: whether a step may draw random numbers.
- `symbolic`: the values of symbolic Keras tensors.
- `model_functions`: where a model keeps its `train_function`, `test_function`
  and `predict_function`, and how it makes another one.
- `direct_step`: calls the compiled step of a model without Keras's detours.
- `step_count`: which variable counts the training steps.
- `first_trace`: reproduces what Keras 2 does in the first trace of a step.
- `wrapping`: wraps a method of a Keras object temporarily.
- `workers`: agreement between the workers of one training.
"""
