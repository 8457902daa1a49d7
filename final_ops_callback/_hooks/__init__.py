# SPDX-License-Identifier: Apache-2.0
"""Runs v1 hooks: SessionRunHookCallback under Keras, HookRunner in any loop.

What it is for: a `tf.compat.v1.train.SessionRunHook` has the methods `begin`,
`after_create_session`, `before_run`, `after_run` and `end`. Keras does not
call them. This package does, in the order and with the values of
`MonitoredSession`.

How data goes through it: `SessionRunHookCallback` (`callback`) makes a
`HookRun` (`hook_run`) for each call of fit, evaluate or predict. The `HookRun`
lists the variables of the model (`model_variables`) and drives a `HookRunner`
(`runner`), which does not depend on Keras: it begins the hooks in their graph
(`begun`, `scaffold`), combines the requests of all hooks for one step into one
run (`requests`), passes the values to `after_run`, and closes everything at
the end. All fetches of a step become one plan of
`final_ops_callback._session`, which tells which step tensors it needs. The
`HookRun` subscribes to the steps of the model (`final_ops_callback._step`) and
has them deliver these tensors; the plan computes the rest from them.

Which file to open:

- `callback`: `SessionRunHookCallback`, which Keras calls.
- `monitored_training`: `MonitoredTrainingCallback`, the same with a folder of
  checkpoints and summaries.
- `hook_run`: one run of hooks around the batches of one Keras call.
- `runner`: `HookRunner`, with the order in which a hook's methods are called.
- `begun`, `scaffold`: what `begin` makes: graph, session, threads, init op.
- `requests`: the fetches and feeds of all hooks for one step.
  `joined_fetches`: hands them to the step, whose call runs them where it can.
- `calls`: calls a hook, and names the one that failed.
- `model_variables`: the model's variables with the names of their twins.
- `selection`: the step tensors that a run takes out of each step.
  `late_fetches`: those that hooks may fetch later, as far as they can be known.
- `values_now`: the value of a step tensor between two steps.
- `hook_state`, `as_made`: the attributes of hooks, in nested runs and copies.
- `foreign`: errors about tensors of another graph.
- `restore`: restores the latest checkpoint of a folder, and explains why a
  restore failed.
"""
