# SPDX-License-Identifier: Apache-2.0
"""The life of v1 hooks: SessionRunHookCallback, and HookRunner without Keras.

What it is for: a `tf.compat.v1.train.SessionRunHook` lives through `begin`,
`after_create_session`, `before_run`, `after_run` and `end`. Under Keras
nobody calls it. This package does, in the order and with the values of
`MonitoredSession`.

How data goes through it: `SessionRunHookCallback` (`callback`) makes a
`HookRun` (`hook_run`) for each call of fit, evaluate or predict. That lists
the variables of the model (`model_variables`) and drives a `HookRunner`
(`runner`), which knows no Keras: it begins the hooks in their graph (`begun`,
`scaffold`), puts what all of them ask of one step into one run (`requests`),
hands the values to `after_run`, and closes everything at the end. Fetches of
the step itself go down to `final_ops_callback._step`, all others to
`final_ops_callback._session`.

Which file to open:

- `callback`: `SessionRunHookCallback`, the moments of Keras.
- `hook_run`: one run of hooks around the batches of one Keras call.
- `runner`: `HookRunner`, with the timetable of a hook's life.
- `begun`, `scaffold`: what `begin` makes: graph, session, threads, init op.
- `requests`: the fetches and feeds of all hooks for one step.
- `calls`: calls a hook, and says which one failed.
- `model_variables`: the model's variables with the names of their twins.
- `counters`: what stock hooks count by, beside the global step.
- `asking`: which names hooks may ask for later, as far as it is known.
- `values_now`: what a step tensor is worth between two steps.
- `hook_state`, `as_made`: the attributes of hooks, in nested runs and copies.
- `foreign`, `restore`: what to say of tensors of another graph, and of a
  checkpoint that lacks something.
"""
