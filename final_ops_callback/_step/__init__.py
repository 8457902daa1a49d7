# SPDX-License-Identifier: Apache-2.0
"""What happens inside the step that Keras compiles, and takes values out of it.

What it is for: v1 hooks fetched tensors of the training step itself: its loss,
its batch, the output of a layer, a gradient. Keras hands none of them out.
This package has Keras's step return them beside its own outputs.

How data goes through it: while a run lasts, a `StepFunction`
(`step_function`) stands in the place of Keras's own: `model.train_function`,
`test_function` or `predict_function`. Before each step it asks its
subscribers (the hooks of a run, or FinalOpsCallback) what they want of it; then
it runs Keras's step; then it gives them what the step delivered. A name such
as `"loss"`, `"layers/hidden"` or `"gradients/dense/kernel"` is looked up among
the kinds of step tensors (`names`, `kinds`). If a step has tensors to deliver,
a function with extra outputs runs in its place (`instrumented`): while Keras
traces it, each kind wraps the methods through which its values pass, and under
a distribution strategy the shares of the replicas are joined (`replicas`).

Which file to open:

- `step_function`: what stands for the model's step function, and who is asked.
- `names`: which names a step delivers, with their shapes and dtypes.
- `kinds`: each kind of step tensor: its names, its spec, how it is taken.
- `kind`: the base class of the kinds, and what they are taken from.
- `instrumented`: the step functions that have extra outputs.
- `replicas`: how the values of several replicas become one.
"""
