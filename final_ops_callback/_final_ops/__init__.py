# SPDX-License-Identifier: Apache-2.0
"""FinalOpsCallback: evaluates final ops once, at the end of a Keras call.

What it is for: `tf.estimator.FinalOpsHook` evaluated some tensors at the end
of a session. This package does it for fit, evaluate and predict, with what
Keras has: functions, metrics, variables, layer outputs, names. It loads
nothing of `final_ops_callback._session` and `final_ops_callback._hooks`.

How data goes through it: `FinalOpsCallback` (`callback`) takes a structure of
final ops. `FinalOps` (`values`) compiles it once, when the callback is made,
into a list of `Leaf(path, kind, value)`, and has each kind (`leaf_kinds`,
`name_leaf`) check its leaves. When a run ends, it asks each kind for the value
of its leaves, with the feeds (`feeds`) and, if a leaf is a name, with what
`final_ops_callback._step` has kept of the last step (`last_step`). Each kind
returns values of the host (`host_values`). They go into `final_ops_values`, and
to the writers (`writers`, `values_file`).

Which file to open:

- `callback`: `FinalOpsCallback`, the moments of Keras.
- `values`: the final ops as a whole.
- `leaf_kind`: a leaf, and the base class of the kinds. `leaf_kinds`: metrics,
  symbolic layer outputs, variables and tensors, functions, Python values.
  `name_leaf`: names of logs, metrics and step tensors.
- `feeds`: a feed dict, by name or by symbolic tensor.
- `last_step`: what the last step of a run has computed, for leaves that are
  names.
- `training_metrics`: keeps the state of the metrics safe from a validation.
- `host_values`: a tensor of any backend as NumPy.
- `writers`, `values_file`, `writable`: the console, TensorBoard and files.
"""
