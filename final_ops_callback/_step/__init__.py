# SPDX-License-Identifier: Apache-2.0
"""What happens inside the step that Keras compiles, and takes values out of it.

What it is for: v1 hooks fetched tensors of the training step itself: its loss,
its batch, the output of a layer, a gradient. Keras hands none of them out.
This package has Keras's step return them beside its own outputs.

How data goes through it: a name such as `"loss"`, `"layers/hidden"` or
`"gradients/dense/kernel"` is turned into a source inside the step (`names`).
While Keras traces the step, the collector wraps the methods through which the
values pass and adds them to the outputs (`collect`); under a distribution
strategy it joins what the replicas hold (`replicas`). The object that stands
for the model's step function takes them off again before Keras sees them
(`tap`, `stand_in`).

Which file to open:

- `names`: which names a step delivers, with their shapes and dtypes.
- `collect`: how each of them is taken while the step is traced.
- `replicas`: how the values of several replicas become one.
- `tap`: what one callback takes from the steps of a model.
- `stand_in`: what stands for the model's step function while somebody does.
"""
