# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of Keras, and takes values out of the compiled step.

What it is for: v1 hooks fetched tensors of the training step itself: its loss,
its batch, the output of a layer, a gradient. Keras does not return any of
them. This package makes Keras's step return them beside its own outputs.

How data goes through it: while a run lasts, a `StepFunction` (`step_function`)
replaces Keras's own: `model.train_function`, `test_function` or
`predict_function`. Before each step it asks its subscribers (`HookRun` of
`_hooks`, `LastStep` of `_final_ops`) what they want of it; then it runs Keras's
step; then it gives them what the step delivered. A name such as `"loss"`,
`"layers/hidden"` or `"gradients/dense/kernel"` is looked up among the kinds of
step tensors (`lookup`, `kinds`). If a step has to deliver tensors, Keras's
function is replaced by one with extra outputs (`instrumented`): while Keras
traces it, each kind wraps the methods through which its values pass, and under
a distribution strategy the shares of the replicas are joined (`replicas`). A
`StepCaller` (`fusion`) calls the function, directly where it can, and has what
the hooks fetch computed in the same call.

Which file to open:

- `step_function`: the object that Keras calls for each step; its subscribers.
- `lookup`: which names a step delivers, with their shapes and dtypes.
- `kinds`: each kind of step tensor: its names, its spec, how it is taken.
- `kind`: the base class of the kinds, and what they are taken from.
- `fusion`: how a step is called, and what is computed in the same call.
- `instrumented`: the step functions that have extra outputs.
- `replicas`: how the values of several replicas become one.
"""
