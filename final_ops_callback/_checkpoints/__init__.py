# SPDX-License-Identifier: Apache-2.0
"""Moves checkpoints of TensorFlow 1 into Keras models, and evaluates them.

What it is for: v1's `Saver` wrote each variable under its name in the graph:
weights, the slots of the optimizer, and the step. Keras has the same state
under other names, and some of it in another form.

How data goes through it: `restore_v1` (`restore`) opens a checkpoint
(`reader`), lists the state of the model (`model_state`), decides which tensor
belongs to which weight (`matching`, with the map of the user in `name_map`),
and checks everything (`plan`, `step`). It reads everything, and only then
writes it to the model. It returns a `RestoreReport` (`report`). `save_v1`
(`save`) goes the other way.

Which file to open:

- `restore`: `restore_v1`.
- `plan`: the plan of a restore, with its checks; `step`: that of the step.
- `lost`: what of the optimizer's state a restore can't keep.
- `save`: `save_v1`, and the way in which files are written.
- `reader`: opens a checkpoint, and explains what can't be opened.
- `model_state`: the weights, slots and step of a model, in v1's terms.
- `matching`: which tensor belongs to which weight; `name_parts`: what the
  names of two weights have in common.
- `name_map`: the map that the user gives.
- `report`: what a restore has done.
- `state_file`: the file `checkpoint` of a folder.
- `evaluate`: `evaluate_checkpoints`, with the checks of its arguments.
- `waiting`: when to look for checkpoints; `found`: which there are.
- `loading`: loads a checkpoint of either kind.
- `best`: keeps a copy of the best one; `eval_summaries`: for TensorBoard.
"""
