# SPDX-License-Identifier: Apache-2.0
"""EagerSession: v1 graphs whose operations run eagerly, without Keras.

What it is for: a v1 hook builds operations in a graph and runs them in a
session, while the model lives in the eager runtime. This package has that
graph and that session. A variable of the graph that stands for a variable of
the model (its "twin") reads and writes the model's own value; there is no
second set of weights. A tensor of the graph that stands for a value of the
training step (a "step tensor", such as `loss:0`) has no operation to compute
it: whoever runs the graph gives its value. Which of them exist is told by
`StepSpecs` (`final_ops_callback._names`).

How data goes through it: `EagerSession.run(fetches, feed_dict)` checks the
feeds (`feeds`), looks up or makes the plan of the fetches (`plan`), and runs
the plan. A plan is made once. It asks v1's own mapper which tensors
and operations are meant, finds the part of the graph that they need
(`subgraph`, with `control_flow` and `library`), notes which variables that
part reads and writes (`reads`, `writes`), cuts it in two if some of it needs
step tensors (`split`), and turns each part into a function of the eager runtime
(`program`, `function_def`). If the second part reads a weight, it gets a copy
from before the step (a "shadow"). The values come back as NumPy, as
`tf.compat.v1.Session.run` returned them.

Which file to open:

- `session`: `EagerSession`, which keeps its plans; `interactive`:
  `EagerInteractiveSession`.
- `hook_graph`: the graph in which hooks build, with twins and step tensors;
  `model_links`: what any graph knows of a live model.
- `live_variable`: what a twin stands for, on one or on several replicas.
- `plan`: what a set of fetches needs, and what of it runs when.
- `program`, `function_def`: a part of the graph as an eager function.
- `subgraph`, `control_flow`, `library`: which operations some fetches need.
- `split`: what runs before the training step, and what after it.
- `reads`, `writes`: which variables operations read and write.
- `resources`: the session's own variables, tables and iterators.
- `feeds`: a feed dict, checked and turned into arrays.
- `op_errors`: errors of kernels, as a v1 session raised them.
"""
